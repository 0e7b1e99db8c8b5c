//! The noisy sample x_t.

use super::{Forward, Inputs, Operator, Shape};
use crate::Real;
use crate::graph::GraphError;

/// The noisy sample x_t. No inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample;

impl Operator for Sample {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(0)?;
        Ok(inputs.sample.unwrap_or([0, 0, 0]))
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let Forward { extents, batch, y, .. } = pass;
        let [channels, rows, cols] = extents.output;
        for (i, plane) in batch.x.chunks_exact(rows * cols).enumerate() {
            let (sample, channel) = (i / channels, i % channels);
            y[(channel * extents.n + sample) * plane.len()..][..plane.len()].copy_from_slice(plane);
        }
    }
}
