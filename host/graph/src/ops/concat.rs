//! Values joined along their channels.

use super::loops::add;
use super::{Backward, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
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

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let mut rest = pass.y;
        for x in pass.x {
            let (part, after) = rest.split_at_mut(x.len());
            part.copy_from_slice(x);
            rest = after;
        }
    }
}

impl Reverse for Concat {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let mut rest = pass.dy;
        for (i, x) in pass.x.iter().enumerate() {
            let (part, after) = rest.split_at(x.len());
            add(pass.slopes.of(i), part);
            rest = after;
        }
    }
}
