//! EDM: Karras, Aittala, Aila and Laine, "Elucidating the design space of diffusion-based generative models", NeurIPS 2022.
//!
//! `x = x0 + sigma z`, levels (equation 5) `sigma = (a + k / (S - 1) (b - a))^rho` between the roots a and b of the highest and the lowest
//! sigma, then 0. The network F is preconditioned (equation 7, table 1), with d the deviation of the data:
//!
//! ```text
//! x0 = c_skip x + c_out F(c_in x, ln(sigma) / 4)
//! c_skip = d^2 / (sigma^2 + d^2)     c_out = sigma d / sqrt(sigma^2 + d^2)     c_in = 1 / sqrt(sigma^2 + d^2)
//! ```
//!
//! The state is `y = x / sqrt(1 + sigma^2)`. The factor of the network's input is `c_in d`, at most 1; the file's input operator divides by
//! d. The timestep is T times the way of ln(sigma) from the lowest to the highest: the file's time features make `ln(sigma) / 4` of it.

use super::continuous::{Level, ln_q57};
use super::form::Signed;
use super::rows::Rows;
use crate::model::sampling::Edm;
use crate::numeric::divide::divide;
use crate::numeric::scaled::Scaled;

fn of(rows: &Rows<'_>) -> Edm {
    rows.model.header().schedule.edm()
}

/// The root of step `step`'s sigma, Q28, rounded half up.
fn root_q28(rows: &Rows<'_>, step: u32) -> u64 {
    let (edm, steps) = (of(rows), u64::from(rows.config.steps));
    let gaps = steps - 1;
    if gaps == 0 {
        return edm.highest_q28.into();
    }
    let done = u64::from(step).min(gaps);
    let sum = u64::from(edm.highest_q28) * (gaps - done) + u64::from(edm.lowest_q28) * done;
    divide(sum + gaps / 2, gaps).0
}

/// The level of step `step`; the clean sample behind the last, `None` further on.
pub(super) fn level(rows: &Rows<'_>, step: u32) -> Option<Level> {
    let left = rows.config.steps.checked_sub(step)?;
    let mut sigma = if left == 0 { Scaled::ZERO } else { Scaled::ONE };
    let root = Scaled::from_q(root_q28(rows, step), 28);
    for _ in 0..of(rows).rho {
        sigma = sigma.mul(root);
    }
    Some(Level {
        sum: Scaled::ONE,
        ..Level::of_shares(left.into(), 1, sigma, Scaled::ONE)
    })
}

/// `sigma - sigma'`.
pub(super) fn gap(now: &Level, next: &Level) -> Scaled {
    now.noise.sub(next.noise)
}

/// The factors of the network's input and of the state in x0, and that of the output in it.
pub(super) fn preconditioned(rows: &Rows<'_>, level: &Level) -> ([Scaled; 2], Signed) {
    let data = Scaled::from_q(of(rows).sigma_data_q24.into(), 24);
    let square = level.noise.mul(level.noise).add(data.mul(data));
    let root = square.sqrt();
    let input = data.mul(level.norm).div(root);
    let x = data.mul(data).mul(level.norm).div(square);
    ([input, x], Signed::plus(level.noise.mul(data).div(root)))
}

/// The timestep, Q16: `T ln(sigma / lowest) / ln(highest / lowest)`.
pub(super) fn time_q16(rows: &Rows<'_>, level: &Level) -> u32 {
    let (edm, steps) = (of(rows), rows.model.header().train_steps);
    let end = |root: u32| i64::from(edm.rho) * ln_q57(Scaled::from_q(root.into(), 28));
    let lowest = end(edm.lowest_q28);
    let rise = |to: i64| Scaled::from_q((to - lowest).max(0) as u64, 57);
    let way = rise(ln_q57(level.noise)).div(rise(end(edm.highest_q28)));
    let time = Scaled::from_q(steps.into(), 0).mul(way);
    time.to_q(16).min(u64::from(steps) << 16) as u32
}
