//! SiLU.

use super::{Backward, Extents, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;
use crate::matrix::wide;

/// `x * sigmoid(x)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silu;

impl Operator for Silu {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.one()
    }

    /// The sigmoids.
    fn saved_len(&self, extents: &Extents<'_>) -> usize {
        extents.output_len()
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let (x, saved, y) = (pass.x[0], pass.saved, pass.y);
        wide(
            #[inline(always)]
            || {
                for ((x, s), y) in x.iter().zip(saved).zip(y) {
                    *s = x.sigmoid();
                    *y = *x * *s;
                }
            },
        );
    }
}

impl Reverse for Silu {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let dx = pass.slopes.of(0);
        for (((x, s), dy), dx) in pass.x[0].iter().zip(pass.saved).zip(pass.dy).zip(dx) {
            *dx += *dy * *s * (T::ONE + *x * (T::ONE - *s));
        }
    }
}
