//! Group normalization (Wu and He 2018, eq. 1) and its gradients.

use super::pointwise::{dot, sum};
use std::ops::Range;

/// A group normalization with its places in the flat parameters.
#[derive(Debug, Clone)]
pub struct Norm {
    /// Number of groups.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// `(channel)`.
    pub gamma: Range<usize>,
    /// `(channel)`.
    pub beta: Range<usize>,
    /// Channels.
    pub channels: usize,
    /// Rows times columns.
    pub positions: usize,
}

impl Norm {
    /// Numbers kept for the way back: mean and reciprocal deviation a group and sample.
    pub fn saved_len(&self, n: usize) -> usize {
        2 * n * self.groups
    }

    fn depth(&self) -> usize {
        self.channels / self.groups
    }

    /// Where channel `c` of sample `b` lies among `n` samples.
    fn plane(&self, n: usize, c: usize, b: usize) -> Range<usize> {
        let first = (c * n + b) * self.positions;
        first..first + self.positions
    }

    /// `y` of `n` samples.
    pub fn forward(&self, n: usize, params: &[f32], x: &[f32], saved: &mut [f32], y: &mut [f32]) {
        let (gamma, beta) = (&params[self.gamma.clone()], &params[self.beta.clone()]);
        let elements = (self.depth() * self.positions) as f32;
        for (i, saved) in saved.chunks_exact_mut(2).take(n * self.groups).enumerate() {
            let (group, b) = (i / n, i % n);
            let channels = group * self.depth()..(group + 1) * self.depth();
            let total: f32 = channels.clone().map(|c| sum(&x[self.plane(n, c, b)])).sum();
            let mean = total / elements;
            // The centred values lie in y until they are scaled.
            let mut squares = 0.0;
            for c in channels.clone() {
                let at = self.plane(n, c, b);
                let y = &mut y[at.clone()];
                y.iter_mut().zip(&x[at]).for_each(|(y, x)| *y = x - mean);
                squares += dot(y, y);
            }
            let scale = 1.0 / (squares / elements + self.eps).sqrt();
            (saved[0], saved[1]) = (mean, scale);
            for c in channels {
                let (a, shift) = (scale * gamma[c], beta[c]);
                y[self.plane(n, c, b)].iter_mut().for_each(|y| *y = *y * a + shift);
            }
        }
    }

    /// Adds the gradients of gamma, beta and the input.
    #[allow(
        clippy::too_many_arguments,
        reason = "a pass has what goes in, what comes out, and their gradients"
    )]
    pub fn backward(
        &self,
        n: usize,
        params: &[f32],
        x: &[f32],
        saved: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        dparams: &mut [f32],
    ) {
        let gamma = &params[self.gamma.clone()];
        let elements = (self.depth() * self.positions) as f32;
        for (i, saved) in saved.chunks_exact(2).take(n * self.groups).enumerate() {
            let (group, b) = (i / n, i % n);
            let channels = group * self.depth()..(group + 1) * self.depth();
            let (mean, scale) = (saved[0], saved[1]);
            let (mut plain, mut aligned) = (0.0, 0.0);
            for c in channels.clone() {
                let at = self.plane(n, c, b);
                let s = sum(&dy[at.clone()]);
                // sum of dy * (x - mean) * scale
                let h = (dot(&dy[at.clone()], &x[at]) - mean * s) * scale;
                dparams[self.beta.start + c] += s;
                dparams[self.gamma.start + c] += h;
                plain += gamma[c] * s;
                aligned += gamma[c] * h;
            }
            let (plain, aligned) = (plain / elements, aligned / elements);
            // dx = scale * (gamma dy - plain - (x - mean) scale aligned)
            let slope = scale * scale * aligned;
            let shift = slope * mean - scale * plain;
            for c in channels {
                let (at, a) = (self.plane(n, c, b), scale * gamma[c]);
                for ((dx, dy), x) in dx[at.clone()].iter_mut().zip(&dy[at.clone()]).zip(&x[at]) {
                    *dx += a * dy - slope * x + shift;
                }
            }
        }
    }
}
