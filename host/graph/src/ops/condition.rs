//! A vector that is given at run time.

use super::{Forward, Inputs, Operator, Shape};
use crate::Real;
use crate::graph::GraphError;

/// The condition: a vector `(channels, 1, 1)` a sample that whoever runs the network gives, such as a robot's observations. No inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Numbers of the vector.
    pub channels: usize,
}

impl Operator for Condition {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(0)?;
        Ok([self.channels, 1, 1])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let n = pass.extents.n;
        for (sample, vector) in pass.batch.condition.chunks_exact(self.channels).enumerate() {
            let column = pass.y.iter_mut().skip(sample).step_by(n);
            column.zip(vector).for_each(|(y, v)| *y = T::of(*v));
        }
    }
}
