//! Operators that move elements: blocks of positions and channels, positions in other rows, repetition.

use super::{Forward, Inputs, Operator, Shape};
use crate::Real;
use crate::graph::GraphError;

/// Depth to space: channel `(c * rows + i) * cols + j` of a position becomes channel `c` at row `i` and col `j` of its block (Shi et al. 2016, eq. 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthToSpace {
    /// Rows and columns of a block.
    pub block: [usize; 2],
}

impl Operator for DepthToSpace {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let ([channels, rows, cols], [p, q]) = (inputs.one()?, self.block);
        inputs.size("a block", &[p, q])?;
        inputs.divides("a block", p * q, channels)?;
        Ok([channels / (p * q), rows.saturating_mul(p), cols.saturating_mul(q)])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let [_, rows, cols] = pass.extents.inputs[0];
        let (n, [p, q]) = (pass.extents.n, self.block);
        for (plane, from) in pass.x[0].chunks_exact(rows * cols).enumerate() {
            let (channel, sample) = (plane / n, plane % n);
            let (c, i, j) = (channel / (p * q), channel / q % p, channel % q);
            let to = &mut pass.y[(c * n + sample) * rows * cols * p * q..];
            for (at, v) in from.iter().enumerate() {
                to[(at / cols * p + i) * cols * q + at % cols * q + j] = *v;
            }
        }
    }
}

/// The same elements with their positions in other rows: the count of positions stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reshape {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

impl Operator for Reshape {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [channels, rows, cols] = inputs.one()?;
        let same = self.rows.checked_mul(self.cols) == Some(rows * cols);
        let found = format!("{} x {}", self.rows, self.cols);
        inputs.require(same, "the positions", &format!("{} in all", rows * cols), found)?;
        Ok([channels, self.rows, self.cols])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        pass.y.copy_from_slice(pass.x[0]);
    }
}

/// Nearest-neighbour repetition by whole factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// Of rows and of columns.
    pub factors: [usize; 2],
}

impl Operator for Repeat {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [channels, rows, cols] = inputs.one()?;
        Ok([
            channels,
            rows.saturating_mul(self.factors[0]),
            cols.saturating_mul(self.factors[1]),
        ])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let [_, rows, cols] = pass.extents.inputs[0];
        let [down, across] = self.factors;
        let planes = pass.x[0].chunks_exact(rows * cols);
        for (from, to) in planes.zip(pass.y.chunks_exact_mut(rows * cols * down * across)) {
            for (i, y) in to.iter_mut().enumerate() {
                let (row, col) = (i / (cols * across), i % (cols * across));
                *y = from[row / down * cols + col / across];
            }
        }
    }
}
