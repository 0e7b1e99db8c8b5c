//! Half the rows and columns.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// Mean over 2x2 windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvgPool2;

impl Operator for AvgPool2 {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [c, h, w] = inputs.one()?;
        let even = h.is_multiple_of(2) && w.is_multiple_of(2);
        inputs.require(even, "rows and columns", "even", format!("{h}x{w}"))?;
        Ok([c, h / 2, w / 2])
    }
}
