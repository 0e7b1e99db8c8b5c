//! The coefficients of one step of DPM-Solver++(2M).
//!
//! Lu, Zhou, Bao, Chen, Li and Zhu, "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models", 2022,
//! algorithm 2 (`x_t = sigma_t / sigma_s x_s - alpha_t expm1(-h) D`) with the midpoint's `D`:
//!
//! ```text
//! lambda = ln(s / n)   h = lambda' - lambda   r = h_before / h   q = 1 / (2 r) = h / (2 h_before)
//! x_prev = (n' / n) x + c ((1 + q) x0 - q x0_before),   c = s' (1 - exp(-h)) = s' - s n' / n
//! ```
//!
//! `exp(-h)` is a ratio of square roots, so that no exponential is needed; `h` is a difference of logarithms
//! ([`lambda_q57`]).

use super::coefficients::{ALPHA_BAR_ONE_Q62, Clip, Level, Prediction, StepCoefficients, by_sample, towards_sample};
use super::form::Signed;
use crate::numeric::log::lambda_q57;
use crate::numeric::scaled::Scaled;

/// The coefficients of a step, over (x0, x0 of the step before, x, -), from cumulative alpha `alpha_bar_t_q62` to
/// `alpha_bar_prev_q62`; `alpha_bar_before_q62` is that of the step before, `None` where there was none.
///
/// Total. The step is of first order where there was no step before, where it ends without noise (`ab_prev` is 1: there `h` is
/// infinite), and where noise did not fall in it and in the one before. diffusers' `lower_order_final` (below 15 steps) and
/// `final_sigmas_type: zero` (its default) both make the last step one of first order; here it always is.
#[must_use]
#[inline(never)]
pub fn dpm_solver_2m(
    alpha_bar_before_q62: Option<u64>,
    alpha_bar_t_q62: u64,
    alpha_bar_prev_q62: u64,
    prediction: Prediction,
    clip: Clip,
) -> StepCoefficients {
    let now = Level::asked(alpha_bar_t_q62, prediction);
    let next = Level::new(alpha_bar_prev_q62);
    let (x, c) = towards_sample(now, next);
    let q = match alpha_bar_before_q62 {
        Some(before_q62) if next.alpha_bar_q62 < ALPHA_BAR_ONE_Q62 => {
            let before_q62 = Level::asked(before_q62, prediction).alpha_bar_q62;
            extrapolation(before_q62, now.alpha_bar_q62, next.alpha_bar_q62)
        }
        _ => Scaled::ZERO,
    };
    let step = [
        c.times(Scaled::ONE.add(q)),
        c.times(q).negated(),
        Signed::plus(x),
        Signed::ZERO,
    ];
    by_sample(now, prediction, clip, step)
}

/// `q = h / (2 h_before)`; 0 where one of the two is not positive.
fn extrapolation(before_q62: u64, now_q62: u64, next_q62: u64) -> Scaled {
    let [before, now, next] = [before_q62, now_q62, next_q62].map(lambda_q57);
    let (h_before, h) = (now - before, next - now);
    if h_before <= 0 || h <= 0 {
        return Scaled::ZERO;
    }
    Scaled::from_q(h as u64, 57).div(Scaled::from_q(h_before as u64, 56))
}
