//! Scaled dot-product attention over positions (Vaswani et al. 2017, eq. 1) and its gradients.

use super::gemm::{Strides, gemm, wide};
use super::pointwise::{dot, sum};

/// The shape of an attention.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Heads.
    pub heads: usize,
    /// Channels of a head.
    pub depth: usize,
    /// Rows times columns.
    pub positions: usize,
}

impl Attention {
    /// Weights kept for the way back: `(sample, head, position, position)`.
    pub fn saved_len(&self, n: usize) -> usize {
        n * self.heads * self.positions * self.positions
    }

    /// Elements of the gradient of one head's weights.
    pub fn scratch_len(&self) -> usize {
        self.positions * self.positions
    }

    fn factor(&self) -> f32 {
        1.0 / (self.depth as f32).sqrt()
    }

    /// First element of a head of a sample, whose channels are [`Attention::by_depth`] apart.
    fn start(&self, n: usize, sample: usize, head: usize) -> usize {
        (head * self.depth * n + sample) * self.positions
    }

    /// A head as `(depth, position)`.
    fn by_depth(&self, n: usize) -> Strides {
        wide(n * self.positions)
    }

    /// A head as `(position, depth)`.
    fn by_position(&self, n: usize) -> Strides {
        Strides {
            rows: 1,
            cols: n * self.positions,
        }
    }

    /// `y` of `n` samples.
    pub fn forward(&self, n: usize, [q, k, v]: [&[f32]; 3], saved: &mut [f32], y: &mut [f32]) {
        let (p, d) = (self.positions, self.depth);
        for (i, weights) in saved.chunks_exact_mut(p * p).take(n * self.heads).enumerate() {
            let at = self.start(n, i / self.heads, i % self.heads);
            let (position, depth) = (self.by_position(n), self.by_depth(n));
            gemm(
                [p, p, d],
                (weights, wide(p)),
                false,
                self.factor(),
                (&q[at..], position),
                (&k[at..], depth),
            );
            weights.chunks_exact_mut(p).for_each(softmax);
            let transposed = Strides { rows: 1, cols: p };
            gemm(
                [d, p, p],
                (&mut y[at..], depth),
                false,
                1.0,
                (&v[at..], depth),
                (weights, transposed),
            );
        }
    }

    /// The gradients of queries, keys and values, added.
    pub fn backward(
        &self,
        n: usize,
        [q, k, v]: [&[f32]; 3],
        saved: &[f32],
        dy: &[f32],
        [dq, dk, dv]: [&mut [f32]; 3],
        scratch: &mut [f32],
    ) {
        let (p, d) = (self.positions, self.depth);
        let scores = &mut scratch[..p * p];
        let (position, depth) = (self.by_position(n), self.by_depth(n));
        for (i, weights) in saved.chunks_exact(p * p).take(n * self.heads).enumerate() {
            let at = self.start(n, i / self.heads, i % self.heads);
            gemm(
                [d, p, p],
                (&mut dv[at..], depth),
                true,
                1.0,
                (&dy[at..], depth),
                (weights, wide(p)),
            );
            gemm(
                [p, p, d],
                (scores, wide(p)),
                false,
                1.0,
                (&dy[at..], position),
                (&v[at..], depth),
            );
            for (scores, weights) in scores.chunks_exact_mut(p).zip(weights.chunks_exact(p)) {
                let mean = dot(scores, weights);
                let pairs = scores.iter_mut().zip(weights);
                pairs.for_each(|(s, w)| *s = w * (*s - mean));
            }
            let factor = self.factor();
            let transposed = Strides { rows: 1, cols: p };
            gemm(
                [d, p, p],
                (&mut dq[at..], depth),
                true,
                factor,
                (&k[at..], depth),
                (scores, transposed),
            );
            gemm(
                [d, p, p],
                (&mut dk[at..], depth),
                true,
                factor,
                (&q[at..], depth),
                (scores, wide(p)),
            );
        }
    }
}

fn softmax(row: &mut [f32]) {
    let top = row.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
    row.iter_mut().for_each(|v| *v = (*v - top).exp());
    let scale = 1.0 / sum(row);
    row.iter_mut().for_each(|v| *v *= scale);
}
