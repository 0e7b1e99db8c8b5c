//! f16 attention, a row of scores at a time. Dot products and sums run over channels and positions in order.

use crate::numeric::float::exp_f32;
use crate::numeric::float::{load, store};
use crate::tensor::view::{Operand, View, ViewMut};

/// Parameters of an attention.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Heads.
    pub heads: usize,
    /// Channels.
    pub channels: usize,
    /// Positions.
    pub positions: usize,
    /// `1 / sqrt(d)`.
    pub scale: f32,
}

/// Runs the attention; `scores` holds one f32 a position.
pub fn attention(q: &Operand<'_>, k: &View<'_>, v: &View<'_>, a: &Heads, scores: &mut [f32], out: &mut ViewMut<'_>) {
    let depth = a.channels / a.heads;
    for row in 0..a.positions {
        for head in 0..a.heads {
            let channels = head * depth..(head + 1) * depth;
            let mut top = f32::NEG_INFINITY;
            for (j, score) in scores.iter_mut().enumerate() {
                let mut dot = 0.0;
                for channel in channels.clone() {
                    let query = load(q.get(out, row * a.channels + channel) as u16);
                    dot += query * load(k.get(j * a.channels + channel) as u16);
                }
                *score = dot * a.scale;
                top = if *score > top { *score } else { top };
            }
            let mut total = 0.0;
            for score in scores.iter_mut() {
                *score = exp_f32(*score - top);
                total += *score;
            }
            for channel in channels {
                let mut sum = 0.0;
                for (j, &weight) in scores.iter().enumerate() {
                    sum += weight * load(v.get(j * a.channels + channel) as u16);
                }
                out.set(row * a.channels + channel, store(sum / total));
            }
        }
    }
}
