//! Convolutions: weights interleaved for blocks of output channels, tiles of positions by channels, one rounding.
//!
//! int8 weights meet int8 inputs as bytes (`q - zero_point` becomes `q + 128` with the difference in the bias) or int16 inputs in
//! pairs. int16 weights are split into `256 high + low`, both signed, each with int32 sums that [`Conv::reading`] proves cannot
//! overflow; they meet int16 inputs.

mod finish;
mod packed;
#[cfg(target_arch = "x86_64")]
mod tiles;

use finish::finish_long;
pub(crate) use finish::{Add, Factors, Finish, finish_narrow, finish_wide};

use super::{Accelerated, Loops, Workspace};
use crate::Family;
use crate::family::{LANES, Line};
use crate::source::{Join, Source, SourcePart, grow};
use crate::split::Split;
use crate::window::{Window, bytes_of};
use core::ops::Range;
use finish::Addend;
use mote_runtime::Model;
use mote_runtime::internals::ops as op;
use mote_runtime::internals::ops::conv::Geometry;
use mote_runtime::internals::ops::conv::proof::input_bound;
use mote_runtime::internals::tensor::{Dtype, Tensor};
use packed::{Halves, Packed};
use rayon::prelude::*;

/// Multiply-accumulates above which an operator is worth several threads.
const PARALLEL_MACS: usize = 16_000_000;

/// Bytes of weights that stay in a first cache beside the inputs.
const NEAR_BYTES: usize = 24 << 10;

/// A convolution with its weights in the engine's order.
#[derive(Debug)]
pub(crate) struct Conv {
    source: Source,
    window: Window,
    /// Whether the window holds bytes (`q + 128`), not int16.
    bytes: bool,
    /// Rows of the kernel.
    rows: usize,
    offsets: Vec<u32>,
    /// Positions that follow each other at even distances in the window: a row, or all.
    run: usize,
    weights: Vec<Line>,
    blocks: Vec<Factors>,
    halves: Halves,
    /// Whether int32 holds the sums of a kernel row alone.
    by_rows: bool,
    add: Option<op::Addend>,
    add_tensor: Option<Tensor>,
    add_split: Option<Split>,
    out: Tensor,
    /// Where the first input lies, and the output.
    ranges: [Range<usize>; 2],
    exact: bool,
    /// Whether a concatenation is itself the window.
    direct: bool,
    /// Whether columns of the input can be read once for the positions that share them ([`ConvLoops::strip`]): the columns of the output
    /// then, otherwise 0.
    strips: usize,
}

/// What a tile of dot products reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile<'a> {
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

impl Tile<'_> {
    /// Panics unless every read of what begins at `at` and up to `beyond` bytes later, and of `blocks` blocks of weights, is within window
    /// and weights: unsafe code relies on it.
    #[inline(always)]
    pub fn check_reads(&self, at: &[u32], beyond: usize, blocks: usize) {
        let span = (self.rows - 1) * self.row_bytes + self.quads * 4 + beyond;
        assert!(at.iter().all(|&at| at as usize + span <= self.window.len()));
        assert!(self.weights.len() >= blocks * self.rows * self.quads);
    }
}

/// The inner loops of a convolution.
pub(crate) trait ConvLoops: Join {
    /// Dot products of `P` windows with `B` blocks of output channels.
    fn dots<const P: usize, const B: usize>(self, tile: &Tile<'_>, at: &[u32; P], sums: &mut [[[i32; LANES]; P]; B]);

    /// Dot products of `P` neighbouring windows, from `at` on, with `B` blocks: of bytes, kernel rows of three columns, stride 1. `false`
    /// where the family has no such loop.
    #[inline]
    fn strip<const P: usize, const B: usize>(
        self,
        tile: &Tile<'_>,
        at: u32,
        sums: &mut [[[i32; LANES]; P]; B],
    ) -> bool {
        let _ = (tile, at, sums);
        false
    }

    /// Tiles for dot products of bytes, where the family has them.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn tiles(self) -> Option<crate::x86::amx::Amx> {
        None
    }

    /// From sums to outputs: one block of channels at consecutive positions.
    #[inline]
    fn finish(self, sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
        self.vectorize(
            #[inline(always)]
            || finish_narrow(sums, to, first, out),
        );
    }

    /// The same for int16 weights: from sums of the high and of the low halves.
    #[inline]
    fn finish_wide(self, high: &[[i32; LANES]], low: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
        self.vectorize(
            #[inline(always)]
            || finish_wide(high, low, to, first, out),
        );
    }

    /// The same where one block holds high and low halves: at most 16 positions of few channels. `false` where the family has no
    /// such loop for `to`.
    #[inline]
    fn finish_column(self, sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) -> bool {
        let _ = (sums, to, first, out);
        false
    }
}

impl Conv {
    /// `None` for what the engine has no kernel for. `source` is what it reads; `bytes` says whether the family multiplies bytes.
    pub fn reading(model: &Model<'_>, c: &op::Conv, source: Source, bytes: bool) -> Option<Self> {
        let (input, out) = (source.first.tensor, model.tensor(c.out)?);
        let geometry = Geometry::of(c, &input, &out);
        let int8 = source.second.is_none() && input.dtype == Dtype::I8;
        let bound = match int8 {
            true => input_bound(Dtype::I8, input.zero_point),
            false => input_bound(Dtype::I16, 0),
        };
        let taps = geometry.kernel.area() * source.channels();
        // As bytes, inputs are 0 to 255.
        let taps = (taps, geometry.kernel.rows());
        let packed = Packed::of(model, &c.weights, taps, geometry.outs, bound.max(255))?;
        let bytes = bytes && int8 && !packed.by_rows && packed.halves_are_bytes();
        let window = Window::new(geometry, source.channels(), if bytes { 1 } else { 2 });
        let zero = bytes.then_some(i64::from(input.zero_point));
        let blocks = packed.factors(zero);
        let add_tensor = match c.addend {
            Some(addend) => Some(model.tensor(addend.tensor)?),
            None => None,
        };
        let add_split = c.addend.and_then(|addend| Split::of(addend.requant, 0));
        let small = c.addend.is_none() || add_split.is_some();
        let direct = source.second.is_some() && window.is_input();
        let in_strips =
            bytes && geometry.kernel.cols() == 3 && geometry.stride.cols() == 1 && packed.split == Halves::None;
        Some(Self {
            strips: if in_strips { out.cols.into() } else { 0 },
            weights: packed.lines(&window, geometry.kernel),
            offsets: window.offsets(),
            run: if window.is_even() {
                out.positions()
            } else {
                out.cols.into()
            },
            exact: packed.stays_narrow(bound) && small && matches!(out.dtype, Dtype::I8 | Dtype::I16),
            halves: packed.split,
            by_rows: packed.by_rows,
            rows: geometry.kernel.rows(),
            add: c.addend,
            source,
            window,
            bytes,
            blocks,
            add_tensor,
            add_split,
            ranges: [input.range(), out.range()],
            out,
            direct,
        })
    }

    /// Runs it over the arena.
    fn run_loops(&self, simd: impl ConvLoops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        simd.vectorize(
            #[inline(always)]
            || self.read(simd, arena, work),
        )?;
        let window = match self.direct {
            true => bytemuck::cast_slice(self.source.joined(simd, arena, &mut work.buffers)?),
            false => &*bytes_of(&mut work.window, self.window.len()),
        };
        let (outs, positions) = (usize::from(self.out.channels), self.out.positions());
        let add = |first: usize| match (&self.add, &self.add_tensor) {
            (Some(addend), Some(tensor)) if tensor.positions() > 1 || positions == 1 => {
                Addend::Tensor(&work.addend[first * outs..], addend.requant, self.add_split.as_ref())
            }
            (Some(_), _) => Addend::Vector(&work.vector),
            _ => Addend::None,
        };
        let out = arena.get_mut(self.ranges[1].clone())?;
        let macs = positions * self.weights.len() * size_of::<Line>() / if self.bytes { 1 } else { 2 };
        if macs < PARALLEL_MACS || work.threads < 2 {
            self.positions(simd, window, 0, positions, add(0), out);
            return Some(());
        }
        let share = positions.div_ceil(4 * work.threads).next_multiple_of(TILE);
        let chunks = out.par_chunks_mut(share * outs * self.out.dtype.bytes()).enumerate();
        chunks.for_each(|(i, out)| {
            let first = i * share;
            self.positions(simd, window, first, share.min(positions - first), add(first), out);
        });
        Some(())
    }

    /// The window and the addend.
    #[inline(always)]
    fn read(&self, simd: impl ConvLoops, arena: &[u8], work: &mut Workspace) -> Option<()> {
        let input = &self.source.first.tensor;
        let window = bytes_of(&mut work.window, self.window.len());
        if self.source.second.is_none() && input.dtype == Dtype::I8 {
            let from: &[i8] = bytemuck::try_cast_slice(arena.get(self.ranges[0].clone())?).ok()?;
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
                let from: &[i16] = bytemuck::try_cast_slice(arena.get(self.ranges[0].clone())?).ok()?;
                self.window.fill(from, window, 0, |q| q);
            } else {
                let from = self.source.joined(simd, arena, &mut work.buffers)?;
                if !self.direct {
                    self.window.fill(from, window, 0, |q| q);
                }
            }
        }
        if let (Some(addend), Some(tensor)) = (&self.add, self.add_tensor) {
            grow(&mut work.addend, tensor.len() + LANES);
            SourcePart { tensor, requant: None }.read(arena, &mut work.addend)?;
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
    fn positions(
        &self,
        simd: impl ConvLoops,
        window: &[u8],
        first: usize,
        count: usize,
        add: Addend<'_>,
        out: &mut [u8],
    ) {
        let offsets = &self.offsets[first..first + count];
        #[cfg(target_arch = "x86_64")]
        if let Some(tiles) = self.tiles(simd, count) {
            return self.runs(simd, tiles, window, first, offsets, add, out);
        }
        let (mut block, mut room) = (0, [[0; LANES]; 2 * TILE]);
        let lines = self.rows * self.window.quads();
        while block * lines < self.weights.len() {
            let two = (block + 2) * lines <= self.weights.len();
            let tile = Tile {
                window,
                bytes: self.bytes,
                row_bytes: self.window.row_bytes(),
                rows: self.rows,
                quads: self.window.quads(),
                weights: &self.weights[block * lines..][..lines * (1 + usize::from(two))],
            };
            let mut at = 0;
            while at < count {
                let left = count - at;
                let done = match (self.strip_of(first + at, left, two), two) {
                    (Some(16), _) => self.strip::<16, 1>(simd, &tile, offsets, (block, at), add, &mut room, out),
                    (Some(8), false) => self.strip::<8, 1>(simd, &tile, offsets, (block, at), add, &mut room, out),
                    (Some(8), true) => self.strip::<8, 2>(simd, &tile, offsets, (block, at), add, &mut room, out),
                    _ => 0,
                };
                if done > 0 {
                    at += done;
                    continue;
                }
                at += match (left, two) {
                    (1, false) => self.tile::<1, 1>(simd, &tile, offsets, (block, at), add, &mut room, out),
                    (1, true) => self.tile::<1, 2>(simd, &tile, offsets, (block, at), add, &mut room, out),
                    (2..=4, false) => self.tile::<4, 1>(simd, &tile, offsets, (block, at), add, &mut room, out),
                    (2..=4, true) => self.tile::<4, 2>(simd, &tile, offsets, (block, at), add, &mut room, out),
                    (5..=8 | 13..=16, false) => {
                        self.tile::<8, 1>(simd, &tile, offsets, (block, at), add, &mut room, out)
                    }
                    (5..=8 | 13..=16, true) => {
                        self.tile::<8, 2>(simd, &tile, offsets, (block, at), add, &mut room, out)
                    }
                    (_, false) => self.tile::<TILE, 1>(simd, &tile, offsets, (block, at), add, &mut room, out),
                    (_, true) => self.tile::<TILE, 2>(simd, &tile, offsets, (block, at), add, &mut room, out),
                };
            }
            block += 1 + usize::from(two);
        }
    }

    /// How many positions from number `first` on, of `left`, are a strip of a row.
    #[inline(always)]
    fn strip_of(&self, first: usize, left: usize, two: bool) -> Option<usize> {
        let in_row = self.strips - first.checked_rem(self.strips)?;
        // A strip reads more lines of weights a product than a tile does: they must be near.
        let near = 2 * self.rows * self.window.quads() * size_of::<Line>() <= NEAR_BYTES;
        let lengths: &[usize] = match two {
            false => &[16, 8],
            true if near => &[8],
            true => &[],
        };
        lengths.iter().copied().find(|&length| length <= in_row.min(left))
    }

    /// `P` positions of a row from `at` on by `B` blocks; gives how many positions, 0 where the family has no such loop.
    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    fn strip<const P: usize, const B: usize>(
        &self,
        simd: impl ConvLoops,
        tile: &Tile<'_>,
        offsets: &[u32],
        (block, at): (usize, usize),
        add: Addend<'_>,
        room: &mut [[i32; LANES]; 2 * TILE],
        out: &mut [u8],
    ) -> usize {
        let (sums, _) = room.as_chunks_mut::<P>();
        let sums: &mut [[[i32; LANES]; P]; B] = sums.first_chunk_mut().expect("room for the largest strip");
        if !simd.strip(tile, offsets[at], sums) {
            return 0;
        }
        for (b, sums) in sums.iter().enumerate() {
            simd.finish(sums, &self.finish(block + b, add), at, out);
        }
        P
    }

    /// Up to `P` positions from `at` on by `B` blocks, whose sums `room` has place for; gives how many positions.
    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    fn tile<const P: usize, const B: usize>(
        &self,
        simd: impl ConvLoops,
        tile: &Tile<'_>,
        offsets: &[u32],
        (block, at): (usize, usize),
        add: Addend<'_>,
        room: &mut [[i32; LANES]; 2 * TILE],
        out: &mut [u8],
    ) -> usize {
        let count = P.min(offsets.len() - at);
        let starts: [u32; P] = core::array::from_fn(|p| offsets[at + p.min(count - 1)]);
        let (sums, _) = room.as_chunks_mut::<P>();
        let sums: &mut [[[i32; LANES]; P]; B] = sums.first_chunk_mut().expect("room for the largest tile");
        let finish = |block| self.finish(block, add);
        if self.by_rows {
            let mut totals = [[0; LANES]; P];
            add_rows::<P, B>(simd, tile, &starts, &mut totals);
            simd.vectorize(
                #[inline(always)]
                || finish_long(&totals[..count], &finish(block / 2), at, out),
            );
            return count;
        }
        simd.dots(tile, &starts, sums);
        match self.halves {
            Halves::None => {
                for (b, sums) in sums.iter().enumerate() {
                    simd.finish(&sums[..count], &finish(block + b), at, out);
                }
            }
            Halves::Blocks => {
                simd.finish_wide(&sums[0][..count], &sums[B - 1][..count], &finish(block / 2), at, out);
            }
            Halves::Lanes => finish_lanes(simd, &sums[0][..count], &finish(0), at, out),
        }
        count
    }
}

impl Accelerated for Conv {
    type Record = op::Conv;

    fn prepare(model: &Model<'_>, c: &op::Conv, family: Family) -> Option<Self> {
        Self::reading(model, c, Source::new(model, &c.source)?, family.multiplies_bytes())
    }

    fn run(&self, simd: impl Loops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        self.run_loops(simd, arena, work)
    }
}

/// Whether two convolutions from `input` to `out` have equal weights, biases and factors, wherever these stand in the file.
pub(crate) fn same_weights(model: &Model<'_>, a: &op::Conv, b: &op::Conv, input: &Tensor, out: &Tensor) -> bool {
    let taps = (a.kernel().area() * usize::from(input.channels), a.kernel().rows());
    let packed = |c: &op::Conv| Packed::of(model, &c.weights, taps, out.channels.into(), input_bound(Dtype::I16, 0));
    a.kernel == b.kernel && packed(a).is_some_and(|a| packed(b).is_some_and(|b| a == b))
}

/// Positions of a tile: with two blocks of channels as many sums as registers have room for.
const TILE: usize = 12;

/// Sums of weights whose high and low halves are in `B` blocks, a kernel row at a time.
#[inline(always)]
fn add_rows<const P: usize, const B: usize>(
    simd: impl ConvLoops,
    tile: &Tile<'_>,
    at: &[u32; P],
    totals: &mut [[i64; LANES]; P],
) {
    for row in 0..tile.rows {
        for b in 0..B {
            let own = Tile {
                window: &tile.window[row * tile.row_bytes..],
                rows: 1,
                weights: &tile.weights[(b * tile.rows + row) * tile.quads..][..tile.quads],
                ..*tile
            };
            let mut sums = [[[0; LANES]; P]];
            simd.dots::<P, 1>(&own, at, &mut sums);
            let up = if b == 0 { 8 } else { 0 };
            simd.vectorize(
                #[inline(always)]
                || {
                    for (totals, sums) in totals.iter_mut().zip(&sums[0]) {
                        for (total, &sum) in totals.iter_mut().zip(sums) {
                            *total += i64::from(sum) << up;
                        }
                    }
                },
            );
        }
    }
}

/// High halves in the lower lanes, low halves in the upper; at most 16 positions.
#[inline(always)]
fn finish_lanes(simd: impl ConvLoops, sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    if simd.finish_column(sums, to, first, out) {
        return;
    }
    let mut low = [[0; LANES]; 16];
    for (low, sums) in low.iter_mut().zip(sums) {
        low[..LANES / 2].copy_from_slice(&sums[LANES / 2..]);
    }
    simd.finish_wide(sums, &low[..sums.len()], to, first, out);
}
