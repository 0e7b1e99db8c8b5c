//! A factor and an offset a channel, both from one vector, with or without 1 added to the factor.

use super::loops::{dot, sum};
use super::{Backward, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;

/// `a * v[..C] + v[C..]`, or `a * (1 + v[..C]) + v[C..]`, with `v` of shape `(2C, 1, 1)`: FiLM (Perez et al. 2018), adaLN (Peebles and Xie 2023).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modulate {
    /// Whether 1 is added to the factors. Then it is [`super::ScaleShift`].
    pub one: bool,
}

impl Modulate {
    fn factor<T: Real>(self, scale: T) -> T {
        if self.one { T::ONE + scale } else { scale }
    }
}

impl Operator for Modulate {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [a, v] = inputs.two()?;
        inputs.same("the modulating vector's shape", [2 * a[0], 1, 1], v)?;
        Ok(a)
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let p = pass.extents.output[1] * pass.extents.output[2];
        let (scale, shift) = pass.x[1].split_at(pass.x[1].len() / 2);
        let planes = pass.y.chunks_exact_mut(p).zip(pass.x[0].chunks_exact(p));
        for ((y, x), (scale, shift)) in planes.zip(scale.iter().zip(shift)) {
            let factor = self.factor(*scale);
            y.iter_mut().zip(x).for_each(|(y, x)| *y = *x * factor + *shift);
        }
    }
}

impl Reverse for Modulate {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let p = pass.extents.output[1] * pass.extents.output[2];
        let (x, v, dy) = (pass.x[0], pass.x[1], pass.dy);
        let dx = pass.slopes.of(0).chunks_exact_mut(p);
        for ((dx, dy), scale) in dx.zip(dy.chunks_exact(p)).zip(v) {
            let factor = self.factor(*scale);
            dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += *dy * factor);
        }
        let dv = pass.slopes.of(1);
        let (scales, shifts) = dv.split_at_mut(dv.len() / 2);
        let planes = x.chunks_exact(p).zip(dy.chunks_exact(p));
        for ((x, dy), (scale, shift)) in planes.zip(scales.iter_mut().zip(shifts)) {
            *scale += dot(x, dy);
            *shift += sum(dy);
        }
    }
}
