//! Group normalization.

use super::loops::{dot, sum};
use super::{Backward, Extents, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;
use std::ops::Range;

/// Group normalization (Wu and He 2018, eq. 1) with an affine a channel; the variance is the biased one.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupNorm {
    /// Number of groups; divides the channel count.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Key of gamma `(channel)`.
    pub weight: String,
    /// Key of beta `(channel)`.
    pub bias: String,
}

impl Operator for GroupNorm {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let x = inputs.one()?;
        inputs.divides("the number of groups", self.groups, x[0])?;
        inputs.param_of_shape(&self.weight, &x[..1])?;
        inputs.param_of_shape(&self.bias, &x[..1])?;
        Ok(x)
    }

    fn params(&self) -> Vec<&str> {
        vec![&self.weight, &self.bias]
    }

    /// Mean and reciprocal deviation a group and sample.
    fn saved_len(&self, extents: &Extents<'_>) -> usize {
        2 * extents.n * self.groups
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let (gamma, beta) = (pass.params.get(0), pass.params.get(1));
        let (x, y) = (pass.x[0], pass.y);
        let each = Groups::of(self.groups, &pass.extents);
        let elements = T::of(each.elements() as f64);
        for (i, saved) in pass.saved.chunks_exact_mut(2).take(each.count()).enumerate() {
            let (channels, sample) = each.group(i);
            let total: T = channels.clone().map(|c| sum(&x[each.plane(c, sample)])).sum();
            let mean = total / elements;
            // The centred values lie in y until they are scaled.
            let mut squares = T::ZERO;
            for c in channels.clone() {
                let at = each.plane(c, sample);
                let y = &mut y[at.clone()];
                y.iter_mut().zip(&x[at]).for_each(|(y, x)| *y = *x - mean);
                squares += dot(y, y);
            }
            let scale = T::ONE / (squares / elements + T::of(self.eps)).sqrt();
            (saved[0], saved[1]) = (mean, scale);
            for c in channels {
                let (a, shift) = (scale * gamma[c], beta[c]);
                y[each.plane(c, sample)].iter_mut().for_each(|y| *y = *y * a + shift);
            }
        }
    }
}

impl Reverse for GroupNorm {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let (gamma, x, dy) = (pass.params.get(0), pass.x[0], pass.dy);
        let each = Groups::of(self.groups, &pass.extents);
        let elements = T::of(each.elements() as f64);
        for (i, saved) in pass.saved.chunks_exact(2).take(each.count()).enumerate() {
            let (channels, sample) = each.group(i);
            let (mean, scale) = (saved[0], saved[1]);
            let (mut plain, mut aligned) = (T::ZERO, T::ZERO);
            for c in channels.clone() {
                let at = each.plane(c, sample);
                let s = sum(&dy[at.clone()]);
                // sum of dy * (x - mean) * scale
                let h = (dot(&dy[at.clone()], &x[at]) - mean * s) * scale;
                if let Some(by_gamma) = pass.gradients.of(0) {
                    by_gamma[c] += h;
                }
                if let Some(by_beta) = pass.gradients.of(1) {
                    by_beta[c] += s;
                }
                plain += gamma[c] * s;
                aligned += gamma[c] * h;
            }
            let dx = pass.slopes.of(0);
            if dx.is_empty() {
                continue;
            }
            let (plain, aligned) = (plain / elements, aligned / elements);
            // dx = scale * (gamma dy - plain - (x - mean) scale aligned)
            let slope = scale * scale * aligned;
            let shift = slope * mean - scale * plain;
            for c in channels {
                let (at, a) = (each.plane(c, sample), scale * gamma[c]);
                for ((dx, dy), x) in dx[at.clone()].iter_mut().zip(&dy[at.clone()]).zip(&x[at]) {
                    *dx += a * *dy - slope * *x + shift;
                }
            }
        }
    }
}

/// Where groups lie among `n` samples.
struct Groups {
    n: usize,
    groups: usize,
    /// Channels of a group.
    depth: usize,
    positions: usize,
}

impl Groups {
    fn of(groups: usize, extents: &Extents<'_>) -> Self {
        let [channels, rows, cols] = extents.output;
        Self {
            n: extents.n,
            groups,
            depth: channels / groups,
            positions: rows * cols,
        }
    }

    /// Groups of all samples.
    fn count(&self) -> usize {
        self.n * self.groups
    }

    fn elements(&self) -> usize {
        self.depth * self.positions
    }

    /// Channels and sample of the `i`-th.
    fn group(&self, i: usize) -> (Range<usize>, usize) {
        let group = i / self.n;
        (group * self.depth..(group + 1) * self.depth, i % self.n)
    }

    fn plane(&self, channel: usize, sample: usize) -> Range<usize> {
        let first = (channel * self.n + sample) * self.positions;
        first..first + self.positions
    }
}
