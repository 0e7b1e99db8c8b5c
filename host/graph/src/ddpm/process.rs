//! The forward process and its posterior, in closed form.

use crate::schedule::{Schedule, Variance};

/// Mean factor and standard deviation of `q(x_t | x_0) = N(sqrt(ab) x_0, (1 - ab) I)` (Ho et al. 2020, eq. 4).
#[must_use]
pub fn marginal(alpha_bar: f64) -> (f64, f64) {
    (libm::sqrt(alpha_bar), libm::sqrt(1.0 - alpha_bar))
}

/// `q(x_s | x_t, x_0)` for a noise level `t` and a lower one `s`, not necessarily neighbours (Ho et al. 2020, eq. 6 and 7).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterior {
    /// Factor of x_0 in the mean.
    pub x0: f64,
    /// Factor of x_t in the mean.
    pub xt: f64,
    /// `1 - ab_t / ab_s`.
    pub beta: f64,
    /// The variance: `beta (1 - ab_s) / (1 - ab_t)`.
    pub beta_tilde: f64,
}

impl Posterior {
    /// From cumulative alphas `alpha_bar` at t and `previous` at s.
    #[must_use]
    pub fn new(alpha_bar: f64, previous: f64) -> Self {
        let alpha = alpha_bar / previous;
        let (beta, noise) = (1.0 - alpha, 1.0 - alpha_bar);
        Self {
            x0: libm::sqrt(previous) * beta / noise,
            xt: libm::sqrt(alpha) * (1.0 - previous) / noise,
            beta,
            beta_tilde: beta * (1.0 - previous) / noise,
        }
    }

    /// The mean, element by element.
    pub fn mean<'a>(&self, x0: &'a [f64], xt: &'a [f64]) -> impl ExactSizeIterator<Item = f64> + use<'a> {
        let (of_x0, of_xt) = (self.x0, self.xt);
        x0.iter().zip(xt).map(move |(x0, xt)| of_x0 * x0 + of_xt * xt)
    }

    /// Variance of the reverse step; `fraction` is the network's say, 0 to 1, under [`Variance::LearnedRange`]. `floor` stands in for
    /// [`Posterior::beta_tilde`] where that is 0, at the last step.
    #[must_use]
    pub fn variance(&self, variance: Variance, fraction: f64, floor: f64) -> f64 {
        let small = if self.beta_tilde > 0.0 { self.beta_tilde } else { floor };
        match variance {
            Variance::FixedSmall => small,
            Variance::FixedLarge => self.beta,
            Variance::LearnedRange => libm::exp(fraction * libm::log(self.beta) + (1.0 - fraction) * libm::log(small)),
        }
    }
}

/// What stands in for the posterior variance of the first timestep, which is 0: that of the second, as in Ho et al.'s own code.
#[must_use]
pub fn variance_floor(schedule: &Schedule) -> f64 {
    match schedule.alphas_cumprod[..] {
        [first, second, ..] => Posterior::new(second, first).beta_tilde,
        [first] => 1.0 - first,
        [] => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bayes' rule by hand: the product of the two Gaussians `q(x_t | x_s)` and `q(x_s | x_0)` as functions of x_s.
    #[test]
    fn the_posterior_is_bayes_rule() {
        let (bar, previous) = (0.3, 0.7);
        let (x0, xt) = (0.8, -0.2);
        let alpha: f64 = bar / previous;
        let precision = alpha / (1.0 - alpha) + 1.0 / (1.0 - previous);
        let mean = (alpha.sqrt() * xt / (1.0 - alpha) + previous.sqrt() * x0 / (1.0 - previous)) / precision;
        let posterior = Posterior::new(bar, previous);
        assert!((posterior.beta_tilde - 1.0 / precision).abs() < 1e-15);
        assert!((posterior.mean(&[x0], &[xt]).next().unwrap() - mean).abs() < 1e-15);
    }

    /// Noising in two steps is noising in one: `q(x_t | x_0)` from `q(x_s | x_0)`.
    #[test]
    fn marginals_compose() {
        let (bar, previous): (f64, f64) = (0.3, 0.7);
        let ((whole, deviation), (first, spread)) = (marginal(bar), marginal(previous));
        let alpha = bar / previous;
        assert!((alpha.sqrt() * first - whole).abs() < 1e-15);
        assert!((alpha * spread * spread + 1.0 - alpha - deviation * deviation).abs() < 1e-15);
    }

    #[test]
    fn learned_variances_lie_between_the_fixed_ones() {
        let posterior = Posterior::new(0.3, 0.7);
        let at = |fraction| posterior.variance(Variance::LearnedRange, fraction, 0.0);
        assert!((at(0.0) - posterior.beta_tilde).abs() < 1e-15 && (at(1.0) - posterior.beta).abs() < 1e-15);
        assert!((at(0.5) - (posterior.beta * posterior.beta_tilde).sqrt()).abs() < 1e-15);
        let last = Posterior::new(0.99, 1.0);
        assert_eq!(last.variance(Variance::FixedSmall, 0.0, 0.25), 0.25);
    }
}
