//! f16 convolution. Each output adds its terms in the order (kernel row, kernel column, input channel), padding included.

use mote_runtime::blob::op::Conv;
use mote_runtime::blob::tensor::Dtype;

use crate::network::{FloatFilter, Inputs};
use crate::planes::Planes;
use crate::scalar::half::{load, store, to_q24};
use crate::scalar::rounding::Rounding;

/// Runs the convolution on the joined input.
pub fn run(
    c: &Conv,
    filter: &FloatFilter,
    input: &Planes<f32>,
    inputs: &Inputs<'_>,
    r: Rounding,
) -> Option<Planes<i64>> {
    let zoomed = if c.upsample { input.doubled() } else { input.clone() };
    let framed = zoomed.framed(c.pad.map(usize::from));
    let (rows, cols) = (usize::from(inputs.out.rows), usize::from(inputs.out.cols));
    let outs = usize::from(inputs.out.channels);
    let (kernel, stride) = (usize::from(c.kernel), usize::from(c.stride));
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
                    let w = filter.weights[((ky * kernel + kx) * input.channels + from) * outs + channel];
                    for (y, acc) in acc.chunks_exact_mut(cols).enumerate() {
                        let row = &framed.plane(from)[(y * stride + ky) * framed.cols + kx..];
                        for (acc, x) in acc.iter_mut().zip(row.iter().step_by(stride)) {
                            *acc += x * w;
                        }
                    }
                }
            }
        }
        result.values.extend(acc);
    }
    if let Some(term) = c.addend {
        let other = inputs.get(term.tensor)?;
        let broadcast = other.positions() == 1;
        for (i, value) in result.values.iter_mut().enumerate() {
            let at = if broadcast { i / (rows * cols) } else { i };
            *value += load(other.values[at]) * term.factor;
        }
    }
    let q24 = inputs.out.dtype == Dtype::Q24;
    Some(result.map(|v| if q24 { to_q24(v, r.broken) } else { store(v, r.broken) }))
}
