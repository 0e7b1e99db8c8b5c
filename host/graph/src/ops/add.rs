//! A sum of two values of one shape.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// `(a + b) / divisor`, same shapes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Add {
    /// The resnet's `output_scale_factor`.
    pub divisor: f64,
}

impl Operator for Add {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [a, b] = inputs.two()?;
        inputs.same("the second term's shape", a, b)?;
        let holds = self.divisor != 0.0 && self.divisor.is_finite();
        inputs.require(holds, "the divisor", "finite and not 0", self.divisor)?;
        Ok(a)
    }
}
