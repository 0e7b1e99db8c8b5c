//! Sinusoidal features of the timestep.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// Sinusoidal timestep features (Vaswani et al. 2017, section 3.5; Ho et al. 2020): no inputs, `(dim, 1, 1)`.
/// `freq_i = exp(-ln(max_period) * i / (dim/2 - freq_shift))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeProj {
    /// Number of features, even.
    pub dim: usize,
    /// Cosines first when set.
    pub flip_sin_to_cos: bool,
    /// Subtracted from the divisor of the exponent.
    pub freq_shift: f64,
    /// 10,000 in every known checkpoint.
    pub max_period: f64,
}

impl Operator for TimeProj {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(0)?;
        inputs.require(
            self.dim.is_multiple_of(2),
            "the number of timestep features",
            "even",
            self.dim,
        )?;
        let divisor = self.dim as f64 / 2.0 - self.freq_shift;
        inputs.require(divisor != 0.0, "dim / 2 - freq_shift", "other than 0", divisor)?;
        Ok([self.dim, 1, 1])
    }
}
