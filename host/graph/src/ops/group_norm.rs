//! Group normalization.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// Group normalization (Wu and He 2018, eq. 1) with an affine a channel; the variance is the biased one.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupNorm {
    /// Number of groups; divides the channel count.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Key of gamma `(channel)`.
    pub weight: String,
    /// Key of beta `(channel)`.
    pub bias: String,
}

impl Operator for GroupNorm {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let x = inputs.one()?;
        inputs.divides("the number of groups", self.groups, x[0])?;
        inputs.param_of_shape(&self.weight, &x[..1])?;
        inputs.param_of_shape(&self.bias, &x[..1])?;
        Ok(x)
    }

    fn params(&self) -> Vec<&str> {
        vec![&self.weight, &self.bias]
    }
}
