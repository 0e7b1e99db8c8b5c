//! Integer group normalization (Wu and He 2018), exact up to its stated roundings.
//!
//! Over the `n` elements of a group, `S = sum q` and `SS = sum q^2` are exact. With `V = n SS - S^2 + eps_q` (`n^2` times
//! the variance plus epsilon, in units of the input) the normalized value is `(q - S/n) * n / sqrt(V)`:
//!
//! 1. `mean = round_half_up(S * 2^14 / n)`, Q14.
//! 2. `1/sqrt(V) = mant * 2^-31 * 2^-exp` from [`rsqrt_u64`](crate::numeric::rsqrt::rsqrt_u64).
//! 3. `p = mant * n` brought to 31 bits by a right shift `k` (rounded half up).
//! 4. a channel: `a = round_half_up(p * gamma / 2^31)`.
//! 5. an element: `y = (((q << 14) - mean) * a + (beta << s) + 2^(s-1)) >> s`, Q16, where `s` follows from the formats.
//! 6. scale and shift, SiLU where asked, then the output's factor.

//!
//! `quick` has the family's kernels for the numbers that are common, and a way for the others; `compact`, in its place where the part
//! `fast` is left out, has one for all.

#[cfg(not(feature = "fast"))]
mod compact;
#[cfg(feature = "fast")]
mod exact;
pub(super) mod moments;
#[cfg(feature = "fast")]
mod quick;

#[cfg(not(feature = "fast"))]
pub use compact::{Prepared, is_quick, positions};
#[cfg(feature = "fast")]
pub use quick::{Prepared, is_quick, positions};

use core::ops::Range;

use crate::family::InputPart;
use crate::features::Feature;
use crate::numeric::product::product;
use crate::numeric::requant::{Requant, rounded, saturate_i32};
use crate::numeric::sigmoid::silu_q16;
use crate::tensor::view::{Operand, ViewMut};
use moments::{Factors, MEAN_FRAC};

/// Parameters of a group normalization.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// Groups.
    pub groups: usize,
    /// Channels, a multiple of the groups.
    pub channels: usize,
    /// Rows times columns.
    pub positions: usize,
    /// SiLU at the end.
    pub silu: bool,
    /// `eps * n^2 / scale^2`.
    pub eps_q: u64,
    /// A channel, Q`gamma_frac`.
    pub gamma: &'a [i32],
    /// Fractional bits of gamma.
    pub gamma_frac: u8,
    /// A channel, Q16.
    pub beta_q16: &'a [i32],
    /// From Q16 to the output.
    pub out_requant: Requant,
    /// Scale and shift of the timestep: `(2 * channels)` and the factor to Q16.
    pub scale_shift: Option<(&'a [i16], Requant)>,
}

/// The input: one tensor, which may be the output's own memory, or the two parts of a concatenation.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// One tensor.
    One(Operand<'a>),
    /// A concatenation.
    Two([InputPart<'a>; 2]),
}

impl<'a> Input<'a> {
    /// Some of the positions, which the output then begins with; `None` where they are not there.
    pub(super) fn cut(&self, range: Range<usize>, channels: usize) -> Option<Self> {
        let of = |channels: usize| range.start * channels..range.end * channels;
        Some(match self {
            Self::One(operand) => Self::One(operand.cut(of(channels))?),
            Self::Two(parts) => {
                let mut parts = *parts;
                for part in &mut parts {
                    part.view = part.view.cut(of(part.channels))?;
                }
                Self::Two(parts)
            }
        })
    }
}

impl Input<'_> {
    /// Element at a position and channel; `channels` is the joined count.
    #[inline(always)]
    pub(super) fn get(&self, out: &ViewMut<'_>, position: usize, channel: usize, channels: usize) -> i32 {
        match self {
            Self::One(operand) => operand.get(out, position * channels + channel),
            Self::Two([first, second]) => {
                let (part, channel) = if channel < first.channels {
                    (first, channel)
                } else {
                    (second, channel - first.channels)
                };
                part.joined(position * part.channels + channel).into()
            }
        }
    }

    /// [`Input::get`], called.
    #[cfg_attr(not(feature = "fast"), allow(dead_code))]
    #[inline(never)]
    pub(super) fn at(&self, out: &ViewMut<'_>, position: usize, channel: usize, channels: usize) -> i32 {
        match self {
            Self::One(operand) => operand.at(out, position * channels + channel),
            Self::Two(_) => self.get(out, position, channel, channels),
        }
    }
}

/// Words that a channel needs of `factors`.
pub const FACTOR_WORDS: usize = 3;

/// Runs the normalization; `factors` holds [`FACTOR_WORDS`] a channel.
pub fn group_norm(input: &Input<'_>, norm: &Norm<'_>, factors: &mut [i32], out: &mut ViewMut<'_>) {
    let prepared = norm.prepare(input, factors, out);
    positions(input, norm, &prepared, factors, 0..norm.positions, out);
}

impl Norm<'_> {
    /// The definition: any factor, any shift, saturation at every stage.
    #[inline(always)]
    pub(super) fn apply(&self, q: i32, [a, mean, shift]: Factors, channel: usize) -> i32 {
        let beta_q16 = self.beta_q16.get(channel).copied().unwrap_or_default();
        let wide = product((q << MEAN_FRAC) - mean, a);
        self.finish(rounded(wide, shift as u32, beta_q16), channel)
    }

    /// Scale and shift, SiLU.
    #[inline(always)]
    fn finish(&self, y_q16: i32, channel: usize) -> i32 {
        let mut y = y_q16;
        if let (true, Some((vector, requant))) = (Feature::ScaleShift.is_built(), self.scale_shift) {
            let scale = i64::from(requant.apply(vector[channel].into()));
            let shift = i64::from(requant.apply(vector[self.channels + channel].into()));
            y = saturate_i32(i64::from(y) + ((i64::from(y) * scale + (1 << 15)) >> 16) + shift);
        }
        if self.silu {
            y = silu_q16(y);
        }
        y
    }
}
