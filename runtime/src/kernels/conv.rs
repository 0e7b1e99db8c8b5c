//! Integer convolution: an im2col column of int16, dot products, one rounding.
//!
//! `acc = bias + sum over taps of w * (q - zero_point)`; `out = requantize(acc)`, or with an addend
//! `out = (requantize(acc) + requantize(addend) + 2^(g-1)) >> g` with `g = ADD_GUARD_BITS`. Padding contributes 0.

use super::view::{Operand, View, ViewMut};
use crate::blob::int4;
use crate::numeric::requant::{Requant, WideRequant, add_guarded, saturate_i16};

/// A channel range of the input: its data, its channels, and the factor to the common int16 scale of a concatenation.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// `(row, col, channel)`.
    pub view: View<'a>,
    /// Channels of this part.
    pub channels: usize,
    /// Only for a concatenation.
    pub requant: Option<Requant>,
}

/// Shapes of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Geometry {
    /// Rows and columns of the stored input (before any x2).
    pub input: [usize; 2],
    /// Rows and columns of the output.
    pub output: [usize; 2],
    /// Output channels.
    pub outs: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Zeros at the top and at the left.
    pub pad: [usize; 2],
    /// Reads through a nearest-neighbour x2.
    pub upsample: bool,
}

/// Weights `(out, row, col, in)`, biases and factors.
#[derive(Debug, Clone, Copy)]
pub enum Filter<'a> {
    /// int8, int32 accumulator.
    W8 {
        /// Weights.
        data: &'a [i8],
        /// A channel.
        bias: &'a [i32],
        /// A channel.
        mult: &'a [i32],
        /// A channel.
        shift: &'a [u8],
    },
    /// int4, int32 accumulator.
    W4 {
        /// Words of eight taps, see [`int4`]; each row is padded to whole words.
        data: &'a [u32],
        /// A channel.
        bias: &'a [i32],
        /// A channel.
        mult: &'a [i32],
        /// A channel.
        shift: &'a [u8],
    },
    /// int16, int64 accumulator.
    W16 {
        /// Weights.
        data: &'a [i16],
        /// A channel: low word, high word.
        bias: &'a [[i32; 2]],
        /// A channel.
        mult: &'a [i32],
        /// A channel.
        shift: &'a [u8],
    },
}

/// A term added before the rounding.
#[derive(Debug, Clone, Copy)]
pub struct Addition<'a> {
    /// The other term.
    pub operand: Operand<'a>,
    /// Its factor, guard bits included.
    pub requant: Requant,
    /// One value a channel, not one a position and channel.
    pub broadcast: bool,
}

/// Runs the convolution; `column` holds `kernel * kernel * channels` elements.
pub fn conv(
    parts: &[Part<'_>],
    g: &Geometry,
    filter: &Filter<'_>,
    add: Option<Addition<'_>>,
    column: &mut [i16],
    out: &mut ViewMut<'_>,
) {
    let mut at = 0;
    for row in 0..g.output[0] {
        for col in 0..g.output[1] {
            gather(parts, g, row, col, column);
            for first in (0..g.outs).step_by(LANES) {
                let values = filter.apply(first, (g.outs - first).min(LANES), column);
                for (channel, value) in (first..g.outs).zip(values) {
                    let value = match &add {
                        None => value,
                        Some(term) => {
                            let i = if term.broadcast { channel } else { at + channel };
                            add_guarded(value, term.requant.apply(term.operand.get(out, i)))
                        }
                    };
                    out.set(at + channel, value);
                }
            }
            at += g.outs;
        }
    }
}

/// Output channels whose dot products share one pass over the column.
const LANES: usize = 4;

impl Filter<'_> {
    /// Requantized outputs of `lanes` channels from `first`; the rest is 0.
    #[inline(always)]
    fn apply(&self, first: usize, lanes: usize, column: &[i16]) -> [i32; LANES] {
        let mut values = [0; LANES];
        match *self {
            Self::W8 {
                data,
                bias,
                mult,
                shift,
            } => {
                let dots = dot8_lanes(column, &data[first * column.len()..], lanes);
                for (lane, value) in values.iter_mut().enumerate().take(lanes) {
                    let channel = first + lane;
                    let requant = Requant {
                        mult: mult[channel],
                        shift: shift[channel],
                    };
                    *value = requant.apply(bias[channel] + dots[lane]);
                }
            }
            Self::W4 {
                data,
                bias,
                mult,
                shift,
            } => {
                let words = int4::row_words(column.len());
                for (lane, value) in values.iter_mut().enumerate().take(lanes) {
                    let channel = first + lane;
                    let requant = Requant {
                        mult: mult[channel],
                        shift: shift[channel],
                    };
                    *value = requant.apply(bias[channel] + dot4(column, &data[channel * words..][..words]));
                }
            }
            Self::W16 {
                data,
                bias,
                mult,
                shift,
            } => {
                for (lane, value) in values.iter_mut().enumerate().take(lanes) {
                    let channel = first + lane;
                    let weights = &data[channel * column.len()..][..column.len()];
                    let acc = crate::blob::proof::wide_bias(bias[channel]) + dot16(column, weights);
                    let requant = WideRequant {
                        mult: mult[channel],
                        shift: shift[channel],
                    };
                    *value = requant.apply(acc);
                }
            }
        }
        values
    }
}

/// Dot products of `column` with `lanes` consecutive rows of weights: an activation is loaded once for four rows.
#[inline(always)]
fn dot8_lanes(column: &[i16], weights: &[i8], lanes: usize) -> [i32; LANES] {
    let n = column.len();
    if lanes < LANES {
        let mut dots = [0; LANES];
        for (dot, row) in dots.iter_mut().zip(weights.chunks_exact(n)).take(lanes) {
            *dot = dot8(column, row);
        }
        return dots;
    }
    let (a, rest) = weights.split_at(n);
    let (b, rest) = rest.split_at(n);
    let (c, rest) = rest.split_at(n);
    let mut dots = [0; LANES];
    for ((((&x, &a), &b), &c), &d) in column.iter().zip(a).zip(b).zip(c).zip(rest) {
        let x = i32::from(x);
        dots[0] += x * i32::from(a);
        dots[1] += x * i32::from(b);
        dots[2] += x * i32::from(c);
        dots[3] += x * i32::from(d);
    }
    dots
}

fn dot8(column: &[i16], weights: &[i8]) -> i32 {
    column
        .iter()
        .zip(weights)
        .map(|(&a, &w)| i32::from(a) * i32::from(w))
        .sum()
}

/// Dot product with a row of int4 weights; the padding after the last tap meets no activation.
fn dot4(column: &[i16], words: &[u32]) -> i32 {
    let group = |(taps, &word): (&[i16], &u32)| dot8(taps, &int4::unpack(word));
    column.chunks(int4::TAPS).zip(words).map(group).sum()
}

/// Taps over which the two halves of [`dot16`] stay within int32: `2^15 * 255 * 256 < 2^31`.
const HALVES: usize = 256;

/// The weight is split into a signed high and an unsigned low byte, so that the inner loop needs 32-bit arithmetic only.
fn dot16(column: &[i16], weights: &[i16]) -> i64 {
    let mut acc = 0;
    for (column, weights) in column.chunks(HALVES).zip(weights.chunks(HALVES)) {
        let (mut high, mut low) = (0i32, 0i32);
        for (&a, &w) in column.iter().zip(weights) {
            high += i32::from(a) * i32::from(w >> 8);
            low += i32::from(a) * i32::from(w & 0xFF);
        }
        acc += (i64::from(high) << 8) + i64::from(low);
    }
    acc
}

/// Fills `column` with the input under one output position: `(row, col, channel)` of the kernel window, zero point removed.
fn gather(parts: &[Part<'_>], g: &Geometry, row: usize, col: usize, column: &mut [i16]) {
    let channels: usize = parts.iter().map(|p| p.channels).sum();
    let zoom = usize::from(g.upsample);
    let mut taps = column.chunks_exact_mut(channels);
    for ky in 0..g.kernel {
        for kx in 0..g.kernel {
            let Some(tap) = taps.next() else { return };
            let (y, x) = (row * g.stride + ky, col * g.stride + kx);
            let (y, x) = (y.wrapping_sub(g.pad[0]), x.wrapping_sub(g.pad[1]));
            if y >= g.input[0] << zoom || x >= g.input[1] << zoom {
                tap.fill(0);
                continue;
            }
            let position = (y >> zoom) * g.input[1] + (x >> zoom);
            let mut from = 0;
            for part in parts {
                let (here, at) = (&mut tap[from..from + part.channels], position * part.channels);
                copy(part, at, here);
                from += part.channels;
            }
        }
    }
}

fn copy(part: &Part<'_>, at: usize, to: &mut [i16]) {
    match (part.view, part.requant) {
        (View::I8(data, zero), None) => {
            for (to, &q) in to.iter_mut().zip(&data[at..]) {
                *to = i16::from(q) - zero as i16;
            }
        }
        (View::I16(data), None) => to.copy_from_slice(&data[at..at + to.len()]),
        (view, requant) => {
            let requant = requant.unwrap_or(Requant::ONE);
            for (i, to) in to.iter_mut().enumerate() {
                *to = saturate_i16(requant.apply(view.get(at + i)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_add_up_at_the_extremes() {
        for n in [1, 255, 256, 257, 1000] {
            for (a, w) in [
                (i16::MIN, i16::MIN),
                (i16::MIN, i16::MAX),
                (i16::MAX, -1),
                (i16::MIN, 255),
                (-1, 256),
            ] {
                let (column, weights) = (std::vec![a; n], std::vec![w; n]);
                assert_eq!(
                    dot16(&column, &weights),
                    n as i64 * i64::from(a) * i64::from(w),
                    "{n} of {a} * {w}"
                );
            }
        }
    }
}
