//! A vector over channels added at every position.

use super::loops::{add, sum};
use super::{Backward, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;

/// `a + v` with `v` of shape `(channel, 1, 1)` broadcast over rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddChannel;

impl Operator for AddChannel {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [a, v] = inputs.two()?;
        inputs.same("the vector's shape", [a[0], 1, 1], v)?;
        Ok(a)
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let p = pass.extents.output[1] * pass.extents.output[2];
        let planes = pass.y.chunks_exact_mut(p).zip(pass.x[0].chunks_exact(p));
        for ((y, x), v) in planes.zip(pass.x[1]) {
            y.iter_mut().zip(x).for_each(|(y, x)| *y = *x + *v);
        }
    }
}

impl Reverse for AddChannel {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let p = pass.extents.output[1] * pass.extents.output[2];
        add(pass.slopes.of(0), pass.dy);
        let planes = pass.slopes.of(1).iter_mut().zip(pass.dy.chunks_exact(p));
        planes.for_each(|(dv, dy)| *dv += sum(dy));
    }
}
