//! SiLU.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// `x * sigmoid(x)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silu;

impl Operator for Silu {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.one()
    }
}
