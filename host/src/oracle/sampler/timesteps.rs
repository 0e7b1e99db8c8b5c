//! Timesteps of a run, from the document's table; its rounding of exact halves in integers.

use mote_runtime::Config;
use mote_runtime::blob::header::Header;
use mote_runtime::schedule::spacing::{PrevRule, Spacing};

/// The timestep of step `index`; `None` past the last step.
pub fn timestep(header: &Header, config: &Config, index: u32) -> Option<u32> {
    let (t, s) = (i128::from(header.train_steps), i128::from(config.steps));
    if index >= config.steps {
        return None;
    }
    let j = s - 1 - i128::from(index);
    let value = match config.spacing {
        Spacing::Leading => j * (t / s) + i128::from(header.steps_offset),
        Spacing::Trailing => rounded(t * (j + 1), s, || trailing_lean(t, s)) - 1,
        Spacing::Linspace if s == 1 => t - 1,
        Spacing::Linspace => rounded((t - 1) * j, s - 1, || linspace_lean(t - 1, s - 1, j)),
        Spacing::Quadratic if s == 1 => 4 * t / 5,
        Spacing::Quadratic => 4 * t * j * j / (5 * (s - 1) * (s - 1)),
    };
    Some(value.clamp(0, t - 1) as u32)
}

/// The timestep that step `index` goes to; `None` before the schedule's first.
pub fn previous(header: &Header, config: &Config, index: u32) -> Option<u32> {
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
