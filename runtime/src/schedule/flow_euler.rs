//! Euler's method for flow matching, over continuous noise levels.
//!
//! Lipman, Chen, Ben-Hamu, Nickel and Le, "Flow matching for generative modeling", ICLR 2023, and Liu, Gong and Liu, "Flow straight and
//! fast", ICLR 2023: `x_s = (1 - s) x0 + s z`, and the network gives the velocity `v = z - x0`. A step from level s to s' is
//! `x' = x + (s' - s) v`. Levels and their shift are those of Esser et al., "Scaling rectified flow transformers", ICML 2024, equation 23,
//! as diffusers' `FlowMatchEulerDiscreteScheduler` has them.
//!
//! A level is a ratio of two parts, `s = u / (u + w)` with u of noise and w of signal, which the shift f makes `u = f n`, `w = d - n` of
//! whole numbers n and d. The state is kept at unit variance, `y = x / r` with `r = sqrt(u^2 + w^2) / (u + w)`, so that the network's input
//! is `r y`; nothing cancels:
//!
//! ```text
//! x0 = r y - s v        y' = (u' |u, w|) / (u |u', w'|) y + f d (n - n') / (u |u', w'|) x0
//! ```
//!
//! Of EDM the same holds with w = 1 and s = u = sigma, where `sigma - sigma'` stands for `f d (n - n')`.

use super::continuous::Level;
use super::edm;
use super::form::Signed;
use super::rows::Rows;
use crate::features::Feature;
use crate::model::sampling::{Levels, Spacing};
use crate::numeric::scaled::Scaled;

/// The level of step `step`; the clean sample behind the last, `None` further on.
///
/// Trailing: `n / d = (S - k) / S`. Linspace: even steps from 1 to the level of timestep 1, as diffusers spreads them; that level is
/// shifted already, `f / (T - 1 + f)`.
pub(super) fn level(rows: &Rows<'_>, step: u32) -> Option<Level> {
    let steps = u64::from(rows.config.steps);
    let left = steps.checked_sub(step.into())?;
    let (n, d) = if rows.config.spacing == Spacing::Trailing || steps == 1 {
        (left, steps)
    } else {
        let header = rows.model.header();
        let whole_q24 = u64::from(header.train_steps - 1) << 24;
        let d = (steps - 1) * (whole_q24 + u64::from(header.schedule.shift_q24()));
        // The clean sample has the same d, so that lengths are to one scale.
        let n = if left == 0 { 0 } else { d - (steps - left) * whole_q24 };
        (n, d)
    };
    let (noise, signal) = (shift(rows).mul(Scaled::from_q(n, 0)), Scaled::from_q(d - n, 0));
    Some(Level::of_shares(n, d, noise, signal))
}

fn shift(rows: &Rows<'_>) -> Scaled {
    Scaled::from_q(rows.model.header().schedule.shift_q24().into(), 24)
}

/// `(tau - tau') sum sum'` of two levels, without cancellation.
pub(super) fn gap(rows: &Rows<'_>, now: &Level, next: &Level) -> Scaled {
    if Feature::Edm.is_built() && rows.levels().is(Levels::Edm) {
        return edm::gap(now, next);
    }
    let whole = Scaled::from_q(now.n - next.n, 0).mul(Scaled::from_q(now.d, 0));
    shift(rows).mul(whole)
}

/// Euler's step, over (x0, -, y, -).
pub(super) fn step(rows: &Rows<'_>, now: &Level, next: &Level) -> [Signed; 4] {
    // The clean sample has no noise: it is x0.
    let [x, x0] = if next.n == 0 {
        [Scaled::ZERO, Scaled::ONE]
    } else {
        let scale = now.noise.mul(next.norm);
        [next.noise.mul(now.norm).div(scale), gap(rows, now, next).div(scale)]
    };
    [Signed::plus(x0), Signed::ZERO, Signed::plus(x), Signed::ZERO]
}

/// The timestep of a level, `T s`, Q16.
pub(super) fn time_q16(rows: &Rows<'_>, level: &Level) -> u32 {
    let steps = rows.model.header().train_steps;
    let time = Scaled::from_q(steps.into(), 0).mul(level.noise).div(level.sum);
    time.to_q(16).min(u64::from(steps) << 16) as u32
}
