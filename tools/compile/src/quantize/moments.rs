//! Second moments of what a convolution's weights meet, over recorded calls.

use mote_engine::record::Recording;
use mote_runtime::internals::numeric::float::load;

use super::products::products;
use crate::ops::Conv;
use crate::program::{FusedOp, Program};

/// Means and products of a convolution's taps.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean a tap.
    pub means: Vec<f64>,
    /// Covariance `(tap, tap)`.
    pub covariance: Vec<f64>,
}

/// Output positions of a call that are looked at, about: neighbours are much alike.
const POSITIONS: usize = 64;

impl Moments {
    /// Of the inputs of `op`, whose convolution is `c`.
    pub fn of(program: &Program, op: &FusedOp, c: &Conv, calls: &[Recording]) -> Self {
        let taps = c.taps();
        let (mut count, mut sums, mut squares) = (0.0, vec![0.0; taps], vec![0.0; taps * taps]);
        for (index, call) in calls.iter().enumerate() {
            let columns = columns(program, op, c, call, index);
            for column in columns.chunks_exact(taps) {
                count += 1.0;
                sums.iter_mut().zip(column).for_each(|(s, v)| *s += f64::from(*v));
            }
            let products = products(&columns, taps);
            squares.iter_mut().zip(products).for_each(|(s, v)| *s += f64::from(v));
        }
        let means: Vec<f64> = sums.iter().map(|s| s / f64::max(count, 1.0)).collect();
        for (row, mean) in squares.chunks_exact_mut(taps).zip(&means) {
            row.iter_mut()
                .zip(&means)
                .for_each(|(v, other)| *v = *v / f64::max(count, 1.0) - mean * other);
        }
        Self {
            means,
            covariance: squares,
        }
    }
}

/// Columns `(position, row, col, in)` of some output positions of one call, in every call other ones.
fn columns(program: &Program, op: &FusedOp, c: &Conv, call: &Recording, index: usize) -> Vec<f32> {
    let [_, rows, cols] = program.slot(c.source[0]).shape;
    let [_, out_rows, out_cols] = program.slot(op.out).shape;
    let zoom = usize::from(c.upsample);
    let every = (out_rows * out_cols).div_ceil(POSITIONS);
    let mut columns = Vec::new();
    for position in (index % every..out_rows * out_cols).step_by(every) {
        let (y, x) = (position / out_cols * c.stride[0], position % out_cols * c.stride[1]);
        for tap in 0..c.kernel[0] * c.kernel[1] {
            let inside = |at: usize, pad: usize, extent: usize| at.checked_sub(pad).filter(|at| *at < extent << zoom);
            let row = inside(y + tap / c.kernel[1], c.pad[0], rows);
            let at = row.zip(inside(x + tap % c.kernel[1], c.pad[1], cols));
            for slot in &c.source {
                let channels = program.slot(*slot).shape[0];
                match at {
                    Some((y, x)) => {
                        let first = ((y >> zoom) * cols + (x >> zoom)) * channels;
                        columns.extend(call.outputs[slot.0][first..][..channels].iter().map(|v| load(*v)));
                    }
                    None => columns.resize(columns.len() + channels, 0.0),
                }
            }
        }
    }
    columns
}
