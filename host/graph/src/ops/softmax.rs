//! Softmax over channels.

use super::{Backward, Extents, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;

/// `e^x / sum of e^x` over the channels of each position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Softmax;

impl Operator for Softmax {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.one()
    }

    /// The outputs.
    fn saved_len(&self, extents: &Extents<'_>) -> usize {
        extents.output_len()
    }

    /// A number a position: a maximum, then a sum.
    fn scratch_len(&self, extents: &Extents<'_>) -> usize {
        extents.plane()
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let (x, y, p) = (pass.x[0], pass.y, pass.extents.plane());
        let each = &mut pass.scratch[..p];
        each.fill(T::of(f64::NEG_INFINITY));
        for x in x.chunks_exact(p) {
            each.iter_mut().zip(x).for_each(|(top, x)| *top = top.larger(*x));
        }
        for (y, x) in y.chunks_exact_mut(p).zip(x.chunks_exact(p)) {
            let pairs = x.iter().zip(&*each);
            y.iter_mut().zip(pairs).for_each(|(y, (x, top))| *y = (*x - *top).exp());
        }
        each.fill(T::ZERO);
        for y in y.chunks_exact(p) {
            each.iter_mut().zip(y).for_each(|(sum, y)| *sum += *y);
        }
        for y in y.chunks_exact_mut(p) {
            y.iter_mut().zip(&*each).for_each(|(y, sum)| *y = *y / *sum);
        }
        pass.saved.copy_from_slice(y);
    }
}

impl Reverse for Softmax {
    /// `dx = y (dy - sum of y dy)`.
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let (y, dy, p) = (pass.saved, pass.dy, pass.extents.plane());
        let mean = &mut pass.scratch[..p];
        mean.fill(T::ZERO);
        for (y, dy) in y.chunks_exact(p).zip(dy.chunks_exact(p)) {
            let pairs = y.iter().zip(dy);
            mean.iter_mut().zip(pairs).for_each(|(m, (y, dy))| *m += *y * *dy);
        }
        let planes = y.chunks_exact(p).zip(dy.chunks_exact(p));
        for (dx, (y, dy)) in pass.slopes.of(0).chunks_exact_mut(p).zip(planes) {
            let terms = y.iter().zip(dy).zip(&*mean);
            dx.iter_mut()
                .zip(terms)
                .for_each(|(dx, ((y, dy), m))| *dx += *y * (*dy - *m));
        }
    }
}
