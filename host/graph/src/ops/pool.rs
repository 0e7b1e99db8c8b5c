//! Means and maxima over windows.

use super::{Forward, Inputs, Operator, Shape};
use crate::Real;
use crate::graph::GraphError;

/// The largest element of each window, or the mean. Pairs are (rows, columns). What no whole window reaches is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Extents of a window.
    pub window: [usize; 2],
    /// From one window to the next.
    pub stride: [usize; 2],
    /// Whether it is the largest element.
    pub max: bool,
}

impl Operator for Pool {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [channels, rows, cols] = inputs.one()?;
        let out = |extent: usize, i: usize| {
            let left = extent.checked_sub(self.window[i]).filter(|_| self.window[i] > 0)?;
            Some(left.checked_div(self.stride[i])? + 1)
        };
        let found = format!("{:?} in steps of {:?}", self.window, self.stride);
        let extents = out(rows, 0).zip(out(cols, 1));
        inputs.require(extents.is_some(), "the window", &format!("within {rows}x{cols}"), found)?;
        let (rows, cols) = extents.unwrap_or_default();
        Ok([channels, rows, cols])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let ([_, rows, cols], [_, out_rows, out_cols]) = (pass.extents.inputs[0], pass.extents.output);
        let ([p, q], [down, across]) = (self.window, self.stride);
        let share = T::ONE / T::of((p * q) as f64);
        let planes = pass.y.chunks_exact_mut(out_rows * out_cols);
        for (y, x) in planes.zip(pass.x[0].chunks_exact(rows * cols)) {
            for (at, y) in y.iter_mut().enumerate() {
                let first = at / out_cols * down * cols + at % out_cols * across;
                let window = (0..p * q).map(|i| x[first + i / q * cols + i % q]);
                *y = if self.max {
                    window.fold(T::of(f64::NEG_INFINITY), T::larger)
                } else {
                    window.fold(T::ZERO, |sum, v| sum + v) * share
                };
            }
        }
    }
}
