//! The inner loops of an attention in plain Rust: what families that write none of their own compile.

use super::Windows;
use crate::family::{LANES, Line};
use mote_runtime::internals::numeric::exp2::exp2_neg_q16;
use mote_runtime::internals::numeric::requant::WideRequant;

/// The plain form of [`AttentionLoops::scores`](super::AttentionLoops::scores).
#[inline(always)]
pub(crate) fn scores(dots: &mut [[i32; LANES]], low: &[[i32; LANES]], factor: WideRequant) -> [i32; LANES] {
    let halves = !low.is_empty();
    for (i, dots) in dots.iter_mut().enumerate() {
        for (lane, dot) in dots.iter_mut().enumerate() {
            let sum = match halves {
                true => (i64::from(*dot) << 8) + i64::from(low[i][lane]),
                false => i64::from(*dot),
            };
            *dot = factor.apply(sum);
        }
    }
    tops(dots)
}

/// The largest of each lane.
#[inline(always)]
fn tops(scores: &[[i32; LANES]]) -> [i32; LANES] {
    let mut tops = [i32::MIN; LANES];
    for scores in scores {
        for (top, score) in tops.iter_mut().zip(scores) {
            *top = (*top).max(*score);
        }
    }
    tops
}

/// Scores of wide heads, from sums of 64 bits; the largest of each lane.
pub(super) fn deep_scores(
    queries: &[Line],
    keys: Windows<'_>,
    factor: WideRequant,
    to: &mut [[i32; LANES]],
) -> [i32; LANES] {
    let queries: &[[i16; 2 * LANES]] = bytemuck::cast_slice(queries);
    for (key, to) in keys.data.chunks(keys.step).zip(to.iter_mut()) {
        let key: &[i16] = bytemuck::cast_slice(&key[..4 * queries.len()]);
        let mut sums = [0i64; LANES];
        for (pair, queries) in key.chunks_exact(2).zip(queries) {
            for (lane, sum) in sums.iter_mut().enumerate() {
                for (i, &k) in pair.iter().enumerate() {
                    *sum += i64::from(i32::from(k) * i32::from(queries[2 * lane + i]));
                }
            }
        }
        *to = sums.map(|sum| factor.apply(sum));
    }
    tops(to)
}

/// The plain form of [`AttentionLoops::powers`](super::AttentionLoops::powers).
#[inline(always)]
pub(crate) fn powers(scores: &mut [[i32; LANES]], tops: &[i32; LANES]) -> [i32; LANES] {
    // At most 2^15 powers of at most 2^16: 32 bits without a sign hold their sum.
    let mut totals = [0i32; LANES];
    for scores in scores {
        for (lane, score) in scores.iter_mut().enumerate() {
            *score = exp2_neg_q16(tops[lane].abs_diff(*score)) as i32;
            totals[lane] = totals[lane].wrapping_add(*score);
        }
    }
    totals
}

/// The plain form of [`AttentionLoops::shares`](super::AttentionLoops::shares).
#[inline(always)]
pub(crate) fn shares(powers: &[[i32; LANES]], reciprocals: &[u32; LANES], to: &mut [Line]) {
    for (pair, to) in powers.chunks(2).zip(to) {
        let to: &mut [i16; 2 * LANES] = bytemuck::cast_mut(&mut to.0);
        to.fill(0);
        for (i, powers) in pair.iter().enumerate() {
            for (lane, &power) in powers.iter().enumerate() {
                let share = (u64::from(power as u32) * u64::from(reciprocals[lane]) + (1 << 30)) >> 31;
                to[2 * lane + i] = -(share as i32) as i16;
            }
        }
    }
}
