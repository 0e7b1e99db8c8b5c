//! Convolutions: weights interleaved for blocks of output channels, tiles of positions by channels, one rounding.
//!
//! int8 weights meet int8 inputs as bytes (`q - zero_point` becomes `q + 128` with the difference in the bias) or int16 inputs in
//! pairs. int16 weights are split into `256 high + low`, both signed, each with int32 sums that [`Conv::prepare`] proves cannot
//! overflow; they meet int16 inputs.

use super::Workspace;
#[cfg(target_arch = "x86_64")]
use super::amx::{Amx, ROWS, TILES, Tiles};
use super::family::{LANES, Line, Simd};
use super::source::{Part, Source, grow};
use super::window::{Window, bytes_of};
use mote_runtime::Model;
use mote_runtime::blob::op::{self, At, Weights};
use mote_runtime::blob::proof::{accumulator_bound, input_bound, wide_bias};
use mote_runtime::blob::tensor::{Dtype, Tensor};
use mote_runtime::kernels::conv::Geometry;
use mote_runtime::kernels::family::padded;
use mote_runtime::numeric::requant::{Requant, WideRequant, add_guarded, saturate_i8, saturate_i16};
use rayon::prelude::*;

/// Multiply-accumulates above which an operator is worth several threads.
const PARALLEL_MACS: usize = 4_000_000;

/// A convolution with its weights in the engine's order.
#[derive(Debug)]
pub(super) struct Conv {
    source: Source,
    window: Window,
    /// Whether the window holds bytes (`q + 128`), not int16.
    bytes: bool,
    kernel: usize,
    offsets: Vec<u32>,
    /// Positions that follow each other at even distances in the window: a row, or all.
    run: usize,
    weights: Vec<Line>,
    blocks: Vec<Factors>,
    split: Split,
    add: Option<op::Addend>,
    add_tensor: Option<Tensor>,
    out: Tensor,
    exact: bool,
}

/// Where the halves of int16 weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    /// int8 weights.
    None,
    /// High halves in one block, low halves in the next.
    Blocks,
    /// At most eight channels: high halves in the lower lanes of a block, low halves in the upper.
    Lanes,
}

/// Biases and factors of a block of channels; lanes without a channel give 0.
#[derive(Debug, Clone)]
pub(super) struct Factors {
    /// With the zero point's share.
    pub bias: [i64; LANES],
    /// Modulo 2^32: sums fit 32 bits once it is in them.
    pub low_bias: [i32; LANES],
    pub mult: [i32; LANES],
    pub shift: [u8; LANES],
    /// `2^(shift - 1)` of the even lanes, then of the odd ones.
    pub round: [[i64; LANES / 2]; 2],
    /// Shifts of the even lanes, then of the odd ones.
    pub shifts: [[i64; LANES / 2]; 2],
}

/// What a tile of dot products reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile<'a> {
    pub window: &'a [u8],
    /// Whether window and weights are bytes, not int16.
    pub bytes: bool,
    pub row_bytes: usize,
    /// Kernel rows.
    pub rows: usize,
    /// Lines a kernel row.
    pub quads: usize,
    /// The blocks one after the other, `rows * quads` lines each.
    pub weights: &'a [Line],
}

/// How sums become outputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish<'a> {
    pub factors: &'a Factors,
    pub add: Add<'a>,
    pub out: Dtype,
    pub zero: i32,
    /// First channel of the block, channels in it, channels of the output.
    pub channel: usize,
    pub lanes: usize,
    pub outs: usize,
    /// Whether no factor's result leaves 31 bits, so that nothing need be saturated before the output is; never for Q24.
    pub exact: bool,
}

/// The term before the rounding.
#[derive(Debug, Clone, Copy)]
pub(super) enum Add<'a> {
    None,
    /// Requantized, one a lane.
    Vector(&'a [i32; LANES]),
    /// Of the output's shape, from the first position on, with room for a whole block at the end.
    Tensor(&'a [i16], Requant),
}

impl Conv {
    /// `None` for what the engine has no kernel for. `source` is what it reads.
    pub fn prepare(model: &Model<'_>, c: &op::Conv, source: Source, bytes: bool) -> Option<Self> {
        let (input, out) = (source.first.tensor, model.tensor(c.out)?);
        let geometry = Geometry {
            input: [input.rows.into(), input.cols.into()],
            output: [out.rows.into(), out.cols.into()],
            outs: out.channels.into(),
            kernel: c.kernel.into(),
            stride: c.stride.into(),
            pad: [c.pad[0].into(), c.pad[1].into()],
            upsample: c.upsample,
        };
        let int8 = source.second.is_none() && input.dtype == Dtype::I8;
        let bound = match int8 {
            true => input_bound(Dtype::I8, input.zero_point),
            false => input_bound(Dtype::I16, 0),
        };
        let taps = geometry.kernel * geometry.kernel * source.channels();
        // As bytes, inputs are 0 to 255.
        let packed = Packed::of(model, &c.weights, taps, geometry.outs, bound.max(255))?;
        let bytes = bytes && int8 && packed.halves_are_bytes();
        let window = Window::new(geometry, source.channels(), if bytes { 1 } else { 2 });
        let zero = bytes.then_some(i64::from(input.zero_point));
        let blocks = packed.factors(zero);
        let add_tensor = match c.addend {
            Some(addend) => Some(model.tensor(addend.tensor)?),
            None => None,
        };
        let small = c.addend.is_none_or(|addend| addend.requant.shift >= 16);
        Some(Self {
            weights: packed.lines(&window, geometry.kernel),
            offsets: window.offsets(),
            run: if window.is_even() {
                out.positions()
            } else {
                out.cols.into()
            },
            exact: packed.stays_narrow(bound) && small && matches!(out.dtype, Dtype::I8 | Dtype::I16),
            split: packed.split,
            kernel: geometry.kernel,
            add: c.addend,
            source,
            window,
            bytes,
            blocks,
            add_tensor,
            out,
        })
    }

    /// Runs it over the arena.
    pub fn run(&self, simd: impl Simd, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        simd.vectorize(
            #[inline(always)]
            || self.read(arena, work),
        )?;
        let window = &*bytes_of(&mut work.window, self.window.len());
        let (outs, positions) = (usize::from(self.out.channels), self.out.positions());
        let add = |first: usize| match (&self.add, &self.add_tensor) {
            (Some(addend), Some(tensor)) if tensor.positions() > 1 || positions == 1 => {
                Addend::Tensor(&work.addend[first * outs..], addend.requant)
            }
            (Some(_), _) => Addend::Vector(&work.vector),
            _ => Addend::None,
        };
        let out = arena.get_mut(self.out.range())?;
        let macs = positions * self.weights.len() * size_of::<Line>() / if self.bytes { 1 } else { 2 };
        if macs < PARALLEL_MACS || rayon::current_num_threads() == 1 {
            self.positions(simd, window, 0, positions, add(0), out);
            return Some(());
        }
        let share = positions
            .div_ceil(4 * rayon::current_num_threads())
            .next_multiple_of(TILE);
        let chunks = out.par_chunks_mut(share * outs * self.out.dtype.bytes()).enumerate();
        chunks.for_each(|(i, out)| {
            let first = i * share;
            self.positions(simd, window, first, share.min(positions - first), add(first), out);
        });
        Some(())
    }

    /// The window and the addend.
    #[inline(always)]
    fn read(&self, arena: &[u8], work: &mut Workspace) -> Option<()> {
        let input = &self.source.first.tensor;
        let window = bytes_of(&mut work.window, self.window.len());
        if self.source.second.is_none() && input.dtype == Dtype::I8 {
            let from: &[i8] = bytemuck::try_cast_slice(arena.get(input.range())?).ok()?;
            let zero = input.zero_point;
            if self.bytes {
                self.window.fill(from, window, zero as u8 ^ 0x80, |q| q as u8 ^ 0x80);
            } else {
                let window: &mut [i16] = bytemuck::try_cast_slice_mut(window).ok()?;
                self.window.fill(from, window, 0, |q| i16::from(q) - i16::from(zero));
            }
        } else {
            let window: &mut [i16] = bytemuck::try_cast_slice_mut(window).ok()?;
            if self.source.second.is_none() {
                let from: &[i16] = bytemuck::try_cast_slice(arena.get(input.range())?).ok()?;
                self.window.fill(from, window, 0, |q| q);
            } else {
                let from = self.source.read(arena, &mut work.buffers)?;
                self.window.fill(from, window, 0, |q| q);
            }
        }
        if let (Some(addend), Some(tensor)) = (&self.add, self.add_tensor) {
            grow(&mut work.addend, tensor.len() + LANES);
            Part { tensor, requant: None }.read(arena, &mut work.addend)?;
            if tensor.positions() == 1 {
                let padded = tensor.len().next_multiple_of(LANES);
                grow(&mut work.vector, padded);
                for (to, &q) in work.vector.iter_mut().zip(&work.addend).take(tensor.len()) {
                    *to = addend.requant.apply(q.into());
                }
            }
        }
        Some(())
    }

    /// How a block becomes outputs.
    #[inline(always)]
    fn finish<'a>(&'a self, block: usize, add: Addend<'a>) -> Finish<'a> {
        let (channel, outs) = (block * LANES, usize::from(self.out.channels));
        Finish {
            factors: &self.blocks[block],
            add: add.block(channel),
            out: self.out.dtype,
            zero: self.out.zero_point.into(),
            channel,
            lanes: (outs - channel).min(LANES),
            outs,
            exact: self.exact,
        }
    }

    /// Output positions `first..first + count`, which `out` holds.
    fn positions(&self, simd: impl Simd, window: &[u8], first: usize, count: usize, add: Addend<'_>, out: &mut [u8]) {
        let offsets = &self.offsets[first..first + count];
        #[cfg(target_arch = "x86_64")]
        if let Some(amx) = simd
            .tiles()
            .filter(|_| self.bytes && count >= LEAST_RUN && self.run >= LEAST_RUN)
        {
            return self.runs(simd, amx, window, first, offsets, add, out);
        }
        let mut block = 0;
        let lines = self.kernel * self.window.quads();
        while block * lines < self.weights.len() {
            let two = (block + 2) * lines <= self.weights.len();
            let tile = Tile {
                window,
                bytes: self.bytes,
                row_bytes: self.window.row_bytes(),
                rows: self.kernel,
                quads: self.window.quads(),
                weights: &self.weights[block * lines..][..lines * (1 + usize::from(two))],
            };
            let mut at = 0;
            while at < count {
                let left = count - at;
                at += match (left, two) {
                    (1, false) => self.tile::<1, 1>(simd, &tile, offsets, block, at, add, out),
                    (1, true) => self.tile::<1, 2>(simd, &tile, offsets, block, at, add, out),
                    (2..=4, false) => self.tile::<4, 1>(simd, &tile, offsets, block, at, add, out),
                    (2..=4, true) => self.tile::<4, 2>(simd, &tile, offsets, block, at, add, out),
                    (_, false) => self.tile::<TILE, 1>(simd, &tile, offsets, block, at, add, out),
                    (_, true) => self.tile::<TILE, 2>(simd, &tile, offsets, block, at, add, out),
                };
            }
            block += 1 + usize::from(two);
        }
    }

    /// The same in tiles: runs of positions that lie at even distances, as long as a tile has rows.
    #[cfg(target_arch = "x86_64")]
    #[allow(clippy::too_many_arguments)]
    fn runs(
        &self,
        simd: impl Simd,
        amx: Amx,
        window: &[u8],
        first: usize,
        offsets: &[u32],
        add: Addend<'_>,
        out: &mut [u8],
    ) {
        let (quads, mut sums) = (self.window.quads(), [[[0; LANES]; ROWS]; TILES]);
        let mut shaped = amx.shaped(quads, self.run.min(ROWS).min(offsets.len()));
        for (block, weights) in self.weights.chunks_exact(self.kernel * quads).enumerate() {
            let tile = Tile {
                window,
                bytes: true,
                row_bytes: self.window.row_bytes(),
                rows: self.kernel,
                quads,
                weights,
            };
            let finish = self.finish(block, add);
            let mut runs = Runs {
                next: 0,
                count: offsets.len(),
                first,
                run: self.run,
            };
            while let Some((starts, tiles, rows)) = runs.take() {
                let mut at = [0; TILES];
                for (at, &start) in at.iter_mut().zip(&starts[..tiles]) {
                    *at = offsets[start];
                }
                if shaped.rows() != rows {
                    shaped = reshaped(amx, shaped, quads, rows);
                }
                shaped.dots(&tile, &at[..tiles], self.window.step(), &mut sums);
                for (&start, sums) in starts[..tiles].iter().zip(&sums) {
                    match self.split {
                        Split::Lanes => finish_lanes(simd, &sums[..rows], &finish, start, out),
                        _ => simd.finish(&sums[..rows], &finish, start, out),
                    }
                }
            }
        }
    }

    /// Up to `P` positions from `at` on by `B` blocks; gives how many positions.
    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    fn tile<const P: usize, const B: usize>(
        &self,
        simd: impl Simd,
        tile: &Tile<'_>,
        offsets: &[u32],
        block: usize,
        at: usize,
        add: Addend<'_>,
        out: &mut [u8],
    ) -> usize {
        let count = P.min(offsets.len() - at);
        let starts: [u32; P] = core::array::from_fn(|p| offsets[at + p.min(count - 1)]);
        let mut sums = [[[0; LANES]; P]; B];
        simd.dots(tile, &starts, &mut sums);
        let finish = |block| self.finish(block, add);
        match self.split {
            Split::None => {
                for (b, sums) in sums.iter().enumerate() {
                    simd.finish(&sums[..count], &finish(block + b), at, out);
                }
            }
            Split::Blocks => {
                simd.finish_wide(&sums[0][..count], &sums[B - 1][..count], &finish(block / 2), at, out);
            }
            Split::Lanes => finish_lanes(simd, &sums[0][..count], &finish(0), at, out),
        }
        count
    }
}

/// Positions of a tile.
const TILE: usize = 8;
/// Positions below which tiles are not worth their configuration.
#[cfg(target_arch = "x86_64")]
const LEAST_RUN: usize = 4;

/// The old shapes go before the new ones come.
#[cfg(target_arch = "x86_64")]
fn reshaped(amx: Amx, old: Tiles, quads: usize, rows: usize) -> Tiles {
    drop(old);
    amx.shaped(quads, rows)
}

/// Positions cut into runs at even distances: whole tiles of rows, and shorter runs of equal length together.
#[cfg(target_arch = "x86_64")]
struct Runs {
    next: usize,
    count: usize,
    /// Number of the first position within the output.
    first: usize,
    run: usize,
}

#[cfg(target_arch = "x86_64")]
impl Runs {
    /// Starts of the next runs, how many, and their common length.
    fn take(&mut self) -> Option<([usize; TILES], usize, usize)> {
        let mut starts = [0; TILES];
        let (mut tiles, mut rows) = (0, 0);
        while tiles < TILES && self.next < self.count {
            let left = self.run - (self.first + self.next) % self.run;
            let length = left.min(ROWS).min(self.count - self.next);
            if tiles > 0 && length != rows {
                break;
            }
            rows = length;
            starts[tiles] = self.next;
            tiles += 1;
            self.next += length;
        }
        (tiles > 0).then_some((starts, tiles, rows))
    }
}

/// A term of the whole output.
#[derive(Debug, Clone, Copy)]
enum Addend<'a> {
    None,
    Vector(&'a [i32]),
    Tensor(&'a [i16], Requant),
}

impl<'a> Addend<'a> {
    fn block(self, channel: usize) -> Add<'a> {
        match self {
            Self::None => Add::None,
            Self::Tensor(data, requant) => Add::Tensor(data, requant),
            Self::Vector(data) => match data.get(channel..).and_then(|data| data.first_chunk()) {
                Some(lanes) => Add::Vector(lanes),
                None => Add::None,
            },
        }
    }
}

/// Weights, biases and factors as they stand in the file.
struct Packed<'m> {
    data: Data<'m>,
    bias: Vec<i64>,
    mult: &'m [i32],
    shift: &'m [u8],
    /// Taps of a row as it is stored, zeros at its end included.
    row: usize,
    split: Split,
}

#[derive(Clone, Copy)]
enum Data<'m> {
    Int8(&'m [i8]),
    Int16(&'m [i16]),
}

impl<'m> Packed<'m> {
    fn of(model: &Model<'m>, weights: &Weights, taps: usize, outs: usize, bound: i64) -> Option<Self> {
        let requant = |at: At| Some((model.table(at, outs)?, model.table(At(at.0 + outs as u32 * 4), outs)?));
        let row = padded(taps);
        match *weights {
            Weights::W8 {
                data,
                bias,
                requant: at,
            } => {
                let (mult, shift) = requant(at)?;
                Some(Self {
                    data: Data::Int8(model.table(data, row * outs)?),
                    bias: model
                        .table::<i32>(bias, outs)?
                        .iter()
                        .map(|&bias| bias.into())
                        .collect(),
                    mult,
                    shift,
                    row,
                    split: Split::None,
                })
            }
            Weights::W16 {
                data,
                bias,
                requant: at,
            } => {
                let (mult, shift) = requant(at)?;
                let data: &[i16] = model.table(data, row * outs)?;
                let fits = |half: fn(i16) -> i16| {
                    data.chunks_exact(row).all(|row| {
                        let sum: i64 = row.iter().map(|&w| i64::from(half(w)).abs()).sum();
                        sum * bound <= i32::MAX.into()
                    })
                };
                (fits(high) && fits(low)).then_some(Self {
                    data: Data::Int16(data),
                    bias: model.table(bias, outs)?.iter().map(|&words| wide_bias(words)).collect(),
                    mult,
                    shift,
                    row,
                    split: if outs <= LANES / 2 { Split::Lanes } else { Split::Blocks },
                })
            }
            _ => None,
        }
    }

    /// Whether the weights, or both their halves, are of eight bits.
    fn halves_are_bytes(&self) -> bool {
        match self.data {
            Data::Int8(_) => true,
            Data::Int16(data) => data.iter().all(|&w| high(w) < 128),
        }
    }

    fn outs(&self) -> usize {
        self.bias.len()
    }

    /// Whether every factor's result fits 31 bits, whatever the input of magnitude `bound`.
    fn stays_narrow(&self, bound: i64) -> bool {
        let Data::Int8(data) = self.data else { return false };
        data.chunks_exact(self.row).enumerate().all(|(out, row)| {
            let sum = row.iter().map(|w| u64::from(w.unsigned_abs())).sum();
            let most = accumulator_bound(sum, self.bias[out], bound);
            (i128::from(most) * i128::from(self.mult[out])) >> self.shift[out] < (1 << 30) - 1
        })
    }

    /// `zero` is the input's zero point where it is multiplied as bytes `q + 128`.
    fn factors(&self, zero: Option<i64>) -> Vec<Factors> {
        let sum = |out: usize| -> i64 {
            let row = out * self.row..(out + 1) * self.row;
            match self.data {
                Data::Int8(data) => data[row].iter().map(|&w| i64::from(w)).sum(),
                Data::Int16(data) => data[row].iter().map(|&w| i64::from(w)).sum(),
            }
        };
        let bias = |out: usize| self.bias[out] - zero.map_or(0, |zero| (128 + zero) * sum(out));
        let lane = |first: usize, lane: usize| Some(first + lane).filter(|&out| out < self.outs());
        let block = |first: usize| {
            let shift = core::array::from_fn(|l| lane(first, l).map_or(31, |out| self.shift[out]));
            let of = |f: fn(u8) -> i64| [0, 1].map(|odd| core::array::from_fn(|i| f(shift[2 * i + odd])));
            let bias = core::array::from_fn(|l| lane(first, l).map_or(0, bias));
            Factors {
                bias,
                low_bias: bias.map(|bias| bias as i32),
                mult: core::array::from_fn(|l| lane(first, l).map_or(0, |out| self.mult[out])),
                shift,
                round: of(|shift| 1 << (shift - 1)),
                shifts: of(i64::from),
            }
        };
        (0..self.outs()).step_by(LANES).map(block).collect()
    }

    /// Weights in the engine's order: blocks, kernel rows, groups of four bytes of the window, lanes.
    fn lines(&self, window: &Window, kernel: usize) -> Vec<Line> {
        let (quads, each) = (window.quads(), 4 / window.bytes);
        let row_taps = kernel * window.channels;
        let weight = |out: usize, ky: usize, element: usize| {
            let (kx, channel) = (element / window.padded, element % window.padded);
            let there = channel < window.channels && out < self.outs();
            there.then(|| out * self.row + ky * row_taps + kx * window.channels + channel)
        };
        let line = |block: usize, ky: usize, quad: usize| {
            let mut line = Line([0; 64]);
            for (lane, bytes) in line.0.chunks_exact_mut(4).enumerate() {
                let (out, half) = self.place(block, lane);
                for (j, bytes) in bytes.chunks_exact_mut(window.bytes).enumerate() {
                    let Some(at) = weight(out, ky, quad * each + j) else {
                        continue;
                    };
                    match self.data {
                        Data::Int8(data) if window.bytes == 1 => bytes[0] = data[at] as u8,
                        Data::Int16(data) if window.bytes == 1 => bytes[0] = half(data[at]) as u8,
                        Data::Int8(data) => bytes.copy_from_slice(&i16::from(data[at]).to_le_bytes()),
                        Data::Int16(data) => bytes.copy_from_slice(&half(data[at]).to_le_bytes()),
                    }
                }
            }
            line
        };
        let blocks = match self.split {
            Split::None => self.outs().div_ceil(LANES),
            Split::Blocks => 2 * self.outs().div_ceil(LANES),
            Split::Lanes => 1,
        };
        let rows = (0..blocks).flat_map(|block| (0..kernel).map(move |ky| (block, ky)));
        rows.flat_map(|(block, ky)| (0..quads).map(move |quad| (block, ky, quad)))
            .map(|(block, ky, quad)| line(block, ky, quad))
            .collect()
    }

    /// Output channel of a lane, and which half of its weights.
    fn place(&self, block: usize, lane: usize) -> (usize, fn(i16) -> i16) {
        match self.split {
            Split::None => (block * LANES + lane, low),
            Split::Blocks => (
                block / 2 * LANES + lane,
                if block.is_multiple_of(2) { high } else { low },
            ),
            Split::Lanes => (lane % (LANES / 2), if lane < LANES / 2 { high } else { low }),
        }
    }
}

/// The signed low byte of a weight.
fn low(w: i16) -> i16 {
    i16::from(w as i8)
}

/// What is left of it, in units of 256: -128 to 128.
fn high(w: i16) -> i16 {
    ((i32::from(w) - i32::from(low(w))) >> 8) as i16
}

/// The plain form of [`Simd::finish`].
#[inline(always)]
pub(super) fn finish_narrow(sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    let f = to.factors;
    for (position, sums) in (first..).zip(sums) {
        let mut values = [0; LANES];
        for (lane, value) in values.iter_mut().enumerate() {
            let requant = Requant {
                mult: f.mult[lane],
                shift: f.shift[lane],
            };
            *value = requant.apply(sums[lane].wrapping_add(f.low_bias[lane]));
        }
        emit(values, to, position, out);
    }
}

/// High halves in the lower lanes, low halves in the upper; at most 16 positions.
#[inline(always)]
fn finish_lanes(simd: impl Simd, sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    let mut low = [[0; LANES]; 16];
    for (low, sums) in low.iter_mut().zip(sums) {
        low[..LANES / 2].copy_from_slice(&sums[LANES / 2..]);
    }
    simd.finish_wide(sums, &low[..sums.len()], to, first, out);
}

/// The plain form of [`Simd::finish_wide`].
#[inline(always)]
pub(super) fn finish_wide(high: &[[i32; LANES]], low: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    let f = to.factors;
    for (position, (high, low)) in (first..).zip(high.iter().zip(low)) {
        let mut values = [0; LANES];
        let requant = |lane: usize| {
            let requant = WideRequant {
                mult: f.mult[lane],
                shift: f.shift[lane],
            };
            requant.apply((i64::from(high[lane]) << 8) + i64::from(low[lane]) + f.bias[lane])
        };
        // Whole registers, or the few channels of an image.
        let lanes = if to.lanes > 3 { LANES } else { to.lanes };
        for (lane, value) in values[..lanes].iter_mut().enumerate() {
            *value = requant(lane);
        }
        emit(values, to, position, out);
    }
}

/// Adds the addend, and stores the lanes that are there.
#[inline(always)]
fn emit(mut values: [i32; LANES], to: &Finish<'_>, position: usize, out: &mut [u8]) {
    let at = position * to.outs + to.channel;
    match to.add {
        Add::None => {}
        Add::Vector(vector) => {
            for (value, term) in values.iter_mut().zip(vector) {
                *value = add_guarded(*value, *term);
            }
        }
        Add::Tensor(data, requant) => {
            for (value, &term) in values.iter_mut().zip(&data[at..]) {
                *value = add_guarded(*value, requant.apply(term.into()));
            }
        }
    }
    let size = to.out.bytes();
    let bytes = &mut out[at * size..][..to.lanes * size];
    match to.out {
        Dtype::I8 => {
            let mut narrow = [0; LANES];
            for (narrow, value) in narrow.iter_mut().zip(values) {
                *narrow = saturate_i8(value.saturating_add(to.zero));
            }
            bytes.copy_from_slice(&bytemuck::bytes_of(&narrow)[..bytes.len()]);
        }
        Dtype::I16 => {
            let mut narrow = [0; LANES];
            for (narrow, value) in narrow.iter_mut().zip(values) {
                *narrow = saturate_i16(value);
            }
            bytes.copy_from_slice(&bytemuck::bytes_of(&narrow)[..bytes.len()]);
        }
        _ => bytes.copy_from_slice(&bytemuck::bytes_of(&values)[..bytes.len()]),
    }
}
