//! Elementary functions in f32 as PyTorch's x86 builds round them.
//!
//! These builds take `exp`, `sin` and `cos` from a vector library that rounds one value in a hundred, or in twenty, to the other
//! neighbour. A reference in f64 whose timestep features are f32 holds these roundings. Nothing but `crosscheck` asks for them. What
//! the library computes was found from its results (PyTorch 2.15, AVX-512): below 10,000 sines and cosines agree on all but some in a million,
//! exponentials on all but 3 in 10,000.

/// Where the library changes to another way of reducing its argument.
const FAR: f32 = 1e4;
/// Least exponent, and its opposite, at which the reduction is exact.
const NEAR: f32 = 16.0;
/// `sin(r) / r - 1` in powers of `r^2`: the polynomial with the least greatest relative error on `[0, pi / 2]`, 6.05e-9 (Remez 1934).
const SINE: [f64; 4] = [
    -0.166_666_595_504_277_56,
    0.008_333_066_246_082_162,
    -0.000_198_096_029_019_384_53,
    2.605_780_637_969_121e-6,
];
/// Upper bits of pi, and what is left of it.
const PI: [f64; 2] = [core::f64::consts::PI, 1.224_646_799_147_353_2e-16];

/// The sine of `x` radians.
#[must_use]
pub fn sin(x: f32) -> f32 {
    turned(x, 0.0).unwrap_or_else(|| libm::sin(f64::from(x)) as f32)
}

/// The cosine of `x` radians.
#[must_use]
pub fn cos(x: f32) -> f32 {
    turned(x, 0.5).unwrap_or_else(|| libm::cos(f64::from(x)) as f32)
}

/// `sin(x + shift * pi)`, with a shift of 0 or a half. `None` where `x` is far.
fn turned(x: f32, shift: f64) -> Option<f32> {
    let far = x.is_nan() || x.abs() >= FAR;
    (!far).then(|| {
        let x = f64::from(x);
        let half_turns = libm::rint(x / PI[0] + shift);
        let turns = half_turns - shift;
        let r = (x - turns * PI[0]) - turns * PI[1];
        let s = r * r;
        let value = r + r * s * (SINE[0] + s * (SINE[1] + s * (SINE[2] + s * SINE[3])));
        let odd = half_turns as i64 & 1 == 1;
        (if odd { -value } else { value }) as f32
    })
}

/// `e^x`: a power of two, a table of 128 roots of two in two parts, and a second-order polynomial, all in f32.
#[must_use]
pub fn exp(x: f32) -> f32 {
    if x.is_nan() || x.abs() >= NEAR {
        return libm::exp(f64::from(x)) as f32;
    }
    let step = core::f64::consts::LN_2 / 128.0;
    // Twelve bits of the step: products with a number of steps are exact.
    let upper = libm::floor(step * 524_288.0) / 524_288.0;
    let lower = (step - upper) as f32;
    let steps = libm::rintf(x * (1.0 / step) as f32);
    let r = (x - steps * upper as f32) - steps * lower;
    let polynomial = r * r * 0.5 + r;
    let steps = steps as i32;
    let root = libm::exp2(f64::from(steps & 127) / 128.0);
    let high = root as f32;
    let low = (root - f64::from(high)) as f32;
    let value = high + (high * polynomial + low);
    value * libm::exp2(f64::from(steps >> 7)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINES: &[(f32, f32)] = &[
        (6.014983, -0.2649983),
        (7.880396, 0.99965113),
        (2.0450945, 0.88961345),
        (2.5814083, 0.53134245),
        (8.45225, 0.82631236),
        (7.5922813, 0.9659515),
        (1.4401535, 0.9914783),
        (7.1863422, 0.78528535),
        (8.046281, 0.98156744),
        (2.6725757, 0.45200962),
        (4.994094, -0.9605829),
        (4.3618503, -0.9391879),
    ];
    const COSINES: &[(f32, f32)] = &[
        (0.2868901, 0.95912856),
        (2.0450945, -0.4567142),
        (9.061343, -0.93468136),
        (5.8788195, 0.9193521),
        (2.172113, -0.56572866),
        (4.360015, -0.345127),
        (3.1431963, -0.99999875),
        (7.465089, 0.37916413),
        (9.793816, -0.93267494),
        (9.017997, -0.91839916),
        (0.6256378, 0.81058973),
        (1.3779136, 0.19168897),
    ];
    const POWERS: &[(f32, f32)] = &[
        (-8.292512, 0.00025038474),
        (-1.1465707, 0.31772447),
        (-4.3568316, 0.012818939),
        (-3.6960769, 0.02482071),
        (-6.630526, 0.0013194688),
        (-1.3979106, 0.24711275),
        (-0.7873666, 0.45504153),
        (-4.0310807, 0.017755132),
        (-2.9415848, 0.052782014),
        (-2.3218398, 0.09809294),
        (-2.0064209, 0.13446909),
    ];

    /// What PyTorch 2.15 gave on x86: arguments, then results, where the exact result rounds to the other neighbour.
    #[test]
    fn results_are_those_of_the_library_where_it_does_not_round_to_the_nearest() {
        for (x, sine) in SINES {
            assert_eq!(sin(*x), *sine, "sin({x})");
        }
        for (x, cosine) in COSINES {
            assert_eq!(cos(*x), *cosine, "cos({x})");
        }
        for (x, power) in POWERS {
            assert_eq!(exp(*x), *power, "exp({x})");
        }
    }

    #[test]
    fn what_is_far_is_rounded_to_the_nearest() {
        assert_eq!(sin(2e4), libm::sin(2e4) as f32);
        assert_eq!(cos(-3e5), libm::cos(-3e5) as f32);
        assert_eq!(exp(-60.0), libm::exp(-60.0) as f32);
        assert!(sin(f32::NAN).is_nan() && exp(f32::NAN).is_nan());
    }
}
