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

use core::ops::Range;

use super::conv::{CHUNK, Part};
use super::family::{self, Elements, Finish, Normalized};
use super::view::{Operand, View, ViewMut};
use crate::features::Feature;
use crate::numeric::divide::divide_by_small;
use crate::numeric::requant::{Requant, saturate_i32};
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

    /// Of a concatenation: leaves the sum (a word) and the sum of squares (two) of every channel in `sums`.
    fn sum(&self, sums: &mut [i32]) {
        let Self::Two([one, two]) = self else { return };
        sums.fill(0);
        let (first, second) = sums.split_at_mut(one.channels * FACTOR_WORDS);
        one.add_sums(first);
        two.add_sums(second);
    }
}

/// Words that a channel needs of `factors`.
pub const FACTOR_WORDS: usize = 3;

/// Runs the normalization; `factors` holds [`FACTOR_WORDS`] a channel.
pub fn group_norm(input: &Input<'_>, norm: &Norm<'_>, factors: &mut [i32], out: &mut ViewMut<'_>) {
    let finish = norm.quick(input, factors, out);
    positions(input, norm, finish.as_ref(), factors, 0..norm.positions, out);
}

/// Normalizes some positions, the first to the front of `out`. `finish` is what [`Norm::quick`] gave, and `factors` what it left.
#[inline(never)]
pub fn positions(
    input: &Input<'_>,
    norm: &Norm<'_>,
    finish: Option<&Finish>,
    factors: &mut [i32],
    range: Range<usize>,
    out: &mut ViewMut<'_>,
) {
    match finish {
        Some(finish) => normalize(input, norm, factors, finish, range, out),
        None => one_by_one(input, norm, factors, range, out),
    }
}

/// Every element through the family's kernel.
fn normalize(
    input: &Input<'_>,
    norm: &Norm<'_>,
    factors: &[i32],
    finish: &Finish,
    range: Range<usize>,
    out: &mut ViewMut<'_>,
) {
    let factors = &factors[..norm.channels * FACTOR_WORDS];
    let parts = match input {
        Input::One(operand) => {
            let elements = range.start * norm.channels..range.end * norm.channels;
            let count = elements.len();
            let from = match operand {
                Operand::Apart(View::I8(data, _)) => Elements::I8(&data[elements]),
                Operand::Apart(View::I16(data)) => Elements::I16(&data[elements]),
                _ => Elements::InPlace,
            };
            return run(from, 0, count, factors, finish, out);
        }
        Input::Two(parts) => parts,
    };
    if let Some(mut to) = normalized(out, 0, range.len() * norm.channels)
        && family::normalize_two(parts, range.clone(), &mut to, factors, finish)
    {
        return;
    }
    let mut joined = [0; CHUNK];
    for position in range.clone() {
        let at = (position - range.start) * norm.channels;
        if let Some(joined) = joined.get_mut(..norm.channels) {
            let (first, second) = joined.split_at_mut(parts[0].channels);
            parts[0].join(position * parts[0].channels, first);
            parts[1].join(position * parts[1].channels, second);
            run(Elements::I16(joined), at, norm.channels, factors, finish, out);
            continue;
        }
        let mut first = 0;
        for part in parts {
            let mut done = 0;
            while done < part.channels {
                // A common scale first, a few elements at a time.
                let joined = &mut joined[..(part.channels - done).min(CHUNK)];
                part.join(position * part.channels + done, joined);
                let (channel, count) = (first + done, joined.len());
                let factors = &factors[channel * FACTOR_WORDS..][..count * FACTOR_WORDS];
                run(Elements::I16(joined), at + channel, count, factors, finish, out);
                done += count;
            }
            first += part.channels;
        }
    }
}

/// `count` elements of the output from `at` on.
fn run(from: Elements<'_>, at: usize, count: usize, factors: &[i32], finish: &Finish, out: &mut ViewMut<'_>) {
    if let Some(mut to) = normalized(out, at, count) {
        family::normalize(from, &mut to, factors, finish);
    }
}

fn normalized<'o>(out: &'o mut ViewMut<'_>, at: usize, count: usize) -> Option<Normalized<'o>> {
    match out {
        ViewMut::I8(data, zero) => Some(Normalized::I8(data.get_mut(at..at + count)?, *zero)),
        ViewMut::I16(data) => Some(Normalized::I16(data.get_mut(at..at + count)?)),
        ViewMut::F16(_) | ViewMut::Q24(_) => None,
    }
}

/// The definition: any factor, any shift, saturation at every stage.
fn one_by_one(input: &Input<'_>, norm: &Norm<'_>, factors: &mut [i32], range: Range<usize>, out: &mut ViewMut<'_>) {
    let size = norm.channels / norm.groups;
    input.sum(factors);
    for (group, factors) in factors.chunks_exact_mut(size * FACTOR_WORDS).enumerate() {
        let first = group * size;
        let affine = Moments::of(input, out, norm, first, factors).affine(norm);
        for (channel, factor) in (first..).zip(factors.chunks_exact_mut(FACTOR_WORDS)) {
            let (a, offset) = affine.channel(norm, channel);
            factor.copy_from_slice(&[a, offset as i32, (offset >> 32) as i32]);
        }
        for position in range.clone() {
            for (channel, factor) in (first..).zip(factors.chunks_exact(FACTOR_WORDS)) {
                let at = (position - range.start) * norm.channels + channel;
                // Calls where nothing but rare factors comes here.
                let often = Feature::ScaleShift.is_built();
                let q = if often {
                    input.get(out, position, channel, norm.channels)
                } else {
                    input.at(out, position, channel, norm.channels)
                };
                let offset = words(factor[1], factor[2]);
                let sum = i64::from(q << MEAN_FRAC) * i64::from(factor[0]) + offset;
                let y = norm.finish(saturate_i32(sum >> affine.shift), channel);
                if often {
                    out.set(at, norm.out_requant.apply(y));
                } else {
                    out.put(at, norm.out_requant.times(y));
                }
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
    /// Of the group whose first channel is `first`. `sums` are its channels' from [`Input::sum`].
    fn of(input: &Input<'_>, out: &ViewMut<'_>, norm: &Norm<'_>, first: usize, sums: &[i32]) -> Self {
        let size = sums.len() / FACTOR_WORDS;
        let (view, zero) = match input {
            Input::One(Operand::Apart(view @ View::I8(_, zero))) => (*view, *zero),
            Input::One(Operand::Apart(view)) => (*view, 0),
            Input::One(Operand::InPlace { zero }) => (out.as_view(), *zero),
            Input::Two(_) => {
                let (sum, squares) = sums.chunks_exact(FACTOR_WORDS).fold((0, 0), |(sum, squares), c| {
                    (sum + i64::from(c[0]), squares + words(c[1], c[2]) as u64)
                });
                return Self::new(norm, size, sum, squares);
            }
        };
        let (sum, squares) = match view {
            View::I8(data, _) => family::moments8(data, norm.channels, first, size),
            View::I16(data) => family::moments16(data, norm.channels, first, size),
            View::F16(_) | View::Q24(_) => (0, 0),
        };
        // Sums of q - zero from sums of q.
        let (elements, zero) = ((norm.positions * size) as i64, i64::from(zero));
        let squares = squares as i64 - 2 * zero * sum + elements * zero * zero;
        Self::new(norm, size, sum - elements * zero, squares as u64)
    }

    fn new(norm: &Norm<'_>, size: usize, sum: i64, squares: u64) -> Self {
        let count = (norm.positions * size) as u32;
        // Cauchy-Schwarz: n SS >= S^2; n <= 2^16 and |q| <= 2^15 keep both below 2^62.
        let spread = u64::from(count) * squares - sum.unsigned_abs() * sum.unsigned_abs() + norm.eps_q;
        Self { count, sum, spread }
    }

    /// What the channels of the group share.
    fn affine(&self, norm: &Norm<'_>) -> Affine {
        let count = i64::from(self.count);
        // Floored: a mean is within 2^29, so 2^30 more makes it positive.
        let above = (2 * (self.sum << MEAN_FRAC) + count + (count << 31)) as u64;
        let mean = i64::from(divide_by_small(above, 2 * self.count)) - (1 << 30);
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
        Affine {
            mean,
            p: p as i64,
            s,
            shift: s.clamp(1, MAX_SHIFT) as u32,
        }
    }
}

fn words(low: i32, high: i32) -> i64 {
    i64::from(high) << 32 | i64::from(low as u32)
}

struct Affine {
    /// Q14.
    mean: i64,
    p: i64,
    s: i32,
    /// `s` within its limits.
    shift: u32,
}

impl Affine {
    /// The factor of a channel.
    fn slope(&self, norm: &Norm<'_>, channel: usize) -> i32 {
        let a = (self.p * i64::from(norm.gamma[channel]) + (1 << 30)) >> 31;
        saturate_i32(if self.s < 1 {
            a << (1 - self.s).min(31)
        } else if self.s > MAX_SHIFT {
            a >> (self.s - MAX_SHIFT).min(63)
        } else {
            a
        })
    }

    /// `(a, offset)` of a channel: `y = (q * 2^14 * a + offset) >> shift`.
    fn channel(&self, norm: &Norm<'_>, channel: usize) -> (i32, i64) {
        let (a, shift) = (self.slope(norm, channel), self.shift);
        let offset = (i64::from(norm.beta_q16[channel]) << shift) + (1 << (shift - 1)) - self.mean * i64::from(a);
        (a, offset)
    }

    /// `(a, offset)` such that `y = (q * 2^16 * a + offset) >> 32` for `abs(q) <= 2^bits`, `zero` not yet removed from q; `None`
    /// where 64 bits do not hold it, or y could reach 2^27.
    fn quick(&self, norm: &Norm<'_>, channel: usize, bits: u32, zero: i32) -> Option<(i32, i64)> {
        let (slope, up) = (self.slope(norm, channel), MAX_SHIFT as u32 - self.shift);
        let a = slope << up;
        // The product below 2^57, the offset below 2^58; none of its terms reaches 2^62.
        let reach = u64::from(a.unsigned_abs()) >> (41 - bits);
        let beta = norm.beta_q16[channel];
        if a >> up != slope || reach > 0 || beta.unsigned_abs() >= 1 << 29 {
            return None;
        }
        let mean_q16 = ((self.mean as i32) << 2) + (zero << 16);
        let offset = (i64::from(beta) << 32) + (1 << 31) - i64::from(mean_q16) * i64::from(a);
        (offset.unsigned_abs() < 1 << 58).then_some((a, offset))
    }
}

/// Shift above which beta (32 bits) would leave an int64 together with the product.
const MAX_SHIFT: i32 = 30;

impl Norm<'_> {
    /// Fills every channel's factors for [`family::normalize`], or finds that it cannot run this.
    #[inline(never)]
    pub fn quick(&self, input: &Input<'_>, factors: &mut [i32], out: &ViewMut<'_>) -> Option<Finish> {
        let Requant { mult, shift } = self.out_requant;
        if self.scale_shift.is_some() || shift <= 32 || !matches!(out, ViewMut::I8(..) | ViewMut::I16(_)) {
            return None;
        }
        // Stored values, as the kernel reads them.
        let (bits, zero) = match (input, out) {
            (Input::One(Operand::Apart(View::I8(_, zero))), _) => (7, *zero),
            (Input::One(Operand::InPlace { zero }), ViewMut::I8(..)) => (7, *zero),
            _ => (15, 0),
        };
        let size = self.channels / self.groups;
        input.sum(factors);
        for (group, factors) in factors.chunks_exact_mut(size * FACTOR_WORDS).enumerate() {
            let first = group * size;
            let affine = Moments::of(input, out, self, first, factors).affine(self);
            for (channel, factor) in (first..).zip(factors.chunks_exact_mut(FACTOR_WORDS)) {
                let (a, offset) = affine.quick(self, channel, bits, zero)?;
                factor.copy_from_slice(&[a, offset as i32, (offset >> 32) as i32]);
            }
        }
        let finish = Finish {
            silu: self.silu,
            mult,
            round: 1 << (shift - 33),
            shift: u32::from(shift) - 32,
        };
        let pieces = match input {
            Input::Two([first, second]) if self.channels > CHUNK => first.channels | second.channels,
            _ => self.channels,
        };
        family::normalizes(&finish, pieces, out).then_some(finish)
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
