//! Probabilities of whole-number pixels under a Gaussian, and the divergence of two Gaussians.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Natural logarithm of the probability of pixel `x` in `[-1, 1]` under `N(mean, deviation^2)` over bins `bin` wide around each value, the
/// outermost open to the outside (Ho et al. 2020, eq. 13).
#[must_use]
pub fn ln_pixel(x: f64, mean: f64, deviation: f64, bin: f64) -> f64 {
    // Values at the ends are exact up to a rounding error.
    let edge = 1.0 - bin / 4.0;
    let low = if x < -edge {
        f64::NEG_INFINITY
    } else {
        (x - bin / 2.0 - mean) / deviation
    };
    let high = if x > edge {
        f64::INFINITY
    } else {
        (x + bin / 2.0 - mean) / deviation
    };
    ln_interval(low, high)
}

/// `ln(Phi(b) - Phi(a))` of the standard normal, `a < b`; finite however far out.
fn ln_interval(a: f64, b: f64) -> f64 {
    // In the upper half, where nothing cancels against 1.
    let (a, b) = if a + b < 0.0 { (-b, -a) } else { (a, b) };
    let mass = 0.5 * (libm::erfc(a * FRAC_1_SQRT_2) - libm::erfc(b * FRAC_1_SQRT_2));
    if a < 30.0 {
        return libm::log(mass);
    }
    // Mills' ratio: 1 - Phi(a) = phi(a) / a (1 - O(1 / a^2)), here below 0.2 % of a number whose logarithm is below -450.
    let tail = -0.5 * a * a - 0.5 * libm::log(2.0 * PI) - libm::log(a);
    let rest = libm::exp(0.5 * (a - b) * (a + b)) * a / b;
    tail + if b.is_finite() { libm::log1p(-rest) } else { 0.0 }
}

/// `KL(N(m1, v1) || N(m2, v2))` of one element in nats, `squared` being `(m1 - m2)^2`.
#[must_use]
pub fn kl(squared: f64, v1: f64, v2: f64) -> f64 {
    let ratio = v1 / v2;
    0.5 * (squared / v2 + ratio - 1.0 - libm::log(ratio))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pixels_of_a_row_have_probability_one() {
        for levels in [2, 17, 256] {
            let bin = 2.0 / f64::from(levels - 1);
            for (mean, deviation) in [(0.1, 0.01), (-0.97, 0.2), (0.4, 3.0)] {
                let p = |i: i32| ln_pixel(f64::from(i) * bin - 1.0, mean, deviation, bin).exp();
                let total: f64 = (0..levels).map(p).sum();
                assert!((total - 1.0).abs() < 1e-12, "{levels} {mean} {deviation}: {total}");
            }
        }
    }

    #[test]
    fn far_out_is_finite_and_continuous() {
        // Both formulas where they meet, and an exact value: ln(1 - Phi(40)) = -804.608442.
        let (near, far) = (ln_interval(29.999_999, 30.1), ln_interval(30.000_001, 30.1));
        assert!((near - far).abs() < 3e-3, "{near} {far}");
        assert!((ln_interval(40.0, f64::INFINITY) + 804.608_442).abs() < 1e-3);
        assert!((ln_interval(-40.5, -40.0) - ln_interval(40.0, 40.5)).abs() < 1e-12);
        assert!(ln_pixel(1.0, -1.0, 1e-3, 2.0 / 255.0).is_finite());
    }

    /// By its definition, integrated.
    #[test]
    fn kl_is_the_expected_log_ratio() {
        let (m1, v1, m2, v2): (f64, f64, f64, f64) = (0.3, 0.2, -0.1, 0.5);
        let ln = |x: f64, m: f64, v: f64| -0.5 * ((x - m).powi(2) / v + (2.0 * PI * v).ln());
        let h = 1e-3;
        let sum: f64 = (-6000..6000)
            .map(|i| f64::from(i) * h)
            .map(|x| ln(x, m1, v1).exp() * (ln(x, m1, v1) - ln(x, m2, v2)) * h)
            .sum();
        assert!((kl((m1 - m2).powi(2), v1, v2) - sum).abs() < 1e-9);
        assert_eq!(kl(0.0, 0.7, 0.7), 0.0);
    }
}
