//! The timesteps of a run: a pure function of the step's number, so that nothing is stored.

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
/// Exact rational arithmetic; ties round to even, as NumPy does. `offset` (diffusers' `steps_offset`) is added under
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
        Spacing::Trailing => divide_half_even(total * (from_end + 1), count).saturating_sub(1),
        Spacing::Linspace if count == 1 => last,
        Spacing::Linspace => divide_half_even(last * from_end, count - 1),
        Spacing::Quadratic if count == 1 => 4 * total / 5,
        Spacing::Quadratic => 4 * total * from_end * from_end / (5 * (count - 1) * (count - 1)),
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

/// `n / d`, ties to even. `d` is not zero (a zero one gives `n`).
fn divide_half_even(n: u64, d: u64) -> u64 {
    let d = d.max(1);
    let (quotient, remainder) = (n / d, n % d);
    match (2 * remainder).cmp(&d) {
        core::cmp::Ordering::Less => quotient,
        core::cmp::Ordering::Equal => quotient + (quotient & 1),
        core::cmp::Ordering::Greater => quotient + 1,
    }
}
