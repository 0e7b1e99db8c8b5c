//! The timesteps of a run: a pure function of the step's number, so that nothing is stored.
//!
//! The values are diffusers' (`set_timesteps`), which NumPy computes in double precision.

use core::cmp::Ordering;

use crate::numeric::divide::{continued, divide};

pub use crate::model::sampling::{PrevRule, Spacing};

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
    let from_end = steps - 1 - index;
    let (n, d) = fraction(spacing, train_steps, steps, from_end);
    let (quotient, remainder) = divide(n, d);
    let (quotient, twice) = (quotient as u32, 2 * remainder);
    let rounded = || {
        let up = if twice == d {
            match lean(spacing, train_steps, steps, from_end, quotient) {
                // The even one.
                Ordering::Equal => quotient & 1 == 1,
                side => side == Ordering::Greater,
            }
        } else {
            twice > d
        };
        quotient + u32::from(up)
    };
    let t = match spacing {
        Spacing::Leading => (from_end * quotient).saturating_add_signed(offset),
        Spacing::Trailing => rounded().saturating_sub(1),
        Spacing::Linspace => rounded(),
        Spacing::Quadratic => quotient,
    };
    Some(t.min(train_steps - 1))
}

/// Whether a run of `steps` steps begins within the schedule: under [`Spacing::Leading`] an `offset` may push its first timestep past the
/// last, where [`timestep`] would keep it in range by another timestep than the checkpoint means.
#[must_use]
pub fn begins_within(spacing: Spacing, train_steps: u32, steps: u32, offset: i32) -> bool {
    // The first timestep is `steps - 1` gaps after the last: below `train_steps`.
    let gap = train_steps.checked_div(steps);
    spacing != Spacing::Leading || gap.is_none_or(|gap| offset < (train_steps - (steps - 1) * gap).cast_signed())
}

/// The gaps of the spacings that reach from one end to the other, and how many of them the step is from the end: a step alone is at
/// the end.
fn gaps(steps: u32, from_end: u32) -> (u64, u64) {
    if steps == 1 {
        (1, 1)
    } else {
        ((steps - 1).into(), from_end.into())
    }
}

/// The timestep before it is rounded, as numerator and denominator; of leading spacing the timesteps of a gap.
#[inline(never)]
fn fraction(spacing: Spacing, train_steps: u32, steps: u32, from_end: u32) -> (u64, u64) {
    let (total, count) = (u64::from(train_steps), u64::from(steps));
    let (gaps, place) = gaps(steps, from_end);
    match spacing {
        Spacing::Leading => (total, count),
        Spacing::Trailing => (total * u64::from(from_end + 1), count),
        Spacing::Linspace => ((total - 1) * place, gaps),
        Spacing::Quadratic => (4 * total * (place * place), 5 * (gaps * gaps)),
    }
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
    let at = |index| timestep(spacing, train_steps, steps, offset, index);
    goes_to(rule, train_steps, steps, at(index)?, || at(index.checked_add(1)?))
}

/// [`prev_timestep`] of a step that begins at timestep `t`; `listed` is the next one in the list.
#[inline(always)]
pub(super) fn goes_to(
    rule: PrevRule,
    train_steps: u32,
    steps: u32,
    t: u32,
    listed: impl FnOnce() -> Option<u32>,
) -> Option<u32> {
    match rule {
        PrevRule::List => listed(),
        PrevRule::Diffusers => t.checked_sub(train_steps.checked_div(steps)?),
    }
}

/// The side of an exact half above `floor` on which NumPy's double precision falls.
///
/// Linspace is `i * (last / d)`. The quotient, rounded to 53 bits, is off by `error / (d 2^k)`; the product is the half itself unless
/// `i` times that passes half a unit of its own last place. Trailing is `arange(T, 0, -T/S)`: it multiplies the difference of its first
/// two elements, T/S rounded to the last place of `T - T/S`; everything after that is exact.
#[cold]
#[inline(never)]
fn lean(spacing: Spacing, train_steps: u32, steps: u32, from_end: u32, floor: u32) -> Ordering {
    let total = u64::from(train_steps);
    if spacing == Spacing::Trailing {
        let count = u64::from(steps);
        return 0.cmp(&rounding_error(total, count, total * (count - 1)).0);
    }
    let (d, i) = gaps(steps, from_end);
    let (error, exponent) = rounding_error(total - 1, d, total - 1);
    if 2 * i * error.unsigned_abs() > d << (ilog2(floor.into()) - exponent) {
        error.cmp(&0)
    } else {
        Ordering::Equal
    }
}

/// `(round(n / d * 2^k) - n / d * 2^k) * d`, where 2^(k - 52) is the last place of `like / d`, and the exponent of that. Never an
/// exact half, as k > 20 > log2(d).
fn rounding_error(n: u64, d: u64, like: u64) -> (i64, u32) {
    let exponent = ilog2(divide(like, d).0);
    let (_, remainder) = continued(divide(n, d).1, 0, 52 - exponent, d);
    let error = if 2 * remainder > d {
        (d - remainder) as i64
    } else {
        -(remainder as i64)
    };
    (error, exponent)
}

/// Position of the highest bit; 0 for 0.
fn ilog2(v: u64) -> u32 {
    v.checked_ilog2().unwrap_or(0)
}
