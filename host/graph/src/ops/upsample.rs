//! Twice the rows and columns.

use super::loops::{gather_windows, repeat_windows};
use super::{Backward, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;

/// Nearest-neighbour x2 in rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upsample2;

impl Operator for Upsample2 {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [c, h, w] = inputs.one()?;
        Ok([c, 2 * h, 2 * w])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let [_, rows, cols] = pass.extents.inputs[0];
        repeat_windows(cols, rows, pass.x[0], pass.y);
    }
}

impl Reverse for Upsample2 {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let [_, rows, cols] = pass.extents.inputs[0];
        gather_windows(cols, rows, T::ONE, pass.dy, pass.slopes.of(0));
    }
}
