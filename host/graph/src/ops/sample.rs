//! The noisy sample x_t.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// The noisy sample x_t. No inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample;

impl Operator for Sample {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(0)?;
        Ok(inputs.sample.unwrap_or([0, 0, 0]))
    }
}
