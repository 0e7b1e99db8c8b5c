//! Integer attention, one row of scores at a time: no `N x N` buffer.
//!
//! For a query row: `t_j = requantize(q . k_j)` in Q16 of log2 units; `e_j = 2^-(max t - t_j)` in Q16 (see
//! [`exp2_neg_q16`]); `r = floor(2^46 / sum e)`; `p_j = (e_j * r + 2^30) >> 31`, Q15; `out = requantize(sum p_j v_j)`.

use super::view::{Operand, View, ViewMut};
use crate::numeric::exp2::exp2_neg_q16;
use crate::numeric::requant::{Requant, WideRequant};

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
    for row in 0..a.positions {
        for head in 0..a.heads {
            let first = head * depth;
            let mut top = i32::MIN;
            for (j, score) in scores.iter_mut().enumerate() {
                let mut acc = 0i64;
                for channel in first..first + depth {
                    let product = q.get(out, row * a.channels + channel) * k.get(j * a.channels + channel);
                    acc += i64::from(product);
                }
                *score = a.score.apply(acc);
                top = top.max(*score);
            }
            normalize(scores, top);
            for channel in first..first + depth {
                let weighted = scores.iter().enumerate();
                let acc: i32 = weighted.map(|(j, p)| p * v.get(j * a.channels + channel)).sum();
                out.set(row * a.channels + channel, a.out_requant.apply(acc));
            }
        }
    }
}

/// Scores to probabilities, Q15, in place.
fn normalize(scores: &mut [i32], top: i32) {
    let mut total = 0u64;
    for score in scores.iter_mut() {
        let power = exp2_neg_q16(top.abs_diff(*score));
        total += u64::from(power);
        *score = power as i32;
    }
    let reciprocal = (1u64 << 46) / total.max(1);
    for score in scores.iter_mut() {
        *score = ((*score as u64 * reciprocal + (1 << 30)) >> 31) as i32;
    }
}
