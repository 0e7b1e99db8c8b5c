//! SiLU alone, softmax, nearest-neighbour x2, mean over 2x2.

use super::view::{Operand, View, ViewMut};
use crate::numeric::exp2::exp2_neg_q16;
use crate::numeric::requant::Requant;
use crate::numeric::sigmoid::silu_q16;

/// `out = requantize(silu(requantize(in)))` through Q16.
pub fn silu(src: &Operand<'_>, in_requant: Requant, out_requant: Requant, out: &mut ViewMut<'_>) {
    for i in 0..out.len() {
        let x_q16 = in_requant.times(src.at(out, i));
        out.put(i, out_requant.times(silu_q16(x_q16)));
    }
}

/// Softmax over `channels` of each position, Q15: as in [`super::attention`], with powers computed twice instead of held.
pub fn softmax(src: &View<'_>, channels: usize, in_requant: Requant, out: &mut ViewMut<'_>) {
    let score = |i| in_requant.apply(src.get(i));
    for from in (0..out.len()).step_by(channels.max(1)) {
        let row = from..from + channels;
        let top = row.clone().map(score).fold(i32::MIN, i32::max);
        let power = |i| exp2_neg_q16(top.abs_diff(score(i)));
        let total: u64 = row.clone().map(|i| u64::from(power(i))).sum();
        let reciprocal = (1u64 << 46) / total.max(1 << 16);
        for i in row {
            out.set(i, ((u64::from(power(i)) * reciprocal + (1 << 30)) >> 31) as i32);
        }
    }
}

/// Each position four times. `size` is the input's rows and columns. Any number format.
pub fn upsample(src: &View<'_>, size: [usize; 2], channels: usize, out: &mut ViewMut<'_>) {
    for y in 0..2 * size[0] {
        for x in 0..2 * size[1] {
            let from = ((y / 2) * size[1] + x / 2) * channels;
            let to = (y * 2 * size[1] + x) * channels;
            for c in 0..channels {
                out.set(to + c, src.get(from + c));
            }
        }
    }
}

/// `(a + b + c + d + 2) >> 2` over 2x2 windows. `size` is the output's rows and columns, `width` the input's columns.
pub fn avg_pool(src: &View<'_>, size: [usize; 2], width: usize, channels: usize, out: &mut ViewMut<'_>) {
    for y in 0..size[0] {
        for x in 0..size[1] {
            let from = (2 * y * width + 2 * x) * channels;
            let to = (y * size[1] + x) * channels;
            for c in 0..channels {
                let window = [0, channels, width * channels, (width + 1) * channels];
                let sum: i32 = window.iter().map(|step| src.get(from + c + step)).sum();
                out.set(to + c, (sum + 2) >> 2);
            }
        }
    }
}
