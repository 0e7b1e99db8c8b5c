//! The coefficients of one DDIM step, and the fixed-point forms that apply any sampler's.
//!
//! Song, Meng and Ermon, "Denoising diffusion implicit models", ICLR 2021, equations 12 and 16:
//!
//! ```text
//! sigma  = eta * sqrt((1 - ab_prev) / (1 - ab)) * sqrt(1 - ab / ab_prev)                       (16)
//! x_prev = sqrt(ab_prev) * x0 + sqrt(1 - ab_prev - sigma^2) * eps + sigma * z                  (12)
//! ```
//!
//! where `x0` and `eps` are linear in the state x and the network's output, so that without clipping a step is one
//! linear form of (x, out, z), rounded once. A step on a device costs a few dozen operations of [`Scaled`] for the
//! coefficients and three or four multiply-accumulates an element.

use super::form::{Form, Signed, saturate_state};
use super::program::{
    self, A, ALPHA_BAR, B, EPS_OUT, EPS_X, Minus, NEXT_ALPHA_BAR, NEXT_NOISE, NEXT_ONE_MINUS, NEXT_SIGNAL, NOISE, ONE,
    ONE_MINUS, OWN, Over, Places, Plus, RESULT, Root, SAMPLE_X, SIGNAL, Times, ZERO,
};
use crate::numeric::scaled::Scaled;

pub use crate::model::sampling::{Clip, Prediction};

/// 1.0 as a cumulative alpha.
pub const ALPHA_BAR_ONE_Q62: u64 = 1 << 62;

/// Under [`Prediction::Epsilon`] a smaller cumulative alpha (2^-32) is raised to this one: at 0 (a schedule rescaled to
/// zero terminal SNR) the noise says nothing about x0, and the equations divide by zero.
pub const EPSILON_ALPHA_BAR_FLOOR_Q62: u64 = 1 << 30;

/// A step's coefficients, ready to apply: two linear forms with i32 mantissas, each with its own number of fraction
/// bits (1..=40), chosen so that sums stay below 2^63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StepCoefficients {
    /// x0 from (x, out).
    pub sample: Form<2>,
    /// x_prev from (clamped x0, x, out, z) for [`ddim`], where the first is zero without clipping; from (x0, held, x, z) for the
    /// other samplers, where `held` is a clean sample that was predicted before.
    pub step: Form<4>,
    /// Whether x0 is clamped.
    pub clip: Clip,
}

/// The coefficients of one DDIM step from cumulative alpha `alpha_bar_t_q62` to `alpha_bar_prev_q62` (Q62, above 1.0
/// counts as 1.0) with `eta_q16` (65536 is 1.0, the ancestral sampler; 0 is deterministic).
///
/// Total. Equal alphas give the identity (without clipping); `1 - ab = 0` gives `x0 = x` and no epsilon;
/// `alpha_bar_prev < alpha_bar_t` gives no noise; `ab = 0` works under V and Sample, and is
/// [`EPSILON_ALPHA_BAR_FLOOR_Q62`] under Epsilon. An eta so large that `sigma^2 > 1 - ab_prev` drops the epsilon term.
#[must_use]
#[inline(never)]
pub fn ddim(
    alpha_bar_t_q62: u64,
    alpha_bar_prev_q62: u64,
    eta_q16: u32,
    prediction: Prediction,
    clip: Clip,
) -> StepCoefficients {
    let now = Level::asked(alpha_bar_t_q62, prediction);
    let next = Level::new(alpha_bar_prev_q62);
    let mut places = Places::new(&now, &next);
    places.direction(now.alpha_bar_q62, next.alpha_bar_q62, eta_q16);
    places.run(program::prediction(&now, prediction));
    // x_prev = signal * x0 + direction * eps + sigma * z.
    places.run(match clip {
        Clip::Off => unclipped(&now, prediction),
        Clip::Stock => &[
            (Times, RESULT, NEXT_SIGNAL, ONE),
            (Times, RESULT + 1, EPS_X, DIRECTION),
            (Times, RESULT + 2, EPS_OUT, DIRECTION),
        ],
        Clip::Rederived if now.noise.is_zero() => &[(Times, RESULT, NEXT_SIGNAL, ONE)],
        Clip::Rederived => &[
            (Over, RESULT + 1, DIRECTION, NOISE),
            (Times, A, RESULT + 1, SIGNAL),
            (Minus, RESULT, NEXT_SIGNAL, A),
        ],
    });
    StepCoefficients {
        sample: Form::new(places.at(SAMPLE_X)),
        step: Form::new(places.at(RESULT)),
        clip,
    }
}

impl StepCoefficients {
    /// The predicted clean sample in Q24, clamped to `+-clip_range_q24` if this step clips, to +-2^30 if not.
    #[must_use]
    #[inline]
    pub fn predicted_x0(&self, x_q24: i32, out_q24: i32, clip_range_q24: i32) -> i32 {
        let x0_q24 = self.sample.apply([saturate_state(x_q24), saturate_state(out_q24)]);
        match self.clip {
            Clip::Off => x0_q24,
            Clip::Stock | Clip::Rederived => {
                let range_q24 = clip_range_q24.max(0);
                x0_q24.min(range_q24).max(-range_q24)
            }
        }
    }

    /// The next state in Q24, saturated to +-2^30 (+-64.0), from the state, the network's output and a standard normal.
    ///
    /// Inputs beyond +-2^30 count as +-2^30. One half-up rounding, and one more for x0 where it is clamped.
    #[must_use]
    #[inline]
    pub fn apply(&self, x_q24: i32, out_q24: i32, z_q24: i32, clip_range_q24: i32) -> i32 {
        let x0_q24 = match self.clip {
            Clip::Off => 0,
            Clip::Stock | Clip::Rederived => self.predicted_x0(x_q24, out_q24, clip_range_q24),
        };
        self.step.apply([
            x0_q24,
            saturate_state(x_q24),
            saturate_state(out_q24),
            saturate_state(z_q24),
        ])
    }

    /// The same for the samplers that move a state by its clean sample: from x0 as [`Self::predicted_x0`] gives it, what was
    /// held, the state, and a standard normal. One half-up rounding.
    #[must_use]
    #[inline]
    pub fn advance(&self, x0_q24: i32, held_q24: i32, x_q24: i32, z_q24: i32) -> i32 {
        self.step.apply([
            saturate_state(x0_q24),
            saturate_state(held_q24),
            saturate_state(x_q24),
            saturate_state(z_q24),
        ])
    }
}

/// The coefficients of a step that moves the state by its predicted clean sample: `step` over (x0, held, x, z), x0 as
/// `prediction` has it at `now`.
pub(super) fn by_sample(now: Level, prediction: Prediction, clip: Clip, step: [Signed; 4]) -> StepCoefficients {
    let mut places = Places::new(&now, &now);
    places.run(program::prediction(&now, prediction));
    StepCoefficients {
        sample: Form::new(places.at(SAMPLE_X)),
        step: Form::new(&step),
        clip,
    }
}

/// `(a, c)` of `x_prev = a x + c x0`: where the probability-flow ODE leads if the predicted clean sample stays what it is.
///
/// `a = n' / n`, `c = s' - s n' / n`, the latter without cancellation: `(ab' - ab) / (n (s' n + s n'))`. This is DDIM (Song et
/// al. 2021, equation 12 with sigma = 0) and the first order of DPM-Solver++ (Lu et al. 2022, where
/// `c = -s' expm1(-h)`). With `1 - ab = 0` it is `s' x0`.
pub(super) fn towards_sample(now: Level, next: Level) -> (Scaled, Signed) {
    if now.noise.is_zero() {
        return (Scaled::ZERO, Signed::plus(next.signal));
    }
    let gap = Scaled::from_q(next.alpha_bar_q62.abs_diff(now.alpha_bar_q62), 62);
    let (there, back) = (next.signal.mul(now.noise), now.signal.mul(next.noise));
    let c = gap.div(now.noise.mul(there.add(back)));
    let c = if next.alpha_bar_q62 < now.alpha_bar_q62 {
        Signed::minus(c)
    } else {
        Signed::plus(c)
    };
    (next.noise.div(now.noise), c)
}

/// `(sqrt(ab), sqrt(1 - ab))` in Q30, 0..=2^30: the noising q(x_t | x_0) (Ho et al. 2020, equation 4).
#[must_use]
pub fn noising(alpha_bar_q62: u64) -> (i32, i32) {
    let level = Level::new(alpha_bar_q62);
    let q30 = |s: Scaled| s.to_q(30).min(1 << 30) as i32;
    (q30(level.signal), q30(level.noise))
}

/// `sqrt(ab) x0 + sqrt(1 - ab) z` in Q24 with [`noising`]'s coefficients, one half-up rounding, saturated to +-2^30.
#[must_use]
#[inline]
pub fn add_noise(coefficients_q30: (i32, i32), x0_q24: i32, z_q24: i32) -> i32 {
    let (signal_q30, noise_q30) = coefficients_q30;
    let sum_q54 = i64::from(signal_q30) * i64::from(saturate_state(x0_q24))
        + i64::from(noise_q30) * i64::from(saturate_state(z_q24));
    ((sum_q54 + (1 << 29)) >> 30).clamp(-(1 << 30), 1 << 30) as i32
}

/// A noise level: the cumulative alpha and what is derived from it.
#[derive(Clone, Copy)]
pub(super) struct Level {
    pub alpha_bar_q62: u64,
    pub alpha_bar: Scaled,
    pub one_minus: Scaled,
    /// sqrt(ab).
    pub signal: Scaled,
    /// sqrt(1 - ab).
    pub noise: Scaled,
}

impl Level {
    /// The level that a network is asked about: under Epsilon not below [`EPSILON_ALPHA_BAR_FLOOR_Q62`].
    pub(super) fn asked(alpha_bar_q62: u64, prediction: Prediction) -> Self {
        let floor_q62 = if prediction == Prediction::Epsilon {
            EPSILON_ALPHA_BAR_FLOOR_Q62
        } else {
            0
        };
        Self::new(alpha_bar_q62.max(floor_q62))
    }

    pub(super) fn new(alpha_bar_q62: u64) -> Self {
        let alpha_bar_q62 = alpha_bar_q62.min(ALPHA_BAR_ONE_Q62);
        let alpha_bar = Scaled::from_q(alpha_bar_q62, 62);
        let one_minus = Scaled::from_q(ALPHA_BAR_ONE_Q62 - alpha_bar_q62, 62);
        Self {
            alpha_bar_q62,
            alpha_bar,
            one_minus,
            signal: alpha_bar.sqrt(),
            noise: one_minus.sqrt(),
        }
    }
}

/// Places of this program's own: what depends on eta, and the standard deviations of what is predicted and of what is drawn.
const ETA_SQUARED: u8 = OWN;
const REST: u8 = OWN + 1;
const GAP: u8 = OWN + 2;
const DIRECTION: u8 = OWN + 3;
/// The step's last coefficient.
const SIGMA: u8 = RESULT + 3;

impl Places {
    /// [`DIRECTION`] `sqrt(1 - ab_prev - sigma^2)`, and [`SIGMA`].
    ///
    /// Without cancellation: with `v = ab_prev (1 - ab)` and `u = ab (1 - ab_prev)`, `sigma^2 = eta^2 (1 - ab_prev)
    /// (ab_prev - ab) / v` and `1 - ab_prev - sigma^2 = (1 - ab_prev) ((1 - eta^2) v + eta^2 u) / v`.
    fn direction(&mut self, alpha_bar_q62: u64, next_q62: u64, eta_q16: u32) {
        if next_q62 <= alpha_bar_q62 {
            return self.run(&[(Times, DIRECTION, NEXT_NOISE, ONE)]);
        }
        let eta_squared_q32 = u64::from(eta_q16) * u64::from(eta_q16);
        let rest = Scaled::from_q(eta_squared_q32.abs_diff(1 << 32), 32);
        let negative = eta_squared_q32 > 1 << 32;
        self.set(ETA_SQUARED, Signed::plus(Scaled::from_q(eta_squared_q32, 32)));
        self.set(
            REST,
            if negative {
                Signed::minus(rest)
            } else {
                Signed::plus(rest)
            },
        );
        self.set(GAP, Signed::plus(Scaled::from_q(next_q62 - alpha_bar_q62, 62)));
        self.run(&[
            (Times, A, NEXT_ALPHA_BAR, ONE_MINUS),
            (Times, B, ALPHA_BAR, NEXT_ONE_MINUS),
            (Times, B, ETA_SQUARED, B),
            (Times, DIRECTION, REST, A),
            (Plus, DIRECTION, B, DIRECTION),
            (Over, DIRECTION, DIRECTION, A),
            (Times, DIRECTION, NEXT_ONE_MINUS, DIRECTION),
            (Root, DIRECTION, DIRECTION, ZERO),
            (Times, SIGMA, ETA_SQUARED, GAP),
            (Over, SIGMA, SIGMA, A),
            (Times, SIGMA, NEXT_ONE_MINUS, SIGMA),
            (Root, SIGMA, SIGMA, ZERO),
        ]);
    }
}

/// The coefficients of (x, out) in `signal * x0 + direction * eps`, with as few subtractions as there can be.
fn unclipped(now: &Level, prediction: Prediction) -> &'static [program::Instruction] {
    match prediction {
        Prediction::Epsilon => &[
            (Over, RESULT + 1, NEXT_SIGNAL, SIGNAL),
            (Times, A, RESULT + 1, NOISE),
            (Minus, RESULT + 2, DIRECTION, A),
        ],
        Prediction::V => &[
            (Times, RESULT + 1, NEXT_SIGNAL, SIGNAL),
            (Times, A, DIRECTION, NOISE),
            (Plus, RESULT + 1, RESULT + 1, A),
            (Times, A, DIRECTION, SIGNAL),
            (Times, B, NEXT_SIGNAL, NOISE),
            (Minus, RESULT + 2, A, B),
        ],
        Prediction::Sample if now.noise.is_zero() => &[(Times, RESULT + 2, NEXT_SIGNAL, ONE)],
        Prediction::Sample => &[
            (Over, RESULT + 1, DIRECTION, NOISE),
            (Times, A, RESULT + 1, SIGNAL),
            (Minus, RESULT + 2, NEXT_SIGNAL, A),
        ],
        // As in `program::prediction`.
        _ => &[],
    }
}
