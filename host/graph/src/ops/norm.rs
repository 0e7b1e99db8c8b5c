//! Normalization: one family of five members.
//!
//! With mean `m` and mean square `v` of `x - m` over a set of elements, `y = (x - m) / max(sqrt(v + eps), floor) * gamma + beta`.
//!
//! | | over | centred | bound |
//! |---|---|---|---|
//! | GroupNorm (Wu and He 2018, eq. 1) | [`Over::Groups`] | yes | eps |
//! | InstanceNorm (Ulyanov et al. 2016) | [`Over::Groups`], one channel each | yes | eps |
//! | LayerNorm (Ba et al. 2016, eq. 4) | [`Over::Position`] | yes | eps |
//! | RMSNorm (Zhang and Sennrich 2019, eq. 4) | [`Over::Position`] | no: `m` is 0 | eps |
//! | L2 norm, `x / max(norm(x), f) * gamma * sqrt(n)` over `n` elements | [`Over::Position`] | no | floor `f / sqrt(n)` |

use super::loops::{dot, sum};
use super::{Backward, Extents, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;
use crate::matrix::wide;
use std::ops::Range;

/// Least bound: its reciprocal is an f32.
const LEAST: f64 = 1e-30;

/// Elements that are normalized together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// So many groups of channels, each with all positions.
    Groups(usize),
    /// The channels of each position, in so many groups.
    Position(usize),
}

impl Over {
    /// Groups of channels.
    #[must_use]
    pub fn groups(self) -> usize {
        match self {
            Self::Groups(groups) | Self::Position(groups) => groups,
        }
    }

    /// Elements that are normalized together, of an activation of that shape.
    #[must_use]
    pub fn elements(self, [channels, rows, cols]: Shape) -> usize {
        match self {
            Self::Groups(groups) => channels / groups * rows * cols,
            Self::Position(groups) => channels / groups,
        }
    }
}

/// Normalization, with an affine a channel. Gamma and beta are `(channel)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Elements that are normalized together. The number of groups divides the channels.
    pub over: Over,
    /// Whether the mean is subtracted.
    pub centred: bool,
    /// Added to the mean square.
    pub eps: f64,
    /// Least divisor.
    pub floor: f64,
    /// Key of gamma; 1 where there is none.
    pub gamma: Option<String>,
    /// Key of beta; 0 where there is none.
    pub beta: Option<String>,
}

impl Norm {
    /// Group normalization with gamma `weight` and beta `bias`.
    #[must_use]
    pub fn group(groups: usize, eps: f64, weight: String, bias: String) -> Self {
        Self {
            over: Over::Groups(groups),
            centred: true,
            eps,
            floor: 0.0,
            gamma: Some(weight),
            beta: Some(bias),
        }
    }

    /// RMSNorm over the channels of a position.
    #[must_use]
    pub fn rms(eps: f64, gamma: Option<String>) -> Self {
        Self {
            over: Over::Position(1),
            centred: false,
            eps,
            floor: 0.0,
            gamma,
            beta: None,
        }
    }

    /// LayerNorm over the channels of a position.
    #[must_use]
    pub fn layer(eps: f64, gamma: Option<String>, beta: Option<String>) -> Self {
        Self {
            over: Over::Position(1),
            centred: true,
            eps,
            floor: 0.0,
            gamma,
            beta,
        }
    }

    /// `x / max(norm(x), floor) * gamma * sqrt(channels)` over the channels of a position.
    #[must_use]
    pub fn l2(channels: usize, floor: f64, gamma: Option<String>) -> Self {
        Self {
            over: Over::Position(1),
            centred: false,
            eps: 0.0,
            floor: floor / (channels as f64).sqrt(),
            gamma,
            beta: None,
        }
    }

    /// Where beta lies among the trained tensors.
    fn beta_at(&self) -> usize {
        usize::from(self.gamma.is_some())
    }
}

/// An affine a channel.
#[derive(Clone, Copy)]
struct Affine<'a, T> {
    gamma: Option<&'a [T]>,
    beta: Option<&'a [T]>,
}

impl<T: Real> Affine<'_, T> {
    fn gamma(&self, channel: usize) -> T {
        self.gamma.map_or(T::ONE, |gamma| gamma[channel])
    }

    fn beta(&self, channel: usize) -> T {
        self.beta.map_or(T::ZERO, |beta| beta[channel])
    }
}

impl Norm {
    fn affine<'a, T: Real>(&self, params: super::Params<'a, T>) -> Affine<'a, T> {
        Affine {
            gamma: self.gamma.as_ref().map(|_| params.get(0)),
            beta: self.beta.as_ref().map(|_| params.get(self.beta_at())),
        }
    }
}

impl Operator for Norm {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let x = inputs.one()?;
        inputs.divides("the number of groups", self.over.groups(), x[0])?;
        let bounds = [self.eps, self.floor];
        let sound = bounds.iter().all(|b| b.is_finite() && *b >= 0.0) && bounds.iter().any(|b| *b >= LEAST);
        inputs.require(
            sound,
            "what keeps a normalization from dividing by 0",
            "eps or floor of 1e-30 or more, and neither below 0",
            format!("eps {}, floor {}", self.eps, self.floor),
        )?;
        for key in self.params() {
            inputs.param_of_shape(key, &x[..1])?;
        }
        Ok(x)
    }

    fn params(&self) -> Vec<&str> {
        [&self.gamma, &self.beta]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect()
    }

    /// Mean and reciprocal divisor a set of elements and sample.
    fn saved_len(&self, extents: &Extents<'_>) -> usize {
        2 * Sets::of(self.over, extents).count()
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        wide(
            #[inline(always)]
            || self.normalize(pass),
        );
    }
}

impl Norm {
    #[inline(always)]
    fn normalize<T: Real>(&self, pass: Forward<'_, T>) {
        let affine = self.affine(pass.params);
        let (x, y) = (pass.x[0], pass.y);
        let each = Sets::of(self.over, &pass.extents);
        let elements = T::of(each.elements() as f64);
        let (eps, floor) = (T::of(self.eps), T::of(self.floor));
        for (i, saved) in pass.saved.chunks_exact_mut(2).take(each.count()).enumerate() {
            let (channels, run) = each.set(i);
            let mut mean = T::ZERO;
            if self.centred {
                let total: T = channels.clone().map(|c| sum(&x[each.line(c, run)])).sum();
                mean = total / elements;
            }
            // The centred values lie in y until they are scaled.
            let mut squares = T::ZERO;
            for c in channels.clone() {
                let at = each.line(c, run);
                let y = &mut y[at.clone()];
                y.iter_mut().zip(&x[at]).for_each(|(y, x)| *y = *x - mean);
                squares += dot(y, y);
            }
            let root = (squares / elements + eps).sqrt();
            // A root that is not a number stays so.
            let scale = T::ONE / if root < floor { floor } else { root };
            (saved[0], saved[1]) = (mean, scale);
            for c in channels {
                let (a, shift) = (scale * affine.gamma(c), affine.beta(c));
                y[each.line(c, run)].iter_mut().for_each(|y| *y = *y * a + shift);
            }
        }
    }
}

impl Reverse for Norm {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let affine = self.affine(pass.params);
        let (x, dy) = (pass.x[0], pass.dy);
        let each = Sets::of(self.over, &pass.extents);
        let elements = T::of(each.elements() as f64);
        // A divisor that is the floor does not depend on x.
        let floor = (self.floor > 0.0).then(|| T::ONE / T::of(self.floor));
        for (i, saved) in pass.saved.chunks_exact(2).take(each.count()).enumerate() {
            let (channels, run) = each.set(i);
            let (mean, scale) = (saved[0], saved[1]);
            let (mut plain, mut aligned) = (T::ZERO, T::ZERO);
            for c in channels.clone() {
                let at = each.line(c, run);
                let s = sum(&dy[at.clone()]);
                // sum of dy * (x - mean) * scale
                let h = (dot(&dy[at.clone()], &x[at]) - mean * s) * scale;
                if self.gamma.is_some()
                    && let Some(by_gamma) = pass.gradients.of(0)
                {
                    by_gamma[c] += h;
                }
                if self.beta.is_some()
                    && let Some(by_beta) = pass.gradients.of(self.beta_at())
                {
                    by_beta[c] += s;
                }
                plain += affine.gamma(c) * s;
                aligned += affine.gamma(c) * h;
            }
            let dx = pass.slopes.of(0);
            if dx.is_empty() {
                continue;
            }
            let (mut plain, mut aligned) = (plain / elements, aligned / elements);
            if !self.centred {
                plain = T::ZERO;
            }
            if floor == Some(scale) {
                aligned = T::ZERO;
            }
            // dx = scale * (gamma dy - plain - (x - mean) scale aligned)
            let slope = scale * scale * aligned;
            let shift = slope * mean - scale * plain;
            for c in channels {
                let (at, a) = (each.line(c, run), scale * affine.gamma(c));
                for ((dx, dy), x) in dx[at.clone()].iter_mut().zip(&dy[at.clone()]).zip(&x[at]) {
                    *dx += a * *dy - slope * *x + shift;
                }
            }
        }
    }
}

/// Where the sets of elements lie that are normalized together: in each of some channels a line of positions.
struct Sets {
    groups: usize,
    /// Channels of a group.
    depth: usize,
    /// Lines of a channel, over all samples.
    lines: usize,
    /// Elements of a line.
    len: usize,
}

impl Sets {
    fn of(over: Over, extents: &Extents<'_>) -> Self {
        let [channels, rows, cols] = extents.output;
        let groups = over.groups();
        let (lines, len) = match over {
            Over::Groups(_) => (extents.n, rows * cols),
            Over::Position(_) => (extents.n * rows * cols, 1),
        };
        Self {
            groups,
            depth: channels / groups,
            lines,
            len,
        }
    }

    /// Sets of all samples.
    fn count(&self) -> usize {
        self.lines * self.groups
    }

    /// Elements of a set.
    fn elements(&self) -> usize {
        self.depth * self.len
    }

    /// Channels and line of the `i`-th.
    fn set(&self, i: usize) -> (Range<usize>, usize) {
        let group = i / self.lines;
        (group * self.depth..(group + 1) * self.depth, i % self.lines)
    }

    fn line(&self, channel: usize, line: usize) -> Range<usize> {
        let first = (channel * self.lines + line) * self.len;
        first..first + self.len
    }
}
