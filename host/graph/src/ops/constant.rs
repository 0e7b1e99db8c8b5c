//! Values that are the same for every sample.

use super::{Forward, Inputs, Operator, Shape};
use crate::Real;
use crate::graph::GraphError;

/// A trained or computed value, such as a table of positions. No inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// Key of `(channel, row, col)`.
    pub key: String,
}

impl Operator for Constant {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(0)?;
        let shape = &inputs.param(&self.key)?.shape;
        inputs.require(shape.len() == 3, "the constant's rank", "3", shape.len())?;
        Ok([shape[0], shape[1], shape[2]])
    }

    fn params(&self) -> Vec<&str> {
        vec![&self.key]
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let [_, rows, cols] = pass.extents.output;
        let (n, plane) = (pass.extents.n, rows * cols);
        for (i, y) in pass.y.chunks_exact_mut(plane).enumerate() {
            y.copy_from_slice(&pass.params.get(0)[i / n * plane..][..plane]);
        }
    }
}

/// Trained rows before the positions of a value: `(channel, 1, rows + positions)`, such as memory keys of an attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepend {
    /// Key of `(channel, rows)`.
    pub key: String,
}

impl Operator for Prepend {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [channels, rows, cols] = inputs.one()?;
        let shape = &inputs.param(&self.key)?.shape;
        let fits = shape.len() == 2 && shape[0] == channels;
        inputs.require(
            fits,
            "the rows' shape",
            &format!("[{channels}, rows]"),
            format!("{shape:?}"),
        )?;
        Ok([channels, 1, shape[1].saturating_add(rows * cols)])
    }

    fn params(&self) -> Vec<&str> {
        vec![&self.key]
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let [_, rows, cols] = pass.extents.inputs[0];
        let (n, positions) = (pass.extents.n, rows * cols);
        let more = pass.extents.output[2] - positions;
        for (i, y) in pass.y.chunks_exact_mut(more + positions).enumerate() {
            let (own, rest) = y.split_at_mut(more);
            own.copy_from_slice(&pass.params.get(0)[i / n * more..][..more]);
            rest.copy_from_slice(&pass.x[0][i * positions..][..positions]);
        }
    }
}
