//! The ancestral step (Ho, Jain and Abbeel 2020, equations 6 and 7) between any two timesteps.

use mote_runtime::sampler::Variance;

use super::Weights;

/// Of the step between two cumulative alphas.
#[must_use]
pub fn weights(ab: f64, next: f64, variance: Variance) -> Weights {
    let alpha = ab / next;
    let beta = 1.0 - alpha;
    let small = (1.0 - next) / (1.0 - ab) * beta;
    let variance = match variance {
        Variance::Large if next < 1.0 => beta,
        _ => small,
    };
    Weights {
        sample: libm::sqrt(next) * beta / (1.0 - ab),
        held: 0.0,
        state: libm::sqrt(alpha) * (1.0 - next) / (1.0 - ab),
        sigma: libm::sqrt(variance.max(0.0)),
    }
}
