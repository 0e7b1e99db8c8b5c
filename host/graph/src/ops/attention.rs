//! Scaled dot-product attention over positions (Vaswani et al. 2017, eq. 1) and its gradients.

use super::loops::{add, dot, sum};
use super::{Backward, Extents, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;
use crate::matrix::{Strides, by_column, by_row};

/// `softmax(q k^T / sqrt(head_dim)) v` over positions; inputs q, k, v of as many channels, k and v of one shape. A head is a contiguous
/// range of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// Number of heads; divides the channel count.
    pub heads: usize,
}

impl Operator for Attention {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(3)?;
        let [q, k] = [inputs.shapes[0], inputs.shapes[1]];
        inputs.same("the key's shape", [q[0], k[1], k[2]], k)?;
        inputs.same("the value's shape", k, inputs.shapes[2])?;
        inputs.divides("the number of heads", self.heads, q[0])?;
        let [positions, keys] = [q, k].map(|x| x[1].saturating_mul(x[2]));
        inputs.size("the attention matrix", &[self.heads, positions, keys])?;
        Ok(q)
    }

    /// Both products: scores, and weights times values.
    fn macs(&self, inputs: &[Shape], [channels, rows, cols]: Shape) -> u64 {
        let keys = inputs.get(1).map_or(0, |k| k[1] as u64 * k[2] as u64);
        2 * channels as u64 * rows as u64 * cols as u64 * keys
    }

    /// Weights, `(sample, head, position, key)`.
    fn saved_len(&self, extents: &Extents<'_>) -> usize {
        let heads = Heads::of(self.heads, extents);
        heads.count() * heads.positions * heads.keys
    }

    /// The gradient of one head's weights, then those of queries, keys and values.
    fn scratch_len(&self, extents: &Extents<'_>) -> usize {
        let heads = Heads::of(self.heads, extents);
        heads.positions * heads.keys + extents.output_len() + 2 * heads.keys_len()
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let heads = Heads::of(self.heads, &pass.extents);
        let (p, m, d) = (heads.positions, heads.keys, heads.depth);
        let [q, k, v] = [0, 1, 2].map(|i: usize| pass.x[i]);
        for (i, weights) in pass.saved.chunks_exact_mut(p * m).take(heads.count()).enumerate() {
            let (at, from) = (heads.start(i, p), heads.start(i, m));
            T::product(
                [p, m, d],
                (weights, by_row(m)),
                false,
                heads.factor(),
                (&q[at..], heads.by_position(p)),
                (&k[from..], heads.by_depth(m)),
            );
            weights.chunks_exact_mut(m).for_each(softmax);
            T::product(
                [d, p, m],
                (&mut pass.y[at..], heads.by_depth(p)),
                false,
                T::ONE,
                (&v[from..], heads.by_depth(m)),
                (weights, by_column(m)),
            );
        }
    }
}

impl Reverse for Attention {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let heads = Heads::of(self.heads, &pass.extents);
        let (p, m, d) = (heads.positions, heads.keys, heads.depth);
        let ([q, k, v], dy) = ([0, 1, 2].map(|i: usize| pass.x[i]), pass.dy);
        // Gradients of their own, so that one value may be queries, keys and values at once.
        let (scores, rest) = pass.scratch.split_at_mut(p * m);
        let rest = &mut rest[..dy.len() + 2 * heads.keys_len()];
        rest.fill(T::ZERO);
        let (dq, rest) = rest.split_at_mut(dy.len());
        let (dk, dv) = rest.split_at_mut(heads.keys_len());
        for (i, weights) in pass.saved.chunks_exact(p * m).take(heads.count()).enumerate() {
            let (at, from) = (heads.start(i, p), heads.start(i, m));
            T::product(
                [d, m, p],
                (&mut dv[from..], heads.by_depth(m)),
                true,
                T::ONE,
                (&dy[at..], heads.by_depth(p)),
                (weights, by_row(m)),
            );
            T::product(
                [p, m, d],
                (scores, by_row(m)),
                false,
                T::ONE,
                (&dy[at..], heads.by_position(p)),
                (&v[from..], heads.by_depth(m)),
            );
            for (scores, weights) in scores.chunks_exact_mut(m).zip(weights.chunks_exact(m)) {
                let mean = dot(scores, weights);
                let pairs = scores.iter_mut().zip(weights);
                pairs.for_each(|(s, w)| *s = *w * (*s - mean));
            }
            let factor = heads.factor();
            T::product(
                [d, p, m],
                (&mut dq[at..], heads.by_depth(p)),
                true,
                factor,
                (&k[from..], heads.by_depth(m)),
                (scores, by_column(m)),
            );
            T::product(
                [d, m, p],
                (&mut dk[from..], heads.by_depth(m)),
                true,
                factor,
                (&q[at..], heads.by_depth(p)),
                (scores, by_row(m)),
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
    /// Positions of queries.
    positions: usize,
    /// Positions of keys and values.
    keys: usize,
}

impl Heads {
    fn of(heads: usize, extents: &Extents<'_>) -> Self {
        let [channels, rows, cols] = extents.output;
        Self {
            n: extents.n,
            heads,
            depth: channels / heads,
            positions: rows * cols,
            keys: extents.inputs[1][1] * extents.inputs[1][2],
        }
    }

    /// Elements of the keys of all samples.
    fn keys_len(&self) -> usize {
        self.count() * self.depth * self.keys
    }

    /// Heads of all samples.
    fn count(&self) -> usize {
        self.n * self.heads
    }

    fn factor<T: Real>(&self) -> T {
        T::ONE / T::of(self.depth as f64).sqrt()
    }

    /// First element of the `i`-th head, of so many positions; its channels are [`Heads::by_depth`] apart.
    fn start(&self, i: usize, positions: usize) -> usize {
        let (sample, head) = (i / self.heads, i % self.heads);
        (head * self.depth * self.n + sample) * positions
    }

    /// A head as `(depth, position)`.
    fn by_depth(&self, positions: usize) -> Strides {
        by_row(self.n * positions)
    }

    /// A head as `(position, depth)`.
    fn by_position(&self, positions: usize) -> Strides {
        by_column(self.n * positions)
    }
}

fn softmax<T: Real>(row: &mut [T]) {
    let top = row.iter().fold(T::of(f64::NEG_INFINITY), |m, v| m.larger(*v));
    row.iter_mut().for_each(|v| *v = (*v - top).exp());
    let scale = T::ONE / sum(row);
    row.iter_mut().for_each(|v| *v *= scale);
}
