//! Attention whose cost grows with the number of positions and not with its square.

use super::{Extents, Forward, Inputs, Operator, Shape};
use crate::Real;
use crate::graph::GraphError;

/// `softmax_depth(q) scale (softmax_positions(k)^T v)` over positions (Shen et al. 2018, section 3.2). Inputs q, k, v; v may have other
/// positions than q only together with k. A head is a contiguous range of channels of all three.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearAttention {
    /// Number of heads; divides the channel counts.
    pub heads: usize,
    /// Factor of the result.
    pub scale: f64,
}

impl Operator for LinearAttention {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(3)?;
        let [q, k, v] = [inputs.shapes[0], inputs.shapes[1], inputs.shapes[2]];
        inputs.same("the key's channels", [q[0], k[1], k[2]], k)?;
        inputs.same("the value's positions", [v[0], k[1], k[2]], v)?;
        inputs.divides("the number of heads", self.heads, q[0])?;
        inputs.divides("the number of heads", self.heads, v[0])?;
        inputs.require(self.scale.is_finite(), "the factor", "finite", self.scale)?;
        inputs.size("the context", &[self.heads, q[0] / self.heads, v[0] / self.heads])?;
        Ok([v[0], q[1], q[2]])
    }

    /// Both products: keys times values, and queries times that.
    fn macs(&self, inputs: &[Shape], [channels, rows, cols]: Shape) -> u64 {
        let depth = inputs.first().map_or(0, |q| q[0] / self.heads.max(1)) as u64;
        let keys = inputs.get(1).map_or(0, |k| k[1] * k[2]) as u64;
        channels as u64 * depth * (keys + rows as u64 * cols as u64)
    }

    /// One head's queries and keys after their softmax, and its context.
    fn scratch_len(&self, extents: &Extents<'_>) -> usize {
        let [q, k, v] = [extents.inputs[0], extents.inputs[1], extents.inputs[2]];
        let depth = q[0] / self.heads;
        depth * (q[1] * q[2] + k[1] * k[2] + v[0] / self.heads)
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let [q, k, v] = [0, 1, 2].map(|i: usize| pass.extents.inputs[i]);
        let (n, positions, keys) = (pass.extents.n, q[1] * q[2], k[1] * k[2]);
        let (depth, width) = (q[0] / self.heads, v[0] / self.heads);
        let scale = T::of(self.scale);
        let (soft_q, rest) = pass.scratch.split_at_mut(depth * positions);
        let (soft_k, rest) = rest.split_at_mut(depth * keys);
        let context = &mut rest[..depth * width];
        for (sample, head) in (0..n * self.heads).map(|i| (i / self.heads, i % self.heads)) {
            let row = |channel: usize, count: usize| (channel * n + sample) * count..(channel * n + sample + 1) * count;
            for d in 0..depth {
                let channel = head * depth + d;
                soft_q[d * positions..][..positions].copy_from_slice(&pass.x[0][row(channel, positions)]);
                let soft = &mut soft_k[d * keys..][..keys];
                soft.copy_from_slice(&pass.x[1][row(channel, keys)]);
                softmax(soft, keys, 1);
            }
            for p in 0..positions {
                softmax(&mut soft_q[p..], depth, positions);
            }
            for (d, e) in (0..depth * width).map(|i| (i / width, i % width)) {
                let values = &pass.x[2][row(head * width + e, keys)];
                context[d * width + e] = super::loops::dot(&soft_k[d * keys..][..keys], values);
            }
            for e in 0..width {
                let out = &mut pass.y[row(head * width + e, positions)];
                out.fill(T::ZERO);
                for d in 0..depth {
                    let factor = context[d * width + e] * scale;
                    let queries = &soft_q[d * positions..][..positions];
                    out.iter_mut().zip(queries).for_each(|(y, q)| *y += factor * *q);
                }
            }
        }
    }
}

/// A softmax of `count` values that are `step` apart.
fn softmax<T: Real>(values: &mut [T], count: usize, step: usize) {
    let mut top = T::of(f64::NEG_INFINITY);
    for i in 0..count {
        top = top.larger(values[i * step]);
    }
    let mut total = T::ZERO;
    for i in 0..count {
        let power = (values[i * step] - top).exp();
        values[i * step] = power;
        total += power;
    }
    for i in 0..count {
        values[i * step] *= T::ONE / total;
    }
}
