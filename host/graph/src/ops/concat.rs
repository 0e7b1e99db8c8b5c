//! Values joined along their channels.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// Channels of the inputs, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concat;

impl Operator for Concat {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let Some(first) = inputs.shapes.first() else {
            return Err(inputs.wrong_count("at least 1".to_string()));
        };
        let mut channels = 0usize;
        for x in inputs.shapes {
            inputs.same("rows and columns", [x[0], first[1], first[2]], *x)?;
            channels = channels.saturating_add(x[0]);
        }
        Ok([channels, first[1], first[2]])
    }
}
