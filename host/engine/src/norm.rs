//! Group normalization: exact moments a lane, then one pass over elements in order.
//!
//! Channels repeat every `lcm(channels, 16)` elements, so a block of 16 lanes meets the same channels again after that many: every
//! channel's factors are laid out for that period, and no width of a group is special.

use super::Workspace;
use super::family::{LANES, Simd};
use super::source::{Buffers, Input, Source, Stored};
use super::split::Split;
use mote_runtime::Model;
use mote_runtime::blob::op::GroupNorm;
use mote_runtime::blob::tensor::{Dtype, Tensor};
use mote_runtime::numeric::requant::{Requant, saturate_i8, saturate_i16, saturate_i32};
use mote_runtime::numeric::rsqrt::rsqrt_u64;
use mote_runtime::numeric::sigmoid::silu_q16;

/// A group normalization.
#[derive(Debug)]
pub(super) struct Norm {
    source: Source,
    out: Tensor,
    groups: usize,
    gamma: Vec<i32>,
    gamma_frac: u8,
    beta_q16: Vec<i32>,
    eps_q: u64,
    silu: bool,
    out_requant: Requant,
    scale_shift: Option<(Tensor, Requant)>,
    exact: bool,
}

/// What the second pass takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normalize<'a> {
    /// One period.
    pub factors: Factors<'a>,
    /// Zero point of the input where it is as it is stored, or 0; [`Narrow`] factors have it in them.
    pub in_zero: i32,
    pub silu: bool,
    /// Whether `scale` and `move_by` of the lanes count.
    pub scale_shift: bool,
    pub out_requant: Requant,
    pub out: Dtype,
    pub zero: i32,
    /// Whether no intermediate leaves 32 bits, so that nothing need be saturated before the output is, and the output's shift is 32
    /// to 54: the upper halves of products are enough, and a zero point can be added to them.
    pub exact: bool,
}

/// Factors of one period of channels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Factors<'a> {
    /// Only with [`Normalize::exact`].
    Narrow(&'a [Narrow]),
    Wide(&'a [Lanes]),
}

/// Factors of 16 elements as a [`Split`] each, whose last shift is 0; halves with zeros above their 16 bits.
#[derive(Debug, Clone, Default)]
pub(super) struct Narrow {
    pub high: [i32; LANES],
    pub low: [i32; LANES],
    pub base: [i32; LANES],
    pub rest: [i32; LANES],
}

/// Factors of 16 elements: `y = (q << 14) * a + offset >> shift`.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    pub a: [i32; LANES],
    /// Of the even lanes, then of the odd ones.
    pub offset: [[i64; LANES / 2]; 2],
    pub shift: [[i64; LANES / 2]; 2],
    pub scale: [i32; LANES],
    pub move_by: [i32; LANES],
}

/// Sums and factors between the passes.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    sums: Vec<i64>,
    squares: Vec<u64>,
    channels: Vec<Channel>,
    narrow: Vec<Narrow>,
    wide: Vec<Lanes>,
}

/// Factors of a channel.
#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    a: i32,
    offset: i64,
    shift: u32,
    scale: i32,
    move_by: i32,
}

/// Fractional bits of the mean.
const MEAN_FRAC: u32 = 14;
/// Fractional bits of the normalized value.
const OUT_FRAC: i32 = 16;
/// Shift above which beta would leave an int64 together with the product.
const MAX_SHIFT: i32 = 30;

impl Norm {
    /// `None` for what the engine has no kernel for. `out` is where the result goes.
    pub fn prepare(model: &Model<'_>, n: &GroupNorm, out: Tensor) -> Option<Self> {
        let source = Source::new(model, &n.source)?;
        let channels = usize::from(out.channels);
        let (gamma, beta_q16) = model.table::<i32>(n.affine, 2 * channels)?.split_at_checked(channels)?;
        let scale_shift = match n.scale_shift {
            None => None,
            Some((id, requant)) => Some((model.tensor(id).filter(|t| t.dtype == Dtype::I16)?, requant)),
        };
        // A normalized element is below sqrt(n) in magnitude; the roundings add a few units.
        let reach = (f64::from(out.positions() as u32 * (u32::from(out.channels) / u32::from(n.groups))).sqrt() + 4.0)
            * f64::from(1 << OUT_FRAC);
        let most = gamma.iter().zip(beta_q16).map(|(&gamma, &beta)| {
            reach * f64::from(gamma).abs() / f64::from(1 << n.gamma_frac) + f64::from(beta).abs()
        });
        let bounded = most.fold(0.0, f64::max) < f64::from(1 << 30);
        Some(Self {
            source,
            out,
            groups: n.groups.into(),
            gamma: gamma.to_vec(),
            gamma_frac: n.gamma_frac,
            beta_q16: beta_q16.to_vec(),
            eps_q: n.eps_q,
            silu: n.silu,
            out_requant: n.out_requant,
            scale_shift,
            exact: bounded && scale_shift.is_none() && (32..=54).contains(&n.out_requant.shift),
        })
    }

    /// Runs it over the arena.
    pub fn run(&self, simd: impl Simd, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        let Workspace { buffers, norm, .. } = work;
        let (input, narrow) = simd.vectorize(
            #[inline(always)]
            || self.first_pass(simd, arena, buffers, norm),
        )?;
        let normalize = |in_zero| Normalize {
            factors: match narrow {
                true => Factors::Narrow(&norm.narrow),
                false => Factors::Wide(&norm.wide),
            },
            in_zero,
            silu: self.silu,
            scale_shift: self.scale_shift.is_some(),
            out_requant: self.out_requant,
            out: self.out.dtype,
            zero: self.out.zero_point.into(),
            exact: self.exact,
        };
        let out = arena.get_mut(self.out.range())?;
        match input {
            Input::Bytes(input, zero) => simd.normalize(input, &normalize(zero.into()), out),
            Input::Words(input) => simd.normalize(input, &normalize(0), out),
        }
        Some(())
    }

    /// Reads the input and fills the factors; gives whether those that hold are narrow.
    #[inline(always)]
    fn first_pass<'b>(
        &self,
        simd: impl Simd,
        arena: &[u8],
        buffers: &'b mut Buffers,
        scratch: &mut Scratch,
    ) -> Option<(Input<'b>, bool)> {
        let input = self.source.read(simd, arena, buffers)?;
        let channels = self.gamma.len();
        let zero = match input {
            Input::Bytes(input, zero) => {
                moments(simd, input, channels, scratch);
                scratch.remove_zero(self.out.positions() as i64, zero.into());
                zero
            }
            Input::Words(input) => {
                moments(simd, input, channels, scratch);
                0
            }
        };
        scratch.channels.clear();
        let size = channels / self.groups;
        let count = (self.out.positions() * size) as i64;
        for group in 0..self.groups {
            let own = group * size..(group + 1) * size;
            let sum: i64 = scratch.sums[own.clone()].iter().sum();
            let squares: u64 = scratch.squares[own.clone()].iter().sum();
            self.factors(count, sum, squares, own, &mut scratch.channels);
        }
        if let Some((tensor, requant)) = self.scale_shift {
            let vector: &[i16] = bytemuck::try_cast_slice(arena.get(tensor.range())?).ok()?;
            let (scale, move_by) = vector.split_at_checked(channels)?;
            for ((channel, &scale), &move_by) in scratch.channels.iter_mut().zip(scale).zip(move_by) {
                channel.scale = requant.apply(scale.into());
                channel.move_by = requant.apply(move_by.into());
            }
        }
        let narrow = self.exact && lay_out_narrow(&scratch.channels, zero, &mut scratch.narrow).is_some();
        if !narrow {
            lay_out(&scratch.channels, &mut scratch.wide);
        }
        Some((input, narrow))
    }

    /// The channels of one group, from its moments (`NUMERICS.md`, group normalization).
    fn factors(&self, count: i64, sum: i64, squares: u64, own: core::ops::Range<usize>, to: &mut Vec<Channel>) {
        let spread = count as u64 * squares - sum.unsigned_abs() * sum.unsigned_abs() + self.eps_q;
        let mean_q14 = (2 * (sum << MEAN_FRAC) + count).div_euclid(2 * count);
        let inverse = rsqrt_u64(spread);
        let product = u64::from(inverse.mant_q31) * count as u64;
        let excess = (64 - product.leading_zeros()).saturating_sub(31);
        let p = match excess {
            0 => product,
            _ => (product + (1 << (excess - 1))) >> excess,
        };
        let s = MEAN_FRAC as i32 + inverse.exp - excess as i32 + i32::from(self.gamma_frac) - OUT_FRAC;
        let shift = s.clamp(1, MAX_SHIFT) as u32;
        for (&gamma, &beta) in self.gamma[own.clone()].iter().zip(&self.beta_q16[own]) {
            let a = (p as i64 * i64::from(gamma) + (1 << 30)) >> 31;
            let a = match s {
                ..1 => a << (1 - s).min(31),
                _ => a >> (s - MAX_SHIFT).clamp(0, 63),
            };
            let a = saturate_i32(a);
            let offset = (i64::from(beta) << shift) + (1 << (shift - 1)) - mean_q14 * i64::from(a);
            to.push(Channel {
                a,
                offset,
                shift,
                ..Channel::default()
            });
        }
    }
}

impl Scratch {
    /// From moments of numbers as they are stored, `count` a channel, to those of numbers less the zero point.
    fn remove_zero(&mut self, count: i64, zero: i64) {
        for (sum, squares) in self.sums.iter_mut().zip(&mut self.squares) {
            *squares = (*squares as i64 - 2 * zero * *sum + count * zero * zero) as u64;
            *sum -= count * zero;
        }
    }
}

/// Sums and sums of squares by channel. Of the int32 sums a lane has at most 2^16 terms below 2^15.
#[inline(always)]
fn moments<Q: Stored>(simd: impl Simd, flat: &[Q], channels: usize, to: &mut Scratch) {
    to.sums.clear();
    to.sums.resize(channels, 0);
    to.squares.clear();
    to.squares.resize(channels, 0);
    let (chunks, rest) = flat.as_chunks::<LANES>();
    let period = period(channels);
    for block in 0..period.min(chunks.len()) {
        let (sums, squares) = simd.moments(&chunks[block..], period);
        let mut channel = block * LANES % channels;
        for (sum, square) in sums.into_iter().zip(squares) {
            to.sums[channel] += i64::from(sum);
            to.squares[channel] += square as u64;
            channel = if channel + 1 == channels { 0 } else { channel + 1 };
        }
    }
    for (i, &q) in (chunks.len() * LANES..).zip(rest) {
        let q: i32 = q.into();
        to.sums[i % channels] += i64::from(q);
        to.squares[i % channels] += u64::from(q.unsigned_abs()) * u64::from(q.unsigned_abs());
    }
}

/// The plain form of [`Simd::moments`].
#[inline(always)]
pub(super) fn lane_moments<Q: Stored>(chunks: &[[Q; LANES]], period: usize) -> ([i32; LANES], [i64; LANES]) {
    let (mut sums, mut squares) = ([0i32; LANES], [0i64; LANES]);
    for chunk in chunks.iter().step_by(period) {
        for lane in 0..LANES {
            let q: i32 = chunk[lane].into();
            sums[lane] += q;
            squares[lane] += i64::from(q) * i64::from(q);
        }
    }
    (sums, squares)
}

/// Blocks of 16 lanes until the channels repeat.
fn period(channels: usize) -> usize {
    channels >> channels.trailing_zeros().min(LANES.ilog2())
}

/// The channels' factors for one period of lanes, as halves; `None` where one does not fit.
#[inline(always)]
fn lay_out_narrow(channels: &[Channel], zero: i8, blocks: &mut Vec<Narrow>) -> Option<()> {
    blocks.clear();
    blocks.resize(period(channels.len()), Narrow::default());
    let mut at = 0;
    for lanes in blocks {
        for lane in 0..LANES {
            let channel = &channels[at];
            at = if at + 1 == channels.len() { 0 } else { at + 1 };
            // To the common shift; 14 of its bits undo the input's.
            let up = (MAX_SHIFT as u32).checked_sub(channel.shift)?;
            let a = i32::try_from(i64::from(channel.a) << up).ok()?;
            let offset = ((channel.offset << up) >> MEAN_FRAC) - i64::from(zero) * i64::from(a);
            let split = Split::new(a, offset, MAX_SHIFT as u32 - MEAN_FRAC)?;
            lanes.high[lane] = i32::from(split.high) & 0xFFFF;
            lanes.low[lane] = i32::from(split.low) & 0xFFFF;
            lanes.base[lane] = split.base;
            lanes.rest[lane] = split.rest;
        }
    }
    Some(())
}

/// The channels' factors for one period of lanes.
fn lay_out(channels: &[Channel], blocks: &mut Vec<Lanes>) {
    blocks.clear();
    blocks.resize(period(channels.len()), Lanes::default());
    let mut at = 0;
    for lanes in blocks {
        for lane in 0..LANES {
            let channel = &channels[at];
            at = if at + 1 == channels.len() { 0 } else { at + 1 };
            lanes.a[lane] = channel.a;
            lanes.offset[lane % 2][lane / 2] = channel.offset;
            lanes.shift[lane % 2][lane / 2] = channel.shift.into();
            lanes.scale[lane] = channel.scale;
            lanes.move_by[lane] = channel.move_by;
        }
    }
}

/// The plain form of [`Simd::normalize`].
#[inline(always)]
pub(super) fn normalize<Q: Stored>(input: &[Q], to: &Normalize<'_>, out: &mut [u8]) {
    let chunks = input.chunks(LANES).zip(out.chunks_mut(LANES * to.out.bytes()));
    match to.factors {
        Factors::Narrow(blocks) => {
            for ((q, out), lanes) in chunks.zip(blocks.iter().cycle()) {
                let y = |lane: usize, q: i32| {
                    let split = Split {
                        high: lanes.high[lane] as i16,
                        low: lanes.low[lane] as i16,
                        base: lanes.base[lane],
                        rest: lanes.rest[lane],
                        shift: 0,
                    };
                    split.apply(q)
                };
                chunk(q, to, out, y);
            }
        }
        Factors::Wide(blocks) => {
            for ((q, out), lanes) in chunks.zip(blocks.iter().cycle()) {
                chunk(q, to, out, |lane, q| wide(q, lanes, to, lane));
            }
        }
    }
}

/// A normalized element before the SiLU.
#[inline(always)]
fn wide(q: i32, lanes: &Lanes, to: &Normalize<'_>, lane: usize) -> i32 {
    let q_q14 = (q - to.in_zero) << MEAN_FRAC;
    let sum = i64::from(q_q14) * i64::from(lanes.a[lane]) + lanes.offset[lane % 2][lane / 2];
    let y = saturate_i32(sum >> lanes.shift[lane % 2][lane / 2]);
    if !to.scale_shift {
        return y;
    }
    let scaled = (i64::from(y) * i64::from(lanes.scale[lane]) + (1 << 15)) >> 16;
    saturate_i32(i64::from(y) + scaled + i64::from(lanes.move_by[lane]))
}

/// Up to 16 elements, normalized by `y`.
#[inline(always)]
fn chunk<Q: Stored>(q: &[Q], to: &Normalize<'_>, out: &mut [u8], y: impl Fn(usize, i32) -> i32) {
    for (lane, (&q, out)) in q.iter().zip(out.chunks_exact_mut(to.out.bytes())).enumerate() {
        let mut y = y(lane, q.into());
        if to.silu {
            y = silu_q16(y);
        }
        let value = to.out_requant.apply(y);
        match to.out {
            Dtype::I8 => out[0] = saturate_i8(value.saturating_add(to.zero)) as u8,
            _ => out.copy_from_slice(&saturate_i16(value).to_le_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_the_least_number_of_blocks_after_which_channels_repeat() {
        for channels in 1..200 {
            let blocks = (1..).find(|blocks| (blocks * LANES).is_multiple_of(channels)).unwrap();
            assert_eq!(period(channels), blocks, "{channels} channels");
        }
    }
}
