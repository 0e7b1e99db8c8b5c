//! Integer attention, one row of scores at a time: no `N x N` buffer.
//!
//! For a query row: `t_j = requantize(q . k_j)` in Q16 of log2 units; `e_j = 2^-(max t - t_j)` in Q16 (see
//! [`exp2_neg_q16`]); `r = floor(2^46 / sum e)`; `p_j = (e_j * r + 2^30) >> 31`, Q15; `out = requantize(sum p_j v_j)`.

use crate::family::{Family, Native, Rescale};
use crate::features::MODULATES;
use crate::numeric::exp2::exp2_neg_q16;
use crate::numeric::requant::{Requant, WideRequant, saturate_i8};
use crate::tensor::view::{Operand, View, ViewMut};

/// Parameters of an attention.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Heads; a head is a contiguous range of channels.
    pub heads: usize,
    /// Channels, a multiple of the heads.
    pub channels: usize,
    /// Positions N.
    pub positions: usize,
    /// From `q . k` to Q16 log2 units: `scale_q * scale_k * log2(e) / sqrt(d) * 2^16`.
    pub score: WideRequant,
    /// From Q15 probabilities times v to the output.
    pub out_requant: Requant,
}

/// Runs the attention; `scores` holds N words. Zero points of q, k and v are 0.
pub fn attention(q: &Operand<'_>, k: &View<'_>, v: &View<'_>, a: &Heads, scores: &mut [i32], out: &mut ViewMut<'_>) {
    let depth = a.channels / a.heads;
    let mut pairs = [0; DEPTH / 2];
    for at in (0..a.positions * a.channels).step_by(depth) {
        let (first, head) = (at % a.channels, at..at + depth);
        // In place, a head of q is read before its outputs take its memory.
        let q = match q {
            Operand::Apart(q) => q.part(head),
            Operand::InPlace { zero } => out.as_view().part(head).with_zero(*zero),
        };
        if MODULATES
            && Native::ATTENDS
            && let (View::I8(own, _), View::I8(k, _), View::I8(v, _)) = (&q, k, v)
            && let Some(shares) = quick(own, &k[first..], a, &mut pairs, scores)
        {
            for channel in (0..depth).step_by(TILE) {
                let mut sums = [0; TILE];
                Native::weigh_pairs8(shares, &v[first + channel..], a.channels, &mut sums);
                store(a.out_requant, &sums, at + channel, out);
            }
            continue;
        }
        let top = score(&q, k, first, a, scores);
        normalize(scores, top);
        for channel in (0..depth).step_by(TILE) {
            let mut sums = [0; TILE];
            let sums = &mut sums[..(depth - channel).min(TILE)];
            weigh(scores, v, first + channel, a.channels, sums);
            for (i, sum) in sums.iter().enumerate() {
                out.set(at + channel + i, a.out_requant.apply(*sum));
            }
        }
    }
}

/// Stores a tile of sums from `at` on.
#[inline(always)]
fn store(requant: Requant, sums: &[i32; TILE], at: usize, out: &mut ViewMut<'_>) {
    let mut sums = *sums;
    requant.apply_all(&mut sums);
    match out {
        ViewMut::I8(data, zero) => {
            for (to, sum) in data[at..at + TILE].iter_mut().zip(sums) {
                *to = saturate_i8(sum.saturating_add(*zero));
            }
        }
        _ => (at..).zip(sums).for_each(|(at, sum)| out.put(at, sum)),
    }
}

/// Channels of a head up to which there is [`quick`].
const DEPTH: usize = 64;

/// Shares of a head of int8 by the family's kernels, in pairs; `None` where its numbers are not for them, and what was in `scores` is lost.
#[inline(never)]
fn quick<'s>(q: &[i8], k: &[i8], a: &Heads, pairs: &mut [i32; DEPTH / 2], scores: &'s mut [i32]) -> Option<&'s [i32]> {
    // A factor of 31 bits, and left shifts of the query and of the product, bring a score to the next one's high word.
    let (mult, shift) = (a.score.mult << 9, u32::from(a.score.shift) + 9);
    let up = 33u32.saturating_sub(shift);
    let of_query = up.min(8);
    let words = q.len().is_multiple_of(8) && a.channels.is_multiple_of(4) && scores.len().is_multiple_of(4);
    // A product of int8 is at most 2^14.
    let fits = up < 17 && shift + up < 64 && ((q.len() as u64) << 14 << up) < 1 << 31;
    if !(words && fits && k.as_ptr().cast::<i32>().is_aligned()) {
        return None;
    }
    let pairs: &mut [i16] = bytemuck::cast_slice_mut(pairs.get_mut(..q.len() / 2)?);
    for (to, q) in pairs.as_chunks_mut::<4>().0.iter_mut().zip(q.as_chunks::<4>().0) {
        *to = [q[0], q[2], q[1], q[3]].map(|q| i16::from(q) << of_query);
    }
    let factor = Rescale {
        mult,
        half: 1 << (shift + up - 33),
        shift: shift + up - 32,
    };
    let top = Native::scores8(pairs, k, a.channels, up - of_query, &factor, scores);
    let total = Native::powers(scores, top);
    // At most 2^30: at least one power is 1. Near that a share has more than 15 bits.
    let reciprocal = ((1u64 << 46) / u64::from(total.max(1 << 16))) as u32;
    if reciprocal >= (1 << 30) - (1 << 14) {
        return None;
    }
    Native::shares(scores, 2 * reciprocal as i32);
    scores.get(..scores.len() / 2)
}

/// Scores of a head's q with every k, of which it takes the channels from `first` on; the largest score.
#[inline(never)]
pub(super) fn score(q: &View<'_>, k: &View<'_>, first: usize, a: &Heads, scores: &mut [i32]) -> i32 {
    let mut top = i32::MIN;
    let mut from = first;
    for score in scores {
        let key = from..from + q.len();
        let acc = match (q, k) {
            (View::I16(q), View::I16(k)) => Native::dot16(q, &k[key]),
            (View::I8(q, _), View::I8(k, _)) => i64::from(Native::dot8(q, &k[key])),
            _ => key.enumerate().map(|(c, key)| i64::from(q.get(c) * k.get(key))).sum(),
        };
        *score = a.score.apply(acc);
        top = top.max(*score);
        from += a.channels;
    }
    top
}

/// Channels whose sums are held at once.
pub(super) const TILE: usize = 4;

/// `sum p_j v_j` for a few channels from `first` on.
pub(super) fn weigh(scores: &[i32], v: &View<'_>, first: usize, channels: usize, sums: &mut [i32]) {
    if let Ok(sums) = <&mut [i32; TILE]>::try_from(&mut *sums) {
        match v {
            View::I16(v) => return Native::weigh16(scores, &v[first..], channels, sums),
            View::I8(v, _) => return Native::weigh8(scores, &v[first..], channels, sums),
            _ => {}
        }
    }
    for (i, sum) in sums.iter_mut().enumerate() {
        *sum = match v {
            View::I8(v, _) => weigh_one(scores, v, first + i, channels),
            View::I16(v) => weigh_one(scores, v, first + i, channels),
            View::F16(_) | View::Q24(_) => 0,
        };
    }
}

/// `sum p_j v_j` for the channel `at`.
fn weigh_one<T: Copy + Into<i32>>(scores: &[i32], v: &[T], at: usize, channels: usize) -> i32 {
    let values = v.get(at..).unwrap_or_default().iter().step_by(channels);
    scores.iter().zip(values).map(|(p, v)| p * (*v).into()).sum()
}

/// Scores to probabilities, Q15, in place.
pub(super) fn normalize(scores: &mut [i32], top: i32) {
    let mut total = 0u64;
    for score in scores.iter_mut() {
        let power = exp2_neg_q16(top.abs_diff(*score));
        total += u64::from(power);
        *score = power as i32;
    }
    // The largest power is 1, so the reciprocal has at most 30 bits.
    let reciprocal = ((1u64 << 46) / total.max(1 << 16)) as u32;
    for score in scores.iter_mut() {
        // Doubled, so that the shift by 31 is the product's high word.
        *score = ((u64::from(2 * *score as u32) * u64::from(reciprocal) + (1 << 31)) >> 32) as i32;
    }
}
