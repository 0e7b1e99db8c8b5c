//! Multistep consistency sampling: few calls of a network whose x0 is right at every noise level.
//!
//! Song, Dhariwal, Chen and Sutskever, "Consistency models", ICML 2023, algorithm 1: x0 as the network has it, fresh noise of the next
//! level, x0 again. On cumulative alphas it is the step of Luo et al., "Latent consistency models", 2023, and of DDIM with
//! `sigma^2 = 1 - ab'`:
//!
//! ```text
//! x' = s' x0 + n' z        x' = x0 at the last step
//! ```

use super::coefficients::{Clip, Level, Prediction, StepCoefficients, by_sample};
use super::continuous;
use super::form::Signed;
use crate::numeric::scaled::Scaled;

/// The coefficients of a step, over (x0, -, -, z), from cumulative alpha `alpha_bar_t_q62` to `alpha_bar_prev_q62`. Total.
#[must_use]
#[inline(never)]
pub fn consistency(
    alpha_bar_t_q62: u64,
    alpha_bar_prev_q62: u64,
    prediction: Prediction,
    clip: Clip,
) -> StepCoefficients {
    let (now, next) = (
        Level::asked(alpha_bar_t_q62, prediction),
        Level::new(alpha_bar_prev_q62),
    );
    let step = [
        Signed::plus(next.signal),
        Signed::ZERO,
        Signed::ZERO,
        Signed::plus(next.noise),
    ];
    by_sample(now, prediction, clip, step)
}

/// The same form to a continuous level.
pub(super) fn noised(next: &continuous::Level) -> [Signed; 4] {
    if next.n == 0 {
        return [Signed::plus(Scaled::ONE), Signed::ZERO, Signed::ZERO, Signed::ZERO];
    }
    let share = |of: Scaled| Signed::plus(of.div(next.norm));
    [share(next.signal), Signed::ZERO, Signed::ZERO, share(next.noise)]
}
