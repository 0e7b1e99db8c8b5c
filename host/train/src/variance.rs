//! Learned variances (Nichol and Dhariwal 2021, eq. 15): a place between the two bounds, in the logarithm, and the term of the
//! variational bound that teaches it. Bits a dimension.

use mote_graph::schedule::Schedule;

/// What a timestep's term needs.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Logarithm of the posterior's variance, the lower bound.
    low: f64,
    /// Logarithm of beta, the upper bound.
    high: f64,
    /// Weight of x0 in the posterior's mean.
    weight: f64,
}

/// Bounds by timestep.
#[derive(Debug, Clone)]
pub struct Variance(Vec<Bounds>);

/// Half a step between two pixel values.
const HALF_PIXEL: f64 = 1.0 / 255.0;

impl Variance {
    /// Under a schedule.
    #[must_use]
    pub fn new(schedule: &Schedule) -> Self {
        let bars = &schedule.alphas_cumprod;
        let before = |t: usize| if t == 0 { 1.0 } else { bars[t - 1] };
        let posterior = |t: usize| schedule.betas[t] * (1.0 - before(t)) / (1.0 - bars[t]);
        let bounds = |t: usize| Bounds {
            // The first posterior has no variance: the second's stands for it.
            low: libm::log(posterior(t.max(1).min(bars.len() - 1)).max(1e-20)),
            high: libm::log(schedule.betas[t].max(1e-20)),
            weight: libm::sqrt(before(t)) * schedule.betas[t] / (1.0 - bars[t]),
        };
        Self((0..bars.len()).map(bounds).collect())
    }

    /// The term of one element at timestep `t`, and its derivative by `place`: -1 is the lower bound, 1 the upper. The predicted clean
    /// value is taken as given.
    #[must_use]
    pub fn term(&self, t: usize, x0: f64, predicted: f64, place: f64) -> (f64, f64) {
        let Bounds { low, high, weight } = self.0[t];
        let log_variance = 0.5 * ((1.0 + place) * high + (1.0 - place) * low);
        let (nats, by_log) = if t == 0 {
            decoder(x0, predicted, log_variance)
        } else {
            divergence(weight * (x0 - predicted), low, log_variance)
        };
        let bits = std::f64::consts::LOG2_E;
        (nats * bits, by_log * 0.5 * (high - low) * bits)
    }
}

/// KL divergence of two normal distributions whose means differ by `distance`, and its derivative by the second's log-variance.
fn divergence(distance: f64, from: f64, to: f64) -> (f64, f64) {
    let (ratio, squared) = (libm::exp(from - to), distance * distance * libm::exp(-to));
    (0.5 * (to - from - 1.0 + ratio + squared), 0.5 * (1.0 - ratio - squared))
}

/// Negative log-likelihood of a pixel under the discretized normal decoder (Ho et al. 2020, eq. 13), and its derivative by the
/// log-variance.
fn decoder(x0: f64, mean: f64, log_variance: f64) -> (f64, f64) {
    let scale = libm::exp(-0.5 * log_variance);
    let cumulative = |z: f64| 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
    let density = |z: f64| libm::exp(-0.5 * z * z) / libm::sqrt(std::f64::consts::TAU);
    let upper = (x0 < 0.999).then_some((x0 - mean + HALF_PIXEL) * scale);
    let lower = (x0 > -0.999).then_some((x0 - mean - HALF_PIXEL) * scale);
    let mass = upper.map_or(1.0, cumulative) - lower.map_or(0.0, cumulative);
    let moved = upper.map_or(0.0, |z| density(z) * z) - lower.map_or(0.0, |z| density(z) * z);
    if mass < 1e-12 {
        return (-libm::log(1e-12), 0.0);
    }
    (-libm::log(mass), 0.5 * moved / mass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mote_graph::schedule::{Precision, SchedulerConfig};

    #[test]
    fn a_perfect_prediction_at_the_lower_bound_costs_nothing() {
        let config = SchedulerConfig::parse("test", r#"{"_class_name": "DDPMScheduler"}"#).unwrap();
        let variance = Variance::new(&Schedule::new(&config, Precision::F64).unwrap());
        assert!(variance.term(500, 0.3, 0.3, -1.0).0.abs() < 1e-12);
        assert!(variance.term(500, 0.3, 0.3, 1.0).0 > 0.0);
    }

    /// The decoder's pixels are all there is.
    #[test]
    fn the_decoder_is_a_distribution() {
        let mass: f64 = (0..256)
            .map(|p| libm::exp(-decoder(f64::from(p) / 127.5 - 1.0, 0.1, -3.0).0))
            .sum();
        assert!((mass - 1.0).abs() < 1e-9, "{mass}");
    }
}
