//! Timesteps of a run, from the document's table; its rounding of exact halves in integers.

use crate::file::header::Header;
use crate::request::{PrevRule, Request, Spacing};

/// The timestep of step `index`; `None` past the last step.
pub fn timestep(header: &Header, config: &Request, index: u32) -> Option<u32> {
    let offset = header.steps_offset;
    (index < config.steps).then(|| value(config.spacing, header.train_steps, config.steps, offset, index))
}

/// The timestep of step `index` of `steps` in a schedule of `train_steps`.
pub fn value(spacing: Spacing, train_steps: u32, steps: u32, offset: i32, index: u32) -> u32 {
    let (t, s) = (i128::from(train_steps), i128::from(steps));
    let j = s - 1 - i128::from(index);
    let value = match spacing {
        Spacing::Leading => j * (t / s) + i128::from(offset),
        Spacing::Trailing => rounded(t * (j + 1), s, || trailing_lean(t, s)) - 1,
        Spacing::Linspace if s == 1 => t - 1,
        Spacing::Linspace => rounded((t - 1) * j, s - 1, || linspace_lean(t - 1, s - 1, j)),
        Spacing::Quadratic if s == 1 => 4 * t / 5,
        Spacing::Quadratic => 4 * t * j * j / (5 * (s - 1) * (s - 1)),
    };
    value.clamp(0, t - 1) as u32
}

/// The timestep that step `index` goes to; `None` before the schedule's first.
pub fn previous(header: &Header, config: &Request, index: u32) -> Option<u32> {
    match config.prev {
        PrevRule::List => timestep(header, config, index + 1),
        PrevRule::Diffusers => timestep(header, config, index)?.checked_sub(header.train_steps / config.steps),
    }
}

/// `n / d` to the nearest integer; an exact half goes up for a positive lean, down for a negative one, else to even.
fn rounded(n: i128, d: i128, lean: impl Fn() -> i128) -> i128 {
    let floor = n / d;
    let up = match (2 * (n % d) - d).signum() {
        0 => match lean().signum() {
            0 => floor % 2 == 1,
            side => side > 0,
        },
        side => side > 0,
    };
    floor + i128::from(up)
}

/// `round(n * 2^k / d) * d - n * 2^k`.
fn error(n: i128, d: i128, k: u32) -> i128 {
    let scaled = n << k;
    (scaled + d / 2) / d * d - scaled
}

fn linspace_lean(n: i128, d: i128, j: i128) -> i128 {
    let e = ilog2(n / d);
    let p = ilog2(n * j / d);
    let error = error(n, d, 52 - e);
    if 2 * j * error.abs() > d << (p - e) { error } else { 0 }
}

fn trailing_lean(t: i128, s: i128) -> i128 {
    -error(t, s, 52 - ilog2(t * (s - 1) / s))
}

fn ilog2(v: i128) -> u32 {
    v.checked_ilog2().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// diffusers' lists as NumPy computes them, in double precision.
    fn numpy(spacing: Spacing, t: u32, s: u32, index: u32) -> u32 {
        match spacing {
            // linspace multiplies by a rounded step.
            Spacing::Linspace => {
                let step = f64::from(t - 1) / f64::from(s - 1);
                (f64::from(s - 1 - index) * step).round_ties_even() as u32
            }
            // arange multiplies by the difference of its first two elements.
            _ => {
                let (t, ratio) = (f64::from(t), f64::from(t) / f64::from(s));
                let difference = (t - ratio) - t;
                ((t + f64::from(index) * difference).round_ties_even() - 1.0) as u32
            }
        }
    }

    #[test]
    fn exact_halves_go_where_numpy_takes_them() {
        for t in [17, 60, 250, 1000, 1024] {
            for s in 2..=t {
                for spacing in [Spacing::Linspace, Spacing::Trailing] {
                    for index in 0..s {
                        let found = value(spacing, t, s, 0, index);
                        assert_eq!(
                            found,
                            numpy(spacing, t, s, index),
                            "{spacing:?}, step {index} of {s} in {t}"
                        );
                    }
                }
            }
        }
    }
}
