//! Integer attention, one row of scores at a time: no `N x N` buffer.
//!
//! For a query row: `t_j = requantize(q . k_j)` in Q16 of log2 units; `e_j = 2^-(max t - t_j)` in Q16 (see
//! [`exp2_neg_q16`]); `r = floor(2^46 / sum e)`; `p_j = (e_j * r + 2^30) >> 31`, Q15; `out = requantize(sum p_j v_j)`.

use crate::family::{Family, Native};
use crate::numeric::exp2::exp2_neg_q16;
use crate::numeric::requant::{Requant, WideRequant};
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
    for at in (0..a.positions * a.channels).step_by(depth) {
        let (first, head) = (at % a.channels, at..at + depth);
        // In place, a head of q is read before its outputs take its memory.
        let q = match q {
            Operand::Apart(q) => q.part(head),
            Operand::InPlace { zero } => out.as_view().part(head).with_zero(*zero),
        };
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
        let weighted = scores.iter().enumerate();
        *sum = weighted.map(|(j, p)| p * v.get(j * channels + first + i)).sum();
    }
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
