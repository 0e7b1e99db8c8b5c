//! Group normalization: exact moments a lane, then one pass over elements in order.
//!
//! Channels repeat every `lcm(channels, 16)` elements, so a block of 16 lanes meets the same channels again after that many: every
//! channel's factors are laid out for that period, and no width of a group is special.

mod layout;
mod plain;

pub(crate) use layout::{Factors, Lanes, Narrow};
pub(crate) use plain::normalize;

use super::{Accelerated, Loops, Workspace};
use crate::Family;
use crate::family::LANES;
use crate::source::{Input, Join, Source, Stored};
#[cfg(doc)]
use crate::split::Split;
use core::ops::Range;
use layout::{Channel, Columns, MAX_SHIFT, MEAN_FRAC, OUT_FRAC, lay_out, lay_out_narrow, period};
use mote_runtime::Model;
use mote_runtime::internals::numeric::requant::{Requant, saturate_i32};
use mote_runtime::internals::numeric::rsqrt::rsqrt_u64;
use mote_runtime::internals::ops::GroupNorm;
use mote_runtime::internals::tensor::{Dtype, Tensor};
use rayon::prelude::*;

/// Elements above which the second pass is worth several threads.
const PARALLEL_ELEMENTS: usize = 200_000;

/// Chunks whose sums of four products, each below 2^15, fit 32 bits.
const MOST_QUADS: usize = 1 << 14;

/// A group normalization.
#[derive(Debug)]
pub(crate) struct Norm {
    source: Source,
    out: Tensor,
    /// Where it lies.
    range: Range<usize>,
    /// Where the input lies, if it can be read there while the output is written.
    in_place: Option<Range<usize>>,
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
pub(crate) struct Normalize<'a> {
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

/// Sums and factors between the passes.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    sums: Vec<i64>,
    squares: Vec<u64>,
    channels: Vec<Channel>,
    columns: Columns,
    narrow: Vec<Narrow>,
    wide: Vec<Lanes>,
}

/// The inner loops of a normalization.
pub(crate) trait NormLoops: Join {
    /// Sums and sums of squares by lane of every `period`-th chunk, of which there are at most 2^16.
    #[inline]
    fn moments<Q: Stored>(self, chunks: &[[Q; LANES]], period: usize) -> ([i32; LANES], [i64; LANES]) {
        self.vectorize(
            #[inline(always)]
            || plain::lane_moments(chunks, period),
        )
    }

    /// The same of four neighbouring bytes a lane, of at most [`MOST_QUADS`] chunks; `None` where the family has no such loop.
    #[inline]
    fn quad_moments(self, chunks: &[[i8; 4 * LANES]], period: usize) -> Option<([i32; LANES], [i32; LANES])> {
        let _ = (chunks, period);
        None
    }

    /// The second pass over elements in order.
    #[inline]
    fn normalize<Q: Stored>(self, input: &[Q], to: &Normalize<'_>, out: &mut [u8]) {
        self.vectorize(
            #[inline(always)]
            || normalize(input, to, out),
        );
    }
}

impl Accelerated for Norm {
    type Record = GroupNorm;

    fn prepare(model: &Model<'_>, n: &GroupNorm, _: Family) -> Option<Self> {
        Self::writing(model, n, model.tensor(n.out)?)
    }

    fn run(&self, simd: impl Loops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        self.run_loops(simd, arena, work)
    }
}

impl Norm {
    /// `None` for what the engine has no kernel for. `out` is where the result goes.
    pub fn writing(model: &Model<'_>, n: &GroupNorm, out: Tensor) -> Option<Self> {
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
            in_place: in_place(&source, &out),
            range: out.range(),
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
    fn run_loops(&self, simd: impl NormLoops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        let threads = work.threads;
        let Workspace { buffers, norm, .. } = work;
        let in_place = self.in_place.clone();
        let (held, narrow) = simd.vectorize(
            #[inline(always)]
            || {
                let arena = &*arena;
                if let Some(range) = &in_place {
                    let input = bytemuck::try_cast_slice(arena.get(range.clone())?).ok()?;
                    let input = Input::Bytes(input, self.source.first.tensor.zero_point);
                    return Some((None, self.first_pass(simd, input, arena, norm)?));
                }
                let input = self.source.read(simd, arena, buffers)?;
                Some((Some(input), self.first_pass(simd, input, arena, norm)?))
            },
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
        let (input, out) = match (held, in_place) {
            (None, Some(range)) => {
                let (input, out) = apart(arena, range, self.range.clone())?;
                let input = bytemuck::try_cast_slice(input).ok()?;
                (Input::Bytes(input, self.source.first.tensor.zero_point), out)
            }
            (input, _) => (input?, arena.get_mut(self.range.clone())?),
        };
        match input {
            Input::Bytes(input, zero) => self.second_pass(simd, threads, input, &normalize(zero.into()), out),
            Input::Words(input) => self.second_pass(simd, threads, input, &normalize(0), out),
        }
        Some(())
    }

    /// Every element, on several threads where there are many: each begins where a period of channels does.
    fn second_pass<Q: Stored>(
        &self,
        simd: impl NormLoops,
        threads: usize,
        input: &[Q],
        to: &Normalize<'_>,
        out: &mut [u8],
    ) {
        if input.len() < PARALLEL_ELEMENTS || threads < 2 {
            return simd.normalize(input, to, out);
        }
        let whole = period(self.gamma.len()) * LANES;
        let share = input.len().div_ceil(2 * threads).next_multiple_of(whole);
        let outs = out.par_chunks_mut(share * self.out.dtype.bytes());
        let both = input.par_chunks(share).zip(outs);
        both.for_each(|(input, out)| simd.normalize(input, to, out));
    }

    /// Fills the factors; gives whether those that hold are narrow.
    #[inline(always)]
    fn first_pass(&self, simd: impl NormLoops, input: Input<'_>, arena: &[u8], scratch: &mut Scratch) -> Option<bool> {
        let channels = self.gamma.len();
        let zero = match input {
            Input::Bytes(input, zero) => {
                moments(simd, input, (channels, channels / self.groups), scratch);
                scratch.remove_zero(self.out.positions() as i64, zero.into());
                zero
            }
            Input::Words(input) => {
                moments(simd, input, (channels, channels / self.groups), scratch);
                0
            }
        };
        scratch.channels.resize(channels, Channel::default());
        let size = channels / self.groups;
        let count = (self.out.positions() * size) as i64;
        let moments = scratch.sums.chunks_exact(size).zip(scratch.squares.chunks_exact(size));
        let affine = self.gamma.chunks_exact(size).zip(self.beta_q16.chunks_exact(size));
        let groups = moments.zip(affine).zip(scratch.channels.chunks_exact_mut(size));
        for (((sums, squares), affine), to) in groups {
            self.factors(count, sums.iter().sum(), squares.iter().sum(), affine, to);
        }
        if let Some((tensor, requant)) = self.scale_shift {
            let vector: &[i16] = bytemuck::try_cast_slice(arena.get(tensor.range())?).ok()?;
            let (scale, move_by) = vector.split_at_checked(channels)?;
            for ((channel, &scale), &move_by) in scratch.channels.iter_mut().zip(scale).zip(move_by) {
                channel.scale = requant.apply(scale.into());
                channel.move_by = requant.apply(move_by.into());
            }
        }
        let narrow =
            self.exact && lay_out_narrow(&scratch.channels, zero, &mut scratch.columns, &mut scratch.narrow).is_some();
        if !narrow {
            lay_out(&scratch.channels, &mut scratch.wide);
        }
        Some(narrow)
    }

    /// The channels of one group, from its moments (`NUMERICS.md`, group normalization).
    #[inline(always)]
    fn factors(&self, count: i64, sum: i64, squares: u64, affine: (&[i32], &[i32]), to: &mut [Channel]) {
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
        for ((&gamma, &beta), to) in affine.0.iter().zip(affine.1).zip(to) {
            let a = (p as i64 * i64::from(gamma) + (1 << 30)) >> 31;
            let a = match s {
                ..1 => a << (1 - s).min(31),
                _ => a >> (s - MAX_SHIFT).clamp(0, 63),
            };
            let a = saturate_i32(a);
            let offset = (i64::from(beta) << shift) + (1 << (shift - 1)) - mean_q14 * i64::from(a);
            *to = Channel {
                a,
                offset,
                shift,
                ..Channel::default()
            };
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

/// Where the input lies, if it can be read there while the output is written.
fn in_place(source: &Source, out: &Tensor) -> Option<Range<usize>> {
    let input = &source.first.tensor;
    let (from, to) = (input.range(), out.range());
    let alone = source.second.is_none() && input.dtype == Dtype::I8;
    (alone && (from.end <= to.start || to.end <= from.start)).then_some(from)
}

/// The bytes of two ranges that do not meet.
fn apart(arena: &mut [u8], from: Range<usize>, to: Range<usize>) -> Option<(&[u8], &mut [u8])> {
    if from.end <= to.start {
        let (first, second) = arena.split_at_mut_checked(to.start)?;
        return Some((first.get(from)?, second.get_mut(..to.len())?));
    }
    let (first, second) = arena.split_at_mut_checked(from.start)?;
    Some((second.get(..from.len())?, first.get_mut(to)?))
}

/// Sums and sums of squares by channel, or where a group has a multiple of four channels by its first of every four. Of the int32 sums a
/// lane has at most 2^16 terms below 2^15.
#[inline(always)]
fn moments<Q: Stored>(simd: impl NormLoops, flat: &[Q], (channels, group): (usize, usize), to: &mut Scratch) {
    to.sums.clear();
    to.sums.resize(channels, 0);
    to.squares.clear();
    to.squares.resize(channels, 0);
    let done = if size_of::<Q>() == 1 && group.is_multiple_of(4) {
        quad_moments(simd, bytemuck::cast_slice(flat), channels, to)
    } else {
        0
    };
    let (chunks, rest) = flat[done..].as_chunks::<LANES>();
    let period = period(channels);
    for block in 0..period.min(chunks.len()) {
        let (sums, squares) = simd.moments(&chunks[block..], period);
        let mut channel = (done + block * LANES) % channels;
        for (sum, square) in sums.into_iter().zip(squares) {
            to.sums[channel] += i64::from(sum);
            to.squares[channel] += square as u64;
            channel = if channel + 1 == channels { 0 } else { channel + 1 };
        }
    }
    for (i, &q) in (done + chunks.len() * LANES..).zip(rest) {
        let q: i32 = q.into();
        to.sums[i % channels] += i64::from(q);
        to.squares[i % channels] += u64::from(q.unsigned_abs()) * u64::from(q.unsigned_abs());
    }
}

/// Four channels at a time, as far as there are whole chunks; gives how many elements these have.
#[inline(always)]
fn quad_moments(simd: impl NormLoops, flat: &[i8], channels: usize, to: &mut Scratch) -> usize {
    const CHUNK: usize = 4 * LANES;
    let (chunks, _) = flat.as_chunks::<CHUNK>();
    let period = channels >> channels.trailing_zeros().min(CHUNK.ilog2());
    if chunks.len() / period > MOST_QUADS {
        return 0;
    }
    for block in 0..period.min(chunks.len()) {
        let Some((sums, squares)) = simd.quad_moments(&chunks[block..], period) else {
            return 0;
        };
        for (lane, (sum, square)) in sums.into_iter().zip(squares).enumerate() {
            let channel = (block * CHUNK + 4 * lane) % channels;
            to.sums[channel] += i64::from(sum);
            to.squares[channel] += square as u64;
        }
    }
    chunks.len() * CHUNK
}
