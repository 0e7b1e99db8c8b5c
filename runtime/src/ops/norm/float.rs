//! f16 group normalization. A channel's sum runs over positions in order; a group's sum over its channels in order; the same for
//! the squared deviations. `y = (x - mean) / sqrt(var + eps) * gamma + beta`, each operation rounded to f32.

use core::ops::Range;

use crate::numeric::float::silu_f32;
use crate::numeric::float::{load, store};
use crate::ops::conv::float::InputPart;
use crate::tensor::view::{Operand, ViewMut};

/// Parameters of a group normalization.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// Groups.
    pub groups: usize,
    /// Channels.
    pub channels: usize,
    /// Rows times columns.
    pub positions: usize,
    /// SiLU at the end.
    pub silu: bool,
    /// Added to the variance.
    pub eps: f32,
    /// A channel.
    pub gamma: &'a [f32],
    /// A channel.
    pub beta: &'a [f32],
    /// f16 `(2 * channels)`.
    pub scale_shift: Option<&'a [u16]>,
}

/// The input: one tensor, or the two parts of a concatenation.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// One tensor.
    One(Operand<'a>),
    /// A concatenation.
    Two([InputPart<'a>; 2]),
}

impl Input<'_> {
    #[inline(always)]
    pub(super) fn get(&self, out: &ViewMut<'_>, position: usize, channel: usize, channels: usize) -> f32 {
        let bits = match self {
            Self::One(operand) => operand.get(out, position * channels + channel),
            Self::Two([first, _]) if channel < first.channels => first.data.get(position * first.channels + channel),
            Self::Two([first, second]) => second.data.get(position * second.channels + channel - first.channels),
        };
        load(bits as u16)
    }

    /// Sum over channels of sums over positions of `f`, both in order.
    pub(super) fn sum(
        &self,
        out: &ViewMut<'_>,
        channels: usize,
        (positions, some): &(Range<usize>, Range<usize>),
        f: impl Fn(f32) -> f32,
    ) -> f32 {
        let mut total = 0.0;
        for channel in some.clone() {
            let mut sum = 0.0;
            for position in positions.clone() {
                sum += f(self.get(out, position, channel, channels));
            }
            total += sum;
        }
        total
    }
}

impl Norm<'_> {
    /// What becomes of an element.
    #[inline(always)]
    pub(super) fn affine(&self, x: f32, mean: f32, factor: f32, channel: usize) -> f32 {
        let mut y = (x - mean) * factor * self.gamma[channel] + self.beta[channel];
        if let Some(vector) = self.scale_shift {
            y = y * (1.0 + load(vector[channel])) + load(vector[self.channels + channel]);
        }
        if self.silu {
            y = silu_f32(y);
        }
        y
    }
}

/// Runs the normalization; `scratch` holds two f32 a channel.
pub fn group_norm(input: &Input<'_>, norm: &Norm<'_>, scratch: &mut [f32], out: &mut ViewMut<'_>) {
    let (means, factors) = scratch.split_at_mut(norm.channels);
    let factors = &mut factors[..norm.channels];
    sums(input, norm, out, means, |x, _| x);
    let size = norm.channels / norm.groups;
    let count = (norm.positions * size) as f32;
    share(means, size, |sum| sum / count);
    sums(input, norm, out, factors, |x, channel| {
        let d = x - means[channel];
        d * d
    });
    share(factors, size, |sum| 1.0 / libm::sqrtf(sum / count + norm.eps));
    for position in 0..norm.positions {
        for channel in 0..norm.channels {
            let x = input.get(out, position, channel, norm.channels);
            let y = norm.affine(x, means[channel], factors[channel], channel);
            out.set(position * norm.channels + channel, store(y));
        }
    }
}

fn sums(input: &Input<'_>, norm: &Norm<'_>, out: &ViewMut<'_>, into: &mut [f32], f: impl Fn(f32, usize) -> f32) {
    into.fill(0.0);
    for position in 0..norm.positions {
        for (channel, sum) in into.iter_mut().enumerate() {
            *sum += f(input.get(out, position, channel, norm.channels), channel);
        }
    }
}

/// Replaces each channel's sum by `f` of its group's sum.
pub fn share(values: &mut [f32], size: usize, f: impl Fn(f32) -> f32) {
    for group in values.chunks_exact_mut(size) {
        let mut total = 0.0;
        for value in group.iter() {
            total += value;
        }
        group.fill(f(total));
    }
}
