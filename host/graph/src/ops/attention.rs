//! Scaled dot-product attention over positions (Vaswani et al. 2017, eq. 1) and its gradients.

use super::loops::{add, dot, sum};
use super::{Backward, Extents, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;
use crate::matrix::{Strides, by_column, by_row};

/// `softmax(q k^T / sqrt(head_dim)) v` over positions; inputs q, k, v of one shape. A head is a contiguous range of channels.
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

    /// Weights, `(sample, head, position, position)`.
    fn saved_len(&self, extents: &Extents<'_>) -> usize {
        let heads = Heads::of(self.heads, extents);
        heads.count() * heads.positions * heads.positions
    }

    /// The gradient of one head's weights, then those of queries, keys and values.
    fn scratch_len(&self, extents: &Extents<'_>) -> usize {
        let positions = Heads::of(self.heads, extents).positions;
        positions * positions + 3 * extents.output_len()
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let heads = Heads::of(self.heads, &pass.extents);
        let (p, d) = (heads.positions, heads.depth);
        let (position, depth) = (heads.by_position(), heads.by_depth());
        let [q, k, v] = [0, 1, 2].map(|i: usize| pass.x[i]);
        for (i, weights) in pass.saved.chunks_exact_mut(p * p).take(heads.count()).enumerate() {
            let at = heads.start(i);
            T::product(
                [p, p, d],
                (weights, by_row(p)),
                false,
                heads.factor(),
                (&q[at..], position),
                (&k[at..], depth),
            );
            weights.chunks_exact_mut(p).for_each(softmax);
            T::product(
                [d, p, p],
                (&mut pass.y[at..], depth),
                false,
                T::ONE,
                (&v[at..], depth),
                (weights, by_column(p)),
            );
        }
    }
}

impl Reverse for Attention {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let heads = Heads::of(self.heads, &pass.extents);
        let (p, d) = (heads.positions, heads.depth);
        let (position, depth) = (heads.by_position(), heads.by_depth());
        let ([q, k, v], dy) = ([0, 1, 2].map(|i: usize| pass.x[i]), pass.dy);
        // Gradients of their own, so that one value may be queries, keys and values at once.
        let (scores, rest) = pass.scratch.split_at_mut(p * p);
        let rest = &mut rest[..3 * dy.len()];
        rest.fill(T::ZERO);
        let (dq, rest) = rest.split_at_mut(dy.len());
        let (dk, dv) = rest.split_at_mut(dy.len());
        for (i, weights) in pass.saved.chunks_exact(p * p).take(heads.count()).enumerate() {
            let at = heads.start(i);
            T::product(
                [d, p, p],
                (&mut dv[at..], depth),
                true,
                T::ONE,
                (&dy[at..], depth),
                (weights, by_row(p)),
            );
            T::product(
                [p, p, d],
                (scores, by_row(p)),
                false,
                T::ONE,
                (&dy[at..], position),
                (&v[at..], depth),
            );
            for (scores, weights) in scores.chunks_exact_mut(p).zip(weights.chunks_exact(p)) {
                let mean = dot(scores, weights);
                let pairs = scores.iter_mut().zip(weights);
                pairs.for_each(|(s, w)| *s = *w * (*s - mean));
            }
            let factor = heads.factor();
            T::product(
                [d, p, p],
                (&mut dq[at..], depth),
                true,
                factor,
                (&k[at..], depth),
                (scores, by_column(p)),
            );
            T::product(
                [d, p, p],
                (&mut dk[at..], depth),
                true,
                factor,
                (&q[at..], depth),
                (scores, by_row(p)),
            );
        }
        for (i, slope) in [dq, dk, dv].into_iter().enumerate() {
            add(pass.slopes.of(i), slope);
        }
    }
}

/// Where heads lie among `n` samples.
struct Heads {
    n: usize,
    heads: usize,
    /// Channels of a head.
    depth: usize,
    positions: usize,
}

impl Heads {
    fn of(heads: usize, extents: &Extents<'_>) -> Self {
        let [channels, rows, cols] = extents.output;
        Self {
            n: extents.n,
            heads,
            depth: channels / heads,
            positions: rows * cols,
        }
    }

    /// Heads of all samples.
    fn count(&self) -> usize {
        self.n * self.heads
    }

    fn factor<T: Real>(&self) -> T {
        T::ONE / T::of(self.depth as f64).sqrt()
    }

    /// First element of the `i`-th head, whose channels are [`Heads::by_depth`] apart.
    fn start(&self, i: usize) -> usize {
        let (sample, head) = (i / self.heads, i % self.heads);
        (head * self.depth * self.n + sample) * self.positions
    }

    /// A head as `(depth, position)`.
    fn by_depth(&self) -> Strides {
        by_row(self.n * self.positions)
    }

    /// A head as `(position, depth)`.
    fn by_position(&self) -> Strides {
        by_column(self.n * self.positions)
    }
}

fn softmax<T: Real>(row: &mut [T]) {
    let top = row.iter().fold(T::of(f64::NEG_INFINITY), |m, v| m.larger(*v));
    row.iter_mut().for_each(|v| *v = (*v - top).exp());
    let scale = T::ONE / sum(row);
    row.iter_mut().for_each(|v| *v *= scale);
}
