//! A factor and an offset.

use super::{Backward, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
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

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let (scale, shift) = (T::of(self.scale), T::of(self.shift));
        pass.y
            .iter_mut()
            .zip(pass.x[0])
            .for_each(|(y, x)| *y = scale * *x + shift);
    }
}

impl Reverse for Affine {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let scale = T::of(self.scale);
        let dx = pass.slopes.of(0);
        dx.iter_mut().zip(pass.dy).for_each(|(dx, dy)| *dx += scale * *dy);
    }
}
