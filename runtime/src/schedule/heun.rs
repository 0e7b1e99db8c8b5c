//! The coefficients of Heun's method on the probability-flow ODE, two network calls a step.
//!
//! Song et al., "Score-based generative modeling through stochastic differential equations", ICLR 2021, equation 13, has the
//! ODE; Karras, Aittala, Aila and Laine, "Elucidating the design space of diffusion-based generative models", NeurIPS 2022,
//! algorithm 1, the method: Euler's step, then the trapezoid's with the slope found there; the last step, to no noise, is
//! Euler's. In `y = x / n` and `rho = s / n` the ODE is `dy / drho = x0`, where Euler's step is DDIM:
//!
//! ```text
//! x~     = (n' / n) x + c x0(x),   c = s' - s n' / n
//! x_prev = (n' / n) x + c (x0(x) + x0(x~)) / 2 = x~ + (c / 2) (x0(x~) - x0(x))
//! ```
//!
//! Karras et al. step in `x / s` over `n / s`, whose slope is epsilon: of the same order, but `n / s` is 2e4 at the start of a
//! cosine schedule (and infinite at zero SNR) and multiplies every error there; here no coefficient is above 1.

use super::coefficients::{Clip, Level, Prediction, StepCoefficients, by_sample, towards_sample};
use super::form::Signed;
use crate::numeric::scaled::Scaled;

/// Euler's step from cumulative alpha `alpha_bar_t_q62` to `alpha_bar_prev_q62`, over (x0, -, x, -).
///
/// Total: see `ddim` with eta = 0, which it is but for the order of roundings and clips (both clips are the same here).
#[must_use]
#[inline(never)]
pub fn heun_predictor(
    alpha_bar_t_q62: u64,
    alpha_bar_prev_q62: u64,
    prediction: Prediction,
    clip: Clip,
) -> StepCoefficients {
    let now = Level::asked(alpha_bar_t_q62, prediction);
    let (x, c) = towards_sample(now, Level::new(alpha_bar_prev_q62));
    by_sample(now, prediction, clip, [c, Signed::ZERO, Signed::plus(x), Signed::ZERO])
}

/// What the second call adds, over (x0 of x~, x0 of x, x~, -); the network is asked about x~ at `alpha_bar_prev_q62`. Total.
#[must_use]
#[inline(never)]
pub fn heun_corrector(
    alpha_bar_t_q62: u64,
    alpha_bar_prev_q62: u64,
    prediction: Prediction,
    clip: Clip,
) -> StepCoefficients {
    let now = Level::asked(alpha_bar_t_q62, prediction);
    let (_, c) = towards_sample(now, Level::new(alpha_bar_prev_q62));
    let half = c.times(Scaled::from_q(1, 1));
    let there = Level::asked(alpha_bar_prev_q62, prediction);
    let step = [half, half.negated(), Signed::plus(Scaled::ONE), Signed::ZERO];
    by_sample(there, prediction, clip, step)
}
