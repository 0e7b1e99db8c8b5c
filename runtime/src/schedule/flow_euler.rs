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

use super::coefficients::StepCoefficients;
use super::form::{Form, Signed};
use super::rows::{INPUT_ONE_Q30, Row, Rows};
use crate::model::sampling::Spacing;
use crate::numeric::scaled::Scaled;

/// A level of noise: `n / d` before the shift.
#[derive(Clone, Copy)]
struct Level {
    n: u64,
    d: u64,
    /// Shares of noise and of signal, to the same scale.
    noise: Scaled,
    signal: Scaled,
    /// `sqrt(noise^2 + signal^2)`.
    norm: Scaled,
}

impl Level {
    fn new(n: u64, d: u64, shift: Scaled) -> Self {
        let (noise, signal) = (shift.mul(Scaled::from_q(n, 0)), Scaled::from_q(d - n, 0));
        let norm = noise.mul(noise).add(signal.mul(signal)).sqrt();
        Self {
            n,
            d,
            noise,
            signal,
            norm,
        }
    }

    /// The level of step `step`; the clean sample behind the last, `None` further on.
    ///
    /// Trailing: `n / d = (S - k) / S`. Linspace: even steps from 1 to the level of timestep 1, as diffusers spreads them; that level is
    /// shifted already, `f / (T - 1 + f)`.
    fn of_step(rows: &Rows<'_>, step: u32) -> Option<Self> {
        let steps = u64::from(rows.config.steps);
        let left = steps.checked_sub(step.into())?;
        let (n, d) = if left == 0 {
            (0, 1)
        } else if rows.config.spacing == Spacing::Trailing || steps == 1 {
            (left, steps)
        } else {
            let header = rows.model.header();
            let whole_q24 = u64::from(header.train_steps - 1) << 24;
            let d = (steps - 1) * (whole_q24 + u64::from(header.schedule.shift_q24()));
            (d - (steps - left) * whole_q24, d)
        };
        Some(Self::new(n, d, shift(rows)))
    }

    /// `noise + signal`.
    fn sum(self) -> Scaled {
        self.noise.add(self.signal)
    }
}

fn shift(rows: &Rows<'_>) -> Scaled {
    Scaled::from_q(rows.model.header().schedule.shift_q24().into(), 24)
}

/// The row of step `step`; `None` past the last.
#[inline(never)]
pub fn row(rows: &Rows<'_>, step: u32) -> Option<Row> {
    let (now, next) = (asked(rows, step)?, Level::of_step(rows, step + 1)?);
    let (input, plus) = (now.norm.div(now.sum()), Signed::plus);
    // The clean sample has no noise: it is x0.
    let [x, x0] = if next.n == 0 {
        [Scaled::ZERO, Scaled::ONE]
    } else {
        let scale = now.noise.mul(next.norm);
        let gap = Scaled::from_q(now.n - next.n, 0).mul(Scaled::from_q(now.d, 0));
        [next.noise.mul(now.norm).div(scale), shift(rows).mul(gap).div(scale)]
    };
    Some(Row {
        time_q16: time_q16(rows, step)?,
        input_q30: (input.to_q(30) as i32).clamp(1, INPUT_ONE_Q30),
        coefficients: StepCoefficients {
            sample: Form::new(&[plus(input), Signed::minus(now.noise.div(now.sum()))]),
            step: Form::new(&[plus(x0), Signed::ZERO, plus(x), Signed::ZERO]),
            clip: rows.config.clip,
        },
    })
}

/// The timestep of step `step`, `T s`, Q16; `None` past the last.
pub fn time_q16(rows: &Rows<'_>, step: u32) -> Option<u32> {
    let level = asked(rows, step)?;
    let steps = rows.model.header().train_steps;
    let time = Scaled::from_q(steps.into(), 0).mul(level.noise).div(level.sum());
    Some(time.to_q(16).min(u64::from(steps) << 16) as u32)
}

/// The shares of an image and of its noise in the state before step `step`, Q30; `None` past the last.
pub fn noising(rows: &Rows<'_>, step: u32) -> Option<(i32, i32)> {
    let level = asked(rows, step)?;
    let q30 = |share: Scaled| share.div(level.norm).to_q(30).min(1 << 30) as i32;
    Some((q30(level.signal), q30(level.noise)))
}

/// The level that the network is asked about in step `step`.
fn asked(rows: &Rows<'_>, step: u32) -> Option<Level> {
    Level::of_step(rows, step).filter(|level| level.n > 0)
}
