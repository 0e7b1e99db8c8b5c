//! Integer convolution: one weight at a time over a framed plane.

use mote_runtime::blob::op::Conv;

use super::Out;
use crate::network::{Filter, Inputs};
use crate::planes::Planes;

/// Runs the convolution on the joined input.
///
/// Sums are plain i64: the accumulator proof bounds them by 2^40.
pub fn run(c: &Conv, filter: &Filter, input: &Planes<i64>, inputs: &Inputs<'_>, out: &Out) -> Option<Planes<i64>> {
    let zoomed = if c.upsample { input.doubled() } else { input.clone() };
    let framed = zoomed.framed(c.pad.map(usize::from));
    let [outs, rows, cols] = out.shape();
    let (kernel, stride) = (usize::from(c.kernel), usize::from(c.stride));
    let mut weights = filter.weights.iter();
    let mut result = Planes {
        rows,
        cols,
        channels: outs,
        values: Vec::with_capacity(outs * rows * cols),
    };
    for channel in 0..outs {
        let mut acc = vec![filter.bias[channel]; rows * cols];
        for ky in 0..kernel {
            for kx in 0..kernel {
                for from in 0..input.channels {
                    let w = *weights.next()?;
                    for (y, acc) in acc.chunks_exact_mut(cols).enumerate() {
                        let row = &framed.plane(from)[(y * stride + ky) * framed.cols + kx..];
                        for (acc, x) in acc.iter_mut().zip(row.iter().step_by(stride)) {
                            *acc += w * x;
                        }
                    }
                }
            }
        }
        let (mult, shift) = filter.factors[channel];
        result
            .values
            .extend(acc.into_iter().map(|acc| out.r.requantize(acc, mult, shift)));
    }
    if let Some(term) = c.addend {
        let other = inputs.get(term.tensor)?;
        let broadcast = other.positions() == 1;
        for (i, value) in result.values.iter_mut().enumerate() {
            let at = if broadcast { i / (rows * cols) } else { i };
            *value = out.r.add_guarded(*value, out.scaled(term.requant, other.values[at]));
        }
    }
    Some(result.map(|v| out.store(v)))
}
