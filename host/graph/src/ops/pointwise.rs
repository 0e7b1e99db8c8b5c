//! A function of every element.

use super::{Backward, Forward, Function, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;

/// `function(x)` of every element, computed in f64 and rounded once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointwise {
    /// The function.
    pub function: Function,
}

impl Operator for Pointwise {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.one()
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let pairs = pass.y.iter_mut().zip(pass.x[0]);
        pairs.for_each(|(y, x)| *y = T::of(self.function.value(x.wide())));
    }
}

impl Reverse for Pointwise {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let dx = pass.slopes.of(0);
        for ((dx, dy), x) in dx.iter_mut().zip(pass.dy).zip(pass.x[0]) {
            *dx += *dy * T::of(self.function.slope(x.wide()));
        }
    }
}
