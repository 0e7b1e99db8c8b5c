//! Continuous noise levels: what those of flow matching and of EDM have in common, and the rows of the samplers on them.
//!
//! A level is two parts, u of noise and w of signal, and a whole: `x = (w x0 + u z) / sum`. In `tau = u / sum`, which is the share s of
//! flow matching and EDM's sigma, the probability flow is `dx / dtau = (x - x0) / tau`. The state is kept at unit variance, `y = x / r`
//! with `r = sqrt(u^2 + w^2) / sum`.

use super::coefficients::StepCoefficients;
use super::form::{Form, Signed};
use super::rows::{INPUT_ONE_Q30, Row, Rows};
use super::{consistency, edm, flow_euler, second};
use crate::features::Feature;
use crate::model::sampling::{Levels, Method};
use crate::numeric::log::neg_ln_u64_q57;
use crate::numeric::scaled::Scaled;
use crate::numeric::table::LN_2_Q57;

/// A level of noise.
#[derive(Clone, Copy)]
pub(super) struct Level {
    /// Of flow matching, `n / d` before the shift; n is 0 exactly where there is no noise.
    pub n: u64,
    pub d: u64,
    /// Shares of noise and of signal, to the same scale, and the whole.
    pub noise: Scaled,
    pub signal: Scaled,
    pub sum: Scaled,
    /// `sqrt(noise^2 + signal^2)`.
    pub norm: Scaled,
}

impl Level {
    /// Of shares whose whole is their sum.
    pub(super) fn of_shares(n: u64, d: u64, noise: Scaled, signal: Scaled) -> Self {
        Self {
            n,
            d,
            noise,
            signal,
            sum: noise.add(signal),
            norm: noise.mul(noise).add(signal.mul(signal)).sqrt(),
        }
    }

    /// The level of step `step`; the clean sample behind the last, `None` further on.
    pub(super) fn of_step(rows: &Rows<'_>, step: u32) -> Option<Self> {
        if Feature::Edm.is_built() && rows.levels().is(Levels::Edm) {
            return edm::level(rows, step);
        }
        flow_euler::level(rows, step)
    }

    /// `tau`.
    pub(super) fn tau(&self) -> Scaled {
        self.noise.div(self.sum)
    }

    /// `r`.
    pub(super) fn scale(&self) -> Scaled {
        self.norm.div(self.sum)
    }
}

/// The row of call `call` of step `step`; `None` past the last, and where the step has no second call.
#[inline(never)]
pub(super) fn row(rows: &Rows<'_>, step: u32, call: u32, follows: bool) -> Option<Row> {
    let (now, next) = (begins(rows, step)?, Level::of_step(rows, step + 1)?);
    let level = asked(rows, step, call)?;
    let form = match rows.config.method {
        Method::FlowHeun if Feature::Heun.is_built() && call > 0 => second::heun(rows, &now, &next),
        Method::FlowMidpoint if Feature::Heun.is_built() => second::midpoint(rows, &now, &next, call),
        Method::FlowDpmSolver2M if Feature::DpmSolver.is_built() => {
            let before = step.checked_sub(1).filter(|_| follows);
            let before = before.and_then(|step| Level::of_step(rows, step));
            second::dpm_solver(rows, before, &now, &next)
        }
        Method::FlowConsistency if Feature::Consistency.is_built() => consistency::noised(&next),
        _ => flow_euler::step(rows, &now, &next),
    };
    let ([input, x], out) = if Feature::Edm.is_built() && rows.levels().is(Levels::Edm) {
        edm::preconditioned(rows, &level)
    } else {
        ([level.scale(); 2], Signed::minus(level.tau()))
    };
    Some(Row {
        time_q16: time_of(rows, &level),
        input_q30: (input.to_q(30) as i32).clamp(1, INPUT_ONE_Q30),
        coefficients: StepCoefficients {
            sample: Form::new(&[Signed::plus(x), out]),
            step: Form::new(&form),
            clip: rows.config.clip,
        },
    })
}

/// The timestep of a call, Q16; `None` as of [`row`].
pub(super) fn time_q16(rows: &Rows<'_>, step: u32, call: u32) -> Option<u32> {
    Some(time_of(rows, &asked(rows, step, call)?))
}

fn time_of(rows: &Rows<'_>, level: &Level) -> u32 {
    if Feature::Edm.is_built() && rows.levels().is(Levels::Edm) {
        return edm::time_q16(rows, level);
    }
    flow_euler::time_q16(rows, level)
}

/// The shares of an image and of its noise in the state before a call, Q30; `None` as of [`row`].
pub(super) fn noising(rows: &Rows<'_>, step: u32, call: u32) -> Option<(i32, i32)> {
    let level = asked(rows, step, call)?;
    let q30 = |share: Scaled| share.div(level.norm).to_q(30).min(1 << 30) as i32;
    Some((q30(level.signal), q30(level.noise)))
}

/// The natural logarithm, Q57, of what is not 0 and within 2^-60 to 2^60. Within 8.1e-12.
pub(super) fn ln_q57(v: Scaled) -> i64 {
    // The mantissa's upper bit is set: `v = (mant / 2^32) 2^(exp + 32)`.
    let whole = i64::from(v.exp()).clamp(-92, 28) + 32;
    whole * LN_2_Q57 as i64 - neg_ln_u64_q57(u64::from(v.mant()) << 32) as i64
}

/// The level that step `step` begins at.
fn begins(rows: &Rows<'_>, step: u32) -> Option<Level> {
    Level::of_step(rows, step).filter(|level| level.n > 0)
}

/// The level that the network is asked about in a call: the step's own, or where a second call is.
#[inline(always)]
fn asked(rows: &Rows<'_>, step: u32, call: u32) -> Option<Level> {
    let now = begins(rows, step)?;
    if !Method::BUILT.two_calls || call == 0 {
        return Some(now);
    }
    match rows.config.method {
        Method::FlowMidpoint => Some(second::between(&now, &Level::of_step(rows, step + 1)?)),
        _ => begins(rows, step + 1),
    }
}
