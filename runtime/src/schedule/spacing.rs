//! The timesteps of a run: a pure function of the step's number, so that nothing is stored.
//!
//! The values are diffusers' (`set_timesteps`), which NumPy computes in double precision.

use core::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// How the steps of a run are spread over the training timesteps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Spacing {
    /// `arange(S) * (T // S)`, reversed, plus the offset: diffusers' default.
    Leading,
    /// `round(arange(T, 0, -T/S)) - 1`.
    Trailing,
    /// `round(linspace(0, T - 1, S))`, reversed.
    Linspace,
    /// `floor(linspace(0, sqrt(0.8 T), S)^2)`, reversed: DDIM's CIFAR-10 experiments (Song et al. 2021, appendix D.2).
    Quadratic,
}

/// What the timestep before a timestep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PrevRule {
    /// The next one in the list: right for every spacing.
    List,
    /// `t - T // S`, as diffusers' `DDIMScheduler` does for every spacing (wrong unless the spacing is leading).
    Diffusers,
}

/// The largest number of training timesteps: 2^20 keeps every product below 2^63.
pub const MAX_TRAIN_STEPS: u32 = 1 << 20;

/// Timestep `index` of a run of `steps` out of `train_steps`, in sampling order (largest first).
///
/// Integer arithmetic throughout, and the values that NumPy gives diffusers, also where its own rounding errors carry
/// an exact half to one side (S = 27 under linspace, S = 48 under trailing, of T = 1000). `offset` (diffusers' `steps_offset`) is added under
/// [`Spacing::Leading`] only; the result is kept in `0..train_steps`. One step alone starts at `offset` (leading, as
/// diffusers), `T - 1` (trailing and linspace) or `floor(0.8 T)` (quadratic).
/// `None` if `steps` is 0 or above `train_steps`, `index >= steps`, or `train_steps` above [`MAX_TRAIN_STEPS`].
#[must_use]
pub fn timestep(spacing: Spacing, train_steps: u32, steps: u32, offset: i32, index: u32) -> Option<u32> {
    if steps == 0 || steps > train_steps || index >= steps || train_steps > MAX_TRAIN_STEPS {
        return None;
    }
    let (total, count, from_end) = (u64::from(train_steps), u64::from(steps), u64::from(steps - 1 - index));
    let last = total - 1;
    let t = match spacing {
        Spacing::Leading => (from_end * (total / count)).saturating_add_signed(i64::from(offset)),
        Spacing::Trailing => {
            divide_rounded(total * (from_end + 1), count, || trailing_lean(total, count)).saturating_sub(1)
        }
        Spacing::Linspace if count == 1 => last,
        Spacing::Linspace => divide_rounded(last * from_end, count - 1, || linspace_lean(last, count - 1, from_end)),
        Spacing::Quadratic if count == 1 => 4 * total / 5,
        Spacing::Quadratic => 4 * total * from_end * from_end / (5 * (count - 1) * (count - 1)).max(1),
    };
    Some(t.min(last) as u32)
}

/// The timestep that step `index` goes to; `None` where that is before the first, so that the schedule's final alpha
/// (1, or the first one) is what counts, and wherever [`timestep`] gives `None` for `index` itself.
#[must_use]
pub fn prev_timestep(
    rule: PrevRule,
    spacing: Spacing,
    train_steps: u32,
    steps: u32,
    offset: i32,
    index: u32,
) -> Option<u32> {
    match rule {
        PrevRule::List => timestep(spacing, train_steps, steps, offset, index.checked_add(1)?),
        PrevRule::Diffusers => {
            timestep(spacing, train_steps, steps, offset, index)?.checked_sub(train_steps.checked_div(steps)?)
        }
    }
}

/// `n / d` to the nearest integer; at an exact half, the side that `lean` names, or the even one. `d` is not zero (a zero
/// one gives `n`).
fn divide_rounded(n: u64, d: u64, lean: impl FnOnce() -> Ordering) -> u64 {
    let d = d.max(1);
    let (quotient, remainder) = (n / d, n % d);
    match (2 * remainder).cmp(&d) {
        Ordering::Less => quotient,
        Ordering::Greater => quotient + 1,
        Ordering::Equal => match lean() {
            Ordering::Less => quotient,
            Ordering::Equal => quotient + (quotient & 1),
            Ordering::Greater => quotient + 1,
        },
    }
}

/// The side of an exact half on which NumPy's double-precision `i * (last / d)` falls.
///
/// The quotient, rounded to 53 bits, is off by `error / (d 2^k)`; the product is the half itself unless `i` times that
/// passes half a unit of its own last place.
fn linspace_lean(last: u64, d: u64, i: u64) -> Ordering {
    let d = d.max(1);
    let exponent = ilog2(last / d);
    let error = rounding_error(last, d, 52 - exponent);
    let product_exponent = ilog2(last * i / d);
    if 2 * i * error.unsigned_abs() > d << (product_exponent - exponent) {
        error.cmp(&0)
    } else {
        Ordering::Equal
    }
}

/// The side of an exact half on which NumPy's double-precision `arange(T, 0, -T/S)` falls: it multiplies the difference
/// of its first two elements, T/S rounded to the last place of `T - T/S`; everything after that is exact.
fn trailing_lean(total: u64, count: u64) -> Ordering {
    let count = count.max(1);
    let second_exponent = ilog2(total * (count - 1) / count);
    0.cmp(&rounding_error(total, count, 52 - second_exponent))
}

/// `(round(n / d * 2^k) - n / d * 2^k) * d`: never an exact half, as k > 20 > log2(d).
fn rounding_error(n: u64, d: u64, k: u32) -> i64 {
    let remainder = (0..k).fold(n % d, |r, _| 2 * r % d);
    if 2 * remainder > d {
        (d - remainder) as i64
    } else {
        -(remainder as i64)
    }
}

/// Position of the highest bit; 0 for 0.
fn ilog2(v: u64) -> u32 {
    v.checked_ilog2().unwrap_or(0)
}
