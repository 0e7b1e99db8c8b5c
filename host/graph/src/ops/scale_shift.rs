//! A factor and an offset a channel, both from one vector.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// `a * (1 + v[..C]) + v[C..]` with `v` of shape `(2C, 1, 1)` (the `scale_shift` resnet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleShift;

impl Operator for ScaleShift {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [a, v] = inputs.two()?;
        inputs.same("the scale-and-shift vector's shape", [2 * a[0], 1, 1], v)?;
        Ok(a)
    }
}
