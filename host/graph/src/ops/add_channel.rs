//! A vector over channels added at every position.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// `a + v` with `v` of shape `(channel, 1, 1)` broadcast over rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddChannel;

impl Operator for AddChannel {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [a, v] = inputs.two()?;
        inputs.same("the vector's shape", [a[0], 1, 1], v)?;
        Ok(a)
    }
}
