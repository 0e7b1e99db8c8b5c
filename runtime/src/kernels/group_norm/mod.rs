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

mod moments;
mod quick;

use core::ops::Range;

use super::conv::Part;
use super::family::Finish;
use super::view::{Operand, ViewMut};
use crate::features::Feature;
use crate::numeric::divide::divide_by_small;
use crate::numeric::requant::{Requant, rounded, saturate_i32};
use crate::numeric::sigmoid::silu_q16;
use moments::{Affine, MEAN_FRAC, Moments};

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
                part.joined(position * part.channels + channel).into()
            }
        }
    }

    /// [`Input::get`], called.
    #[inline(never)]
    fn at(&self, out: &ViewMut<'_>, position: usize, channel: usize, channels: usize) -> i32 {
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
    let finish = norm.prepare(input, factors, out);
    positions(input, norm, finish.as_ref(), factors, 0..norm.positions, out);
}

/// Normalizes some positions, the first to the front of `out`. `finish` is what [`Norm::prepare`] gave, and `factors` what it left.
#[inline(never)]
pub fn positions(
    input: &Input<'_>,
    norm: &Norm<'_>,
    finish: Option<&Finish>,
    factors: &[i32],
    range: Range<usize>,
    out: &mut ViewMut<'_>,
) {
    match finish {
        Some(finish) if Feature::Fast.is_built() => quick::normalize(input, norm, factors, finish, range, out),
        _ => one_by_one(input, norm, factors, range, out),
    }
}

/// The definition: any factor, any shift, saturation at every stage.
fn one_by_one(input: &Input<'_>, norm: &Norm<'_>, factors: &[i32], range: Range<usize>, out: &mut ViewMut<'_>) {
    // Calls where nothing but rare factors comes here.
    let often = Feature::ScaleShift.is_built() && Feature::Fast.is_built();
    let mut at = 0;
    for position in range {
        let mut left = factors;
        for (channel, &beta_q16) in norm.beta_q16.iter().enumerate() {
            let Some((&[a, mean, shift], rest)) = left.split_first_chunk() else {
                return;
            };
            left = rest;
            let q = if often {
                input.get(out, position, channel, norm.channels)
            } else {
                input.at(out, position, channel, norm.channels)
            };
            let product = i64::from((q << MEAN_FRAC) - mean) * i64::from(a);
            let y = norm.finish(rounded(product, shift as u32, beta_q16), channel);
            if often {
                out.set(at, norm.out_requant.apply(y));
            } else {
                out.put(at, norm.out_requant.times(y));
            }
            at += 1;
        }
    }
}

impl Norm<'_> {
    /// Leaves every channel's factors for [`positions`]: those of the family's kernel with what follows it, or those of any
    /// normalization, `(a, mean, shift)`.
    #[inline(never)]
    pub fn prepare(&self, input: &Input<'_>, factors: &mut [i32], out: &ViewMut<'_>) -> Option<Finish> {
        if Feature::Fast.is_built()
            && let Some(finish) = self.quick(input, factors, out)
        {
            return Some(finish);
        }
        let any = |affine: &Affine, channel| Some([affine.slope(self, channel), affine.mean, affine.shift as i32]);
        self.fill(input, factors, out, &any);
        None
    }

    /// Leaves every channel's factors, as `form` makes them of what its group shares; `None` where it cannot.
    fn fill(
        &self,
        input: &Input<'_>,
        factors: &mut [i32],
        out: &ViewMut<'_>,
        form: &dyn Fn(&Affine, usize) -> Option<[i32; FACTOR_WORDS]>,
    ) -> Option<()> {
        let size = divide_by_small(self.channels as u64, self.groups as u32) as usize;
        if Feature::Fast.is_built() {
            input.sum(factors);
        }
        let (mut affine, mut end) = (Affine::default(), 0);
        for channel in 0..self.channels {
            if channel == end {
                end += size;
                affine = Moments::of(input, out, self, channel..end, factors).affine(self);
            }
            let words = factors.get_mut(channel * FACTOR_WORDS..)?.first_chunk_mut()?;
            *words = form(&affine, channel)?;
        }
        Some(())
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
