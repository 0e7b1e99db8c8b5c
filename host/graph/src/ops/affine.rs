//! A factor and an offset.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// `scale * x + shift`, for `center_input_sample`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Factor.
    pub scale: f64,
    /// Offset added after the factor.
    pub shift: f64,
}

impl Operator for Affine {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.one()
    }
}
