//! Integer group normalization (Wu and He 2018), exact up to its stated roundings.
//!
//! Over the `n` elements of a group, `S = sum q` and `SS = sum q^2` are exact. With `V = n SS - S^2 + eps_q` (`n^2` times
//! the variance plus epsilon, in units of the input) the normalized value is `(q - S/n) * n / sqrt(V)`:
//!
//! 1. `mean = round_half_up(S * 2^14 / n)`, Q14.
//! 2. `1/sqrt(V) = mant * 2^-31 * 2^-exp` from [`rsqrt_u64`].
//! 3. `p = mant * n` brought to 31 bits by a right shift `k` (rounded half up).
//! 4. a channel: `a = round_half_up(p * gamma / 2^31)`.
//! 5. an element: `y = (((q << 14) - mean) * a + (beta << s) + 2^(s-1)) >> s`, Q16, where `s` follows from the formats.
//! 6. scale and shift, SiLU where asked, then the output's factor.

use super::conv::Part;
use super::view::{Operand, ViewMut};
use crate::features::Feature;
use crate::numeric::requant::{Requant, saturate_i16, saturate_i32};
use crate::numeric::rsqrt::rsqrt_u64;
use crate::numeric::sigmoid::silu_q16;

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
    Two([Part<'a>; 2]),
}

impl Input<'_> {
    /// Element at a position and channel; `channels` is the joined count.
    #[inline(always)]
    fn get(&self, out: &ViewMut<'_>, position: usize, channel: usize, channels: usize) -> i32 {
        match self {
            Self::One(operand) => operand.get(out, position * channels + channel),
            Self::Two([first, second]) => {
                let (part, channel) = if channel < first.channels {
                    (first, channel)
                } else {
                    (second, channel - first.channels)
                };
                let q = part.view.get(position * part.channels + channel);
                saturate_i16(part.requant.unwrap_or(Requant::ONE).apply(q)).into()
            }
        }
    }
}

/// Runs the normalization; `factors` holds three words a channel of one group.
pub fn group_norm(input: &Input<'_>, norm: &Norm<'_>, factors: &mut [i32], out: &mut ViewMut<'_>) {
    let size = norm.channels / norm.groups;
    for group in 0..norm.groups {
        let first = group * size;
        let moments = Moments::of(input, out, norm, first, size);
        let shift = moments.fill(norm, first, factors);
        for position in 0..norm.positions {
            for (channel, factor) in (first..first + size).zip(factors.chunks_exact(3)) {
                let q = input.get(out, position, channel, norm.channels);
                let offset = i64::from(factor[2]) << 32 | i64::from(factor[1] as u32);
                let sum = i64::from(q << MEAN_FRAC) * i64::from(factor[0]) + offset;
                let y = norm.finish(saturate_i32(sum >> shift), channel);
                out.set(position * norm.channels + channel, y);
            }
        }
    }
}

/// Fractional bits of the mean.
const MEAN_FRAC: u32 = 14;
/// Fractional bits of the normalized value.
const OUT_FRAC: i32 = 16;

struct Moments {
    count: u32,
    sum: i64,
    /// `n SS - S^2 + eps_q`
    spread: u64,
}

impl Moments {
    fn of(input: &Input<'_>, out: &ViewMut<'_>, norm: &Norm<'_>, first: usize, size: usize) -> Self {
        let (mut sum, mut squares) = (0i64, 0u64);
        for position in 0..norm.positions {
            for channel in first..first + size {
                let q = input.get(out, position, channel, norm.channels);
                sum += i64::from(q);
                squares += u64::from(q.unsigned_abs()) * u64::from(q.unsigned_abs());
            }
        }
        let count = (norm.positions * size) as u32;
        // Cauchy-Schwarz: n SS >= S^2; n <= 2^16 and |q| <= 2^15 keep both below 2^62.
        let spread = u64::from(count) * squares - sum.unsigned_abs() * sum.unsigned_abs() + norm.eps_q;
        Self { count, sum, spread }
    }

    /// Writes `(a, low and high word of the offset)` a channel, and returns the shift `s`.
    fn fill(&self, norm: &Norm<'_>, first: usize, factors: &mut [i32]) -> u32 {
        let count = i64::from(self.count);
        let mean = (2 * (self.sum << MEAN_FRAC) + count).div_euclid(2 * count);
        let inverse = rsqrt_u64(self.spread);
        let product = u64::from(inverse.mant_q31) * u64::from(self.count);
        let excess = (64 - product.leading_zeros()).saturating_sub(31);
        let p = if excess == 0 {
            product
        } else {
            (product + (1 << (excess - 1))) >> excess
        };
        // y = d * a * 2^-(14 + 31 + exp - excess + gamma_frac - 31), wanted in Q16.
        let s = MEAN_FRAC as i32 + inverse.exp - excess as i32 + i32::from(norm.gamma_frac) - OUT_FRAC;
        let shift = s.clamp(1, MAX_SHIFT) as u32;
        for (channel, factor) in (first..).zip(factors.chunks_exact_mut(3)) {
            let a = (p as i64 * i64::from(norm.gamma[channel]) + (1 << 30)) >> 31;
            let a = if s < 1 {
                a << (1 - s).min(31)
            } else {
                a >> (s - MAX_SHIFT).clamp(0, 63)
            };
            let a = saturate_i32(a);
            let offset = (i64::from(norm.beta_q16[channel]) << shift) + (1 << (shift - 1)) - mean * i64::from(a);
            factor.copy_from_slice(&[a, offset as i32, (offset >> 32) as i32]);
        }
        shift
    }
}

/// Shift above which beta (32 bits) would leave an int64 together with the product.
const MAX_SHIFT: i32 = 30;

impl Norm<'_> {
    /// Scale and shift, SiLU, output factor.
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
        self.out_requant.apply(y)
    }
}
