//! Half the rows and columns.

use super::loops::{gather_windows, spread_windows};
use super::{Backward, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;

/// Mean over 2x2 windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvgPool2;

impl Operator for AvgPool2 {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [c, h, w] = inputs.one()?;
        let even = h.is_multiple_of(2) && w.is_multiple_of(2);
        inputs.require(even, "rows and columns", "even", format!("{h}x{w}"))?;
        Ok([c, h / 2, w / 2])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let [_, rows, cols] = pass.extents.output;
        pass.y.fill(T::ZERO);
        gather_windows(cols, rows, T::of(0.25), pass.x[0], pass.y);
    }
}

impl Reverse for AvgPool2 {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let [_, rows, cols] = pass.extents.output;
        spread_windows(cols, rows, T::of(0.25), pass.dy, pass.slopes.of(0));
    }
}
