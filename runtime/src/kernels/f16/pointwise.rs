//! f16 input, timestep features, SiLU, softmax and mean over 2x2.

use super::{from_q24, load, store};
use crate::kernels::view::{Operand, View, ViewMut};
use crate::numeric::float::{exp_f32, silu_f32};

/// `scale * x + shift`.
pub fn input(x_q24: impl Iterator<Item = i32>, scale: f32, shift: f32, out: &mut ViewMut<'_>) {
    for (i, x) in x_q24.enumerate() {
        out.set(i, store(from_q24(x) * scale + shift));
    }
}

/// A Q15 timestep feature as f16.
pub fn feature(v_q15: i32) -> i32 {
    store(v_q15 as f32 * (1.0 / 32768.0))
}

/// SiLU alone.
pub fn silu(src: &Operand<'_>, out: &mut ViewMut<'_>) {
    for i in 0..out.len() {
        let x = load(src.get(out, i) as u16);
        out.set(i, store(silu_f32(x)));
    }
}

/// Softmax over `channels` of each position, in order.
pub fn softmax(src: &View<'_>, channels: usize, out: &mut ViewMut<'_>) {
    let score = |i| load(src.get(i) as u16);
    for from in (0..out.len()).step_by(channels.max(1)) {
        let row = from..from + channels;
        let mut top = f32::NEG_INFINITY;
        for i in row.clone() {
            top = if score(i) > top { score(i) } else { top };
        }
        let mut total = 0.0;
        for i in row.clone() {
            total += exp_f32(score(i) - top);
        }
        for i in row {
            out.set(i, store(exp_f32(score(i) - top) / total));
        }
    }
}

/// `(((a + b) + c) + d) * 0.25` over 2x2 windows, row by row.
pub fn avg_pool(src: &View<'_>, size: [usize; 2], width: usize, channels: usize, out: &mut ViewMut<'_>) {
    for y in 0..size[0] {
        for x in 0..size[1] {
            let from = (2 * y * width + 2 * x) * channels;
            for c in 0..channels {
                let at = |step: usize| load(src.get(from + c + step) as u16);
                let sum = ((at(0) + at(channels)) + at(width * channels)) + at((width + 1) * channels);
                out.set((y * size[1] + x) * channels + c, store(sum * 0.25));
            }
        }
    }
}
