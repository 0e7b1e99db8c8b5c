//! A product of two values, the second repeated where it is smaller.

use super::loops::dot;
use super::{Backward, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;

/// `a * b`. `b` has the shape of `a`, or `(channel, 1, 1)` (a gate), or `(1, row, col)` (a mask).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multiply;

/// How `b` lies beside `a`.
#[derive(Clone, Copy)]
enum Second {
    Whole,
    Gate,
    Mask,
}

impl Second {
    fn of([a, b]: [Shape; 2]) -> Option<Self> {
        if a == b {
            Some(Self::Whole)
        } else if b == [a[0], 1, 1] {
            Some(Self::Gate)
        } else if b == [1, a[1], a[2]] {
            Some(Self::Mask)
        } else {
            None
        }
    }
}

impl Operator for Multiply {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [a, b] = inputs.two()?;
        let expected = format!("{a:?}, {:?} or {:?}", [a[0], 1, 1], [1, a[1], a[2]]);
        let fits = Second::of([a, b]).is_some();
        inputs.require(fits, "the second factor's shape", &expected, format!("{b:?}"))?;
        Ok(a)
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let (a, b) = (pass.x[0], pass.x[1]);
        let p = pass.extents.output[1] * pass.extents.output[2];
        let times = |(y, (a, b)): (&mut T, (&T, &T))| *y = *a * *b;
        match Second::of([pass.extents.inputs[0], pass.extents.inputs[1]]) {
            Some(Second::Gate) => {
                let planes = pass.y.chunks_exact_mut(p).zip(a.chunks_exact(p));
                for ((y, a), b) in planes.zip(b) {
                    y.iter_mut().zip(a).for_each(|(y, a)| *y = *a * *b);
                }
            }
            Some(Second::Mask) => {
                let channels = pass.y.chunks_exact_mut(b.len()).zip(a.chunks_exact(b.len()));
                channels.for_each(|(y, a)| y.iter_mut().zip(a.iter().zip(b)).for_each(times));
            }
            _ => pass.y.iter_mut().zip(a.iter().zip(b)).for_each(times),
        }
    }
}

impl Reverse for Multiply {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let (a, b, dy) = (pass.x[0], pass.x[1], pass.dy);
        let p = pass.extents.output[1] * pass.extents.output[2];
        let added = |to: &mut [T], dy: &[T], other: &[T]| {
            let pairs = to.iter_mut().zip(dy.iter().zip(other));
            pairs.for_each(|(to, (dy, other))| *to += *dy * *other);
        };
        match Second::of([pass.extents.inputs[0], pass.extents.inputs[1]]) {
            Some(Second::Gate) => {
                let planes = pass.slopes.of(0).chunks_exact_mut(p).zip(dy.chunks_exact(p));
                for ((da, dy), b) in planes.zip(b) {
                    da.iter_mut().zip(dy).for_each(|(da, dy)| *da += *dy * *b);
                }
                let planes = a.chunks_exact(p).zip(dy.chunks_exact(p));
                let db = pass.slopes.of(1).iter_mut();
                db.zip(planes).for_each(|(db, (a, dy))| *db += dot(a, dy));
            }
            Some(Second::Mask) => {
                let whole = b.len();
                let channels = pass.slopes.of(0).chunks_exact_mut(whole).zip(dy.chunks_exact(whole));
                channels.for_each(|(da, dy)| added(da, dy, b));
                let db = pass.slopes.of(1);
                if !db.is_empty() {
                    let channels = a.chunks_exact(whole).zip(dy.chunks_exact(whole));
                    channels.for_each(|(a, dy)| added(db, dy, a));
                }
            }
            _ => {
                added(pass.slopes.of(0), dy, b);
                added(pass.slopes.of(1), dy, a);
            }
        }
    }
}
