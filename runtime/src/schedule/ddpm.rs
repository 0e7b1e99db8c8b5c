//! The coefficients of one ancestral step, between any two timesteps.
//!
//! Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020, equations 6, 7 and 11, with
//! `alpha = ab / ab_prev` and `beta = 1 - alpha` of the step (Nichol and Dhariwal 2021, equation 19), so that any subset of the
//! timesteps is a chain of its own:
//!
//! ```text
//! x_prev = sqrt(ab_prev) beta / (1 - ab) x0 + sqrt(alpha) (1 - ab_prev) / (1 - ab) x + sigma z
//! sigma^2 = (1 - ab_prev) / (1 - ab) beta  (small),  beta  (large)
//! ```

use super::coefficients::{Clip, Level, Prediction, StepCoefficients, by_sample, towards_sample};
use super::form::Signed;
pub use crate::model::sampling::Variance;
use crate::numeric::scaled::Scaled;

/// The coefficients of an ancestral step, over (x0, -, x, z), from cumulative alpha `alpha_bar_t_q62` to `alpha_bar_prev_q62`.
///
/// Total. No noise where `ab_prev` is 1 (the last step) or not above `ab`; the latter goes as DDIM does, and equal alphas give
/// the identity. `x0` is clamped under both clips, which are the same here.
#[must_use]
#[inline(never)]
pub fn ddpm(
    alpha_bar_t_q62: u64,
    alpha_bar_prev_q62: u64,
    variance: Variance,
    prediction: Prediction,
    clip: Clip,
) -> StepCoefficients {
    let now = Level::asked(alpha_bar_t_q62, prediction);
    let next = Level::new(alpha_bar_prev_q62);
    let plus = Signed::plus;
    if next.alpha_bar_q62 <= now.alpha_bar_q62 {
        let (x, x0) = towards_sample(now, next);
        return by_sample(now, prediction, clip, [x0, Signed::ZERO, plus(x), Signed::ZERO]);
    }
    let gap = Scaled::from_q(next.alpha_bar_q62 - now.alpha_bar_q62, 62);
    let scale = next.signal.mul(now.one_minus);
    let beta = gap.div(next.alpha_bar);
    let small = next.one_minus.mul(beta.div(now.one_minus));
    let sigma_squared = match variance {
        Variance::Large if !next.one_minus.is_zero() => beta,
        _ => small,
    };
    let step = [
        plus(gap.div(scale)),
        Signed::ZERO,
        plus(now.signal.mul(next.one_minus).div(scale)),
        plus(sigma_squared.sqrt()),
    ];
    by_sample(now, prediction, clip, step)
}
