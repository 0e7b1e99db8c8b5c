//! A sum of two values of one shape.

use super::{Backward, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
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

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let factor = T::of(1.0 / self.divisor);
        let pairs = pass.y.iter_mut().zip(pass.x[0].iter().zip(pass.x[1]));
        pairs.for_each(|(y, (a, b))| *y = (*a + *b) * factor);
    }
}

impl Reverse for Add {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let factor = T::of(1.0 / self.divisor);
        for i in [0, 1] {
            let dx = pass.slopes.of(i);
            dx.iter_mut().zip(pass.dy).for_each(|(dx, dy)| *dx += factor * *dy);
        }
    }
}
