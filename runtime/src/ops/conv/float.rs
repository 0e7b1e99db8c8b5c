//! f16 convolution: for each output channel `acc = bias`, then `acc = acc + x * w` over the taps in `(row, col, in)` order,
//! padding included as zeros; then `acc + addend * factor`.

use crate::numeric::float::{load, store, to_q24};
use crate::ops::conv::Geometry;
use crate::tensor::view::{Operand, View, ViewMut};

/// A channel range of the input.
#[derive(Debug, Clone, Copy)]
pub struct InputPart<'a> {
    /// f16 bits, `(row, col, channel)`.
    pub data: View<'a>,
    /// Channels.
    pub channels: usize,
}

/// A term added to the output.
#[derive(Debug, Clone, Copy)]
pub struct Addition<'a> {
    /// The other term.
    pub operand: Operand<'a>,
    /// Its factor.
    pub factor: f32,
    /// One value a channel.
    pub broadcast: bool,
}

/// Runs the convolution. `weights` is f16 `(row, col, in, out)`; `scratch` holds the column, then `outs` accumulators.
pub fn conv(
    parts: &[InputPart<'_>],
    g: &Geometry,
    weights: &[u16],
    bias: &[f32],
    add: Option<Addition<'_>>,
    scratch: &mut [f32],
    out: &mut ViewMut<'_>,
) {
    let channels: usize = parts.iter().map(|p| p.channels).sum();
    let (column, acc) = scratch.split_at_mut(g.kernel.area() * channels);
    let acc = &mut acc[..g.outs];
    let mut at = 0;
    for row in 0..g.output[0] {
        for col in 0..g.output[1] {
            gather(parts, channels, g, row, col, column);
            acc.copy_from_slice(bias);
            for (&x, weights) in column.iter().zip(weights.chunks_exact(g.outs)) {
                for (acc, &w) in acc.iter_mut().zip(weights) {
                    *acc += x * load(w);
                }
            }
            for (channel, &value) in acc.iter().enumerate() {
                let mut value = value;
                if let Some(term) = &add {
                    let other = term
                        .operand
                        .get(out, if term.broadcast { channel } else { at + channel });
                    value += load(other as u16) * term.factor;
                }
                let bits = if matches!(out, ViewMut::Q24(_)) {
                    to_q24(value)
                } else {
                    store(value)
                };
                out.set(at + channel, bits);
            }
            at += g.outs;
        }
    }
}

fn gather(parts: &[InputPart<'_>], channels: usize, g: &Geometry, row: usize, col: usize, column: &mut [f32]) {
    let zoom = usize::from(g.upsample);
    let mut taps = column.chunks_exact_mut(channels);
    for ky in 0..g.kernel.rows() {
        for kx in 0..g.kernel.cols() {
            let Some(tap) = taps.next() else { return };
            let (y, x) = (
                (row * g.stride.rows() + ky).wrapping_sub(g.pad[0]),
                (col * g.stride.cols() + kx).wrapping_sub(g.pad[1]),
            );
            if y >= g.input[0] << zoom || x >= g.input[1] << zoom {
                tap.fill(0.0);
                continue;
            }
            let position = (y >> zoom) * g.input[1] + (x >> zoom);
            let mut values = tap.iter_mut();
            for part in parts {
                for (i, to) in values.by_ref().take(part.channels).enumerate() {
                    *to = load(part.data.get(position * part.channels + i) as u16);
                }
            }
        }
    }
}
