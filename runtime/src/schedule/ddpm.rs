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
//!
//! Variances that a network learned lie between the two on a logarithmic scale (Nichol and Dhariwal 2021, equation 15), at the share
//! `(v + 1) / 2` of its output v. The row then has the large one, and [`Spread`] makes an element's noise smaller:
//! `sigma = sqrt(beta) 2^-u`, `u = (1 - v) / 2 * log2((1 - ab) / (1 - ab_prev)) / 2`.

use super::coefficients::{Clip, Level, Prediction, StepCoefficients, by_sample, towards_sample};
use super::form::Signed;
#[cfg(feature = "learned-variance")]
use super::form::saturate_state;
pub use crate::model::sampling::Variance;
use crate::numeric::scaled::Scaled;
#[cfg(feature = "learned-variance")]
use crate::numeric::{exp2::exp2_neg_q16, log::neg_ln_u64_q57};

/// How far apart the small and the large deviation of a step are: half the base-2 logarithm of the ratio of their squares.
#[cfg(feature = "learned-variance")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread(u32);

/// log2(e) * 2^30.
#[cfg(feature = "learned-variance")]
const LOG2_E_Q30: u64 = 1_549_082_005;

#[cfg(feature = "learned-variance")]
impl Spread {
    /// Of a step between two cumulative alphas, Q62; 0 where the step draws no noise.
    #[must_use]
    #[inline(never)]
    pub fn new(alpha_bar_t_q62: u64, alpha_bar_prev_q62: u64) -> Self {
        const ONE: u64 = super::coefficients::ALPHA_BAR_ONE_Q62;
        let (now, next) = (alpha_bar_t_q62.min(ONE), alpha_bar_prev_q62.min(ONE));
        if next <= now || next == ONE {
            return Self(0);
        }
        // ln((1 - ab) / (1 - ab')), at most 43.
        let ln_q57 = neg_ln_u64_q57(ONE - next).saturating_sub(neg_ln_u64_q57(ONE - now));
        let spread_q24 = ((ln_q57 >> 30) * LOG2_E_Q30 + (1 << 33)) >> 34;
        Self(spread_q24 as u32)
    }

    /// The noise of an element, Q24, from a standard normal and the network's v, both Q24: `z 2^-u` for u from -6 to 31 in Q16, rounded
    /// half up, saturated to +-2^30.
    #[must_use]
    #[inline]
    pub fn noise(self, z_q24: i32, v_q24: i32) -> i32 {
        let gap_q24 = (1i64 << 24) - i64::from(saturate_state(v_q24));
        let u_q16 = ((i64::from(self.0) * gap_q24 + (1 << 32)) >> 33).clamp(-6 << 16, 31 << 16);
        let whole = (u_q16 >> 16) as i32;
        let factor_q16 = i64::from(exp2_neg_q16((u_q16 & 0xFFFF) as u32));
        let shift = (16 + whole) as u32 & 63;
        let noise = (i64::from(saturate_state(z_q24)) * factor_q16 + (1 << (shift - 1))) >> shift;
        noise.clamp(-(1 << 30), 1 << 30) as i32
    }
}

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
        #[cfg(feature = "learned-variance")]
        Variance::Learned if !next.one_minus.is_zero() => beta,
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
