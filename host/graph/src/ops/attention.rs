//! Scaled dot-product attention over positions.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// `softmax(q k^T / sqrt(head_dim)) v` over positions (Vaswani et al. 2017, eq. 1); inputs q, k, v of one shape. A head is
/// a contiguous range of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// Number of heads; divides the channel count.
    pub heads: usize,
}

impl Operator for Attention {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(3)?;
        let q = inputs.shapes[0];
        inputs.same("the key's shape", q, inputs.shapes[1])?;
        inputs.same("the value's shape", q, inputs.shapes[2])?;
        inputs.divides("the number of heads", self.heads, q[0])?;
        let positions = q[1].saturating_mul(q[2]);
        inputs.size("the attention matrix", &[self.heads, positions, positions])?;
        Ok(q)
    }

    /// Both products: scores, and weights times values.
    fn macs(&self, _inputs: &[Shape], [channels, rows, cols]: Shape) -> u64 {
        2 * channels as u64 * (rows as u64 * cols as u64).pow(2)
    }
}
