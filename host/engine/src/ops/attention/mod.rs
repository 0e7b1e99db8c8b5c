//! Attention: a lane a query, two blocks of 16 queries of a head at a time. Scores and weighted sums are the dot products of convolutions: there
//! queries and probabilities are the lines, here keys and values the windows. No lane is empty, whatever the width of a head or the
//! number of positions.

mod arrange;
mod plain;

pub(crate) use plain::{powers, scores, shares};

use super::conv::{ConvLoops, Tile};
use super::{Accelerated, Loops, Workspace};
use crate::Family;
use crate::family::{LANES, Line};
use crate::source::grow;
use arrange::Arranged;
use mote_runtime::Model;
use mote_runtime::internals::numeric::requant::{Requant, WideRequant, saturate_i8, saturate_i16};
use mote_runtime::internals::ops as op;
use mote_runtime::internals::tensor::{Dtype, Tensor};
use rayon::prelude::*;

/// Keys, and channels of values, that a tile has.
const TILE: usize = 8;

/// Elements of work above which an attention is worth several threads.
const PARALLEL_WORK: usize = 16_000_000;

/// Whether an attention over so many positions, of heads of `depth` channels, is worth several threads.
pub(super) fn is_worth_threads(positions: usize, depth: usize, heads: usize) -> bool {
    positions * positions * (2 * depth + 32) * heads >= PARALLEL_WORK
}

/// An attention.
#[derive(Debug)]
pub(crate) struct Attention {
    /// Queries, keys, values.
    qkv: [Tensor; 3],
    out: Tensor,
    heads: usize,
    score: Score,
    out_requant: Requant,
}

/// From dot products to scores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Score {
    pub factor: WideRequant,
    /// Whether no score leaves 32 bits, whatever queries and keys are.
    pub fits: bool,
}

/// Memory of one attention.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    arranged: Arranged,
    rows: Rows,
    /// `(head, block of queries, channel)`.
    sums: Vec<[i32; LANES]>,
}

/// Memory for the scores of some blocks of 16 queries.
#[derive(Debug, Default)]
struct Rows {
    /// `(block, key)`: dot products, scores, powers.
    scores: Vec<[i32; LANES]>,
    /// The same of the low halves of keys.
    low: Vec<[i32; LANES]>,
    /// `(block, pair of keys)`: probabilities in Q15 with their sign turned, as 2^15 fits 16 bits so.
    shares: Vec<Line>,
}

/// The inner loops of an attention.
pub(crate) trait AttentionLoops: ConvLoops {
    /// Scores of heads of few channels, with the largest of each lane; `None` where the family has no such loop.
    #[inline]
    fn few(self, queries: &[Line], keys: Windows<'_>, score: &Score, to: &mut [[i32; LANES]]) -> Option<[i32; LANES]> {
        let _ = (queries, keys, score, to);
        None
    }

    /// From dot products to scores, in place; gives the largest of each lane. Where `low` is not empty, `dots` has high halves, in
    /// units of 256.
    #[inline]
    fn scores(self, dots: &mut [[i32; LANES]], low: &[[i32; LANES]], factor: WideRequant) -> [i32; LANES] {
        self.vectorize(
            #[inline(always)]
            || scores(dots, low, factor),
        )
    }

    /// From scores to powers, in place; gives the total of each lane, as u32.
    #[inline]
    fn powers(self, scores: &mut [[i32; LANES]], tops: &[i32; LANES]) -> [i32; LANES] {
        self.vectorize(
            #[inline(always)]
            || powers(scores, tops),
        )
    }

    /// From powers to probabilities: pairs of keys as 16 bits, the sign turned.
    #[inline]
    fn shares(self, powers: &[[i32; LANES]], reciprocals: &[u32; LANES], to: &mut [Line]) {
        self.vectorize(
            #[inline(always)]
            || shares(powers, reciprocals, to),
        );
    }
}

impl Accelerated for Attention {
    type Record = op::Attention;

    fn prepare(model: &Model<'_>, a: &op::Attention, _: Family) -> Option<Self> {
        let tensor = |id| model.tensor(id).filter(|t| matches!(t.dtype, Dtype::I8 | Dtype::I16));
        let qkv = [tensor(a.q)?, tensor(a.k)?, tensor(a.v)?];
        let (out, heads) = (tensor(a.out)?, usize::from(a.heads));
        let bound = |t: &Tensor| if t.dtype == Dtype::I8 { 1i64 << 7 } else { 1 << 15 };
        let most = bound(&qkv[0]) * bound(&qkv[1]) * (usize::from(out.channels) / heads) as i64;
        let score = (i128::from(most) * i128::from(a.score.mult)) >> a.score.shift;
        Some(Self {
            qkv,
            out,
            heads,
            score: Score {
                factor: a.score,
                fits: score < i32::MAX.into(),
            },
            out_requant: a.out_requant,
        })
    }

    fn run(&self, simd: impl Loops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        let threads = work.threads;
        let Scratch { arranged, rows, sums } = &mut work.attention;
        simd.vectorize(
            #[inline(always)]
            || arranged.read(&self.qkv, self.heads, arena, &mut work.buffers.flat),
        )?;
        let arranged = &*arranged;
        grow(sums, self.heads * arranged.blocks * arranged.depth);
        let sums = &mut sums[..self.heads * arranged.blocks * arranged.depth];
        let (head, two) = (arranged.blocks * arranged.depth, 2 * arranged.depth);
        let blocks = |rows: &mut Rows, unit: usize, sums: &mut [[i32; LANES]]| match sums.len() == two {
            true => self.blocks::<2>(simd, arranged, unit, rows, sums),
            false => self.blocks::<1>(simd, arranged, unit, rows, sums),
        };
        if threads < 2 || !is_worth_threads(arranged.positions, arranged.depth, self.heads) {
            for (head, sums) in sums.chunks_exact_mut(head).enumerate() {
                for (pair, sums) in sums.chunks_mut(two).enumerate() {
                    blocks(rows, head * arranged.blocks + 2 * pair, sums);
                }
            }
        } else {
            let units = sums.par_chunks_exact_mut(head).enumerate().flat_map(|(head, sums)| {
                let pairs = sums.par_chunks_mut(two).enumerate();
                pairs.map(move |(pair, sums)| (head * arranged.blocks + 2 * pair, sums))
            });
            units.for_each_init(Rows::default, |rows, (unit, sums)| blocks(rows, unit, sums));
        }
        let out = arena.get_mut(self.out.range())?;
        simd.vectorize(
            #[inline(always)]
            || self.store(sums, arranged, out),
        )
    }
}

impl Attention {
    /// The weighted sums of `B` blocks of 16 queries, with their sign turned: `unit` counts heads and blocks of queries, `sums` has a line
    /// a block and channel.
    fn blocks<const B: usize>(
        &self,
        simd: impl AttentionLoops,
        from: &Arranged,
        unit: usize,
        rows: &mut Rows,
        sums: &mut [[i32; LANES]],
    ) {
        let (keys, head) = (from.positions, unit / from.blocks);
        let pairs = keys.div_ceil(2);
        grow(&mut rows.scores, B * keys);
        grow(&mut rows.shares, B * pairs);
        let tops = self.scores::<B>(simd, from, unit, head, rows);
        let scores = rows.scores.chunks_exact_mut(keys);
        for ((scores, shares), tops) in scores.zip(rows.shares.chunks_exact_mut(pairs)).zip(&tops) {
            let totals = simd.powers(scores, tops);
            let reciprocals = simd.vectorize(
                #[inline(always)]
                || reciprocals(&totals),
            );
            simd.shares(scores, &reciprocals, shares);
        }
        tiles::<B>(simd, from.values(head), &rows.shares[..B * pairs], sums);
    }

    /// Scores of `B` blocks of 16 queries with every key of their head; the largest of each query.
    fn scores<const B: usize>(
        &self,
        simd: impl AttentionLoops,
        from: &Arranged,
        unit: usize,
        head: usize,
        rows: &mut Rows,
    ) -> [[i32; LANES]; B] {
        let (queries, keys, count) = (from.queries(unit, B), from.keys(head), from.positions);
        let (quads, mut tops) = (queries.len() / B, [[0; LANES]; B]);
        let scores = &mut rows.scores[..B * count];
        let low = from.low_keys(head);
        let blocks = queries
            .chunks_exact(quads)
            .zip(scores.chunks_exact_mut(count))
            .zip(&mut tops);
        if from.is_deep() {
            for ((queries, scores), tops) in blocks {
                *tops = plain::deep_scores(queries, keys, self.score.factor, scores);
            }
            return tops;
        }
        if low.is_none() {
            let mut few = true;
            for ((queries, scores), tops) in blocks {
                match simd.few(queries, keys, &self.score, scores) {
                    Some(found) => *tops = found,
                    None => few = false,
                }
            }
            if few {
                return tops;
            }
        }
        if let Some(low) = low {
            grow(&mut rows.low, B * count);
            tiles::<B>(simd, low, queries, &mut rows.low[..B * count]);
        }
        tiles::<B>(simd, keys, queries, scores);
        for (b, (scores, tops)) in scores.chunks_exact_mut(count).zip(&mut tops).enumerate() {
            let low = low.map_or(&[][..], |_| &rows.low[b * count..][..count]);
            *tops = simd.scores(scores, low, self.score.factor);
        }
        tops
    }

    /// Every sum as an output, `(position, channel)`.
    #[inline(always)]
    fn store(&self, sums: &[[i32; LANES]], from: &Arranged, out: &mut [u8]) -> Option<()> {
        let channels = from.depth * self.heads;
        for (unit, sums) in sums.chunks_exact(from.depth).enumerate() {
            let (head, block) = (unit / from.blocks, unit % from.blocks);
            let count = (from.positions - block * LANES).min(LANES);
            if self.out.dtype == Dtype::I8 && from.depth.is_multiple_of(4) {
                // Four channels of a position at a time.
                let zero = i32::from(self.out.zero_point);
                for (group, sums) in sums.as_chunks::<4>().0.iter().enumerate() {
                    let mut stored = [0u32; LANES];
                    for (i, sums) in sums.iter().enumerate() {
                        for (stored, &sum) in stored.iter_mut().zip(sums) {
                            let q = saturate_i8(self.out_requant.apply(-sum).saturating_add(zero));
                            *stored |= u32::from(q as u8) << (8 * i);
                        }
                    }
                    let first = block * LANES * channels + head * from.depth + 4 * group;
                    for (lane, stored) in stored[..count].iter().enumerate() {
                        let to = out.get_mut(first + lane * channels..)?.first_chunk_mut()?;
                        *to = stored.to_le_bytes();
                    }
                }
                continue;
            }
            for (channel, sums) in sums.iter().enumerate() {
                let first = block * LANES * channels + head * from.depth + channel;
                if self.out.dtype == Dtype::I8 {
                    let zero = i32::from(self.out.zero_point);
                    let mut stored = [0i8; LANES];
                    for (stored, &sum) in stored.iter_mut().zip(sums) {
                        *stored = saturate_i8(self.out_requant.apply(-sum).saturating_add(zero));
                    }
                    let out: &mut [i8] = bytemuck::cast_slice_mut(out);
                    scatter(&stored[..count], out.get_mut(first..)?, channels);
                } else {
                    let mut stored = [0i16; LANES];
                    for (stored, &sum) in stored.iter_mut().zip(sums) {
                        *stored = saturate_i16(self.out_requant.apply(-sum));
                    }
                    let out: &mut [i16] = bytemuck::try_cast_slice_mut(out).ok()?;
                    scatter(&stored[..count], out.get_mut(first..)?, channels);
                }
            }
        }
        Some(())
    }
}

/// Writes numbers `step` apart.
#[inline(always)]
fn scatter<T: Copy>(from: &[T], to: &mut [T], step: usize) {
    for (to, &from) in to.iter_mut().step_by(step).zip(from) {
        *to = from;
    }
}

/// `2^46` by each total, floored. A total is at least 2^16, as the largest power is: an f64 has bits to spare.
#[inline(always)]
fn reciprocals(totals: &[i32; LANES]) -> [u32; LANES] {
    let mut reciprocals = [0; LANES];
    for (reciprocal, &total) in reciprocals.iter_mut().zip(totals) {
        let quotient = (1u64 << 46) as f64 / f64::from((total as u32).max(1 << 16));
        // Added to 2^52, an integer stands in the low bits.
        *reciprocal = (quotient.floor() + (1u64 << 52) as f64).to_bits() as u32;
    }
    reciprocals
}

/// Rows of int16, at even distances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows<'a> {
    pub data: &'a [u8],
    /// Bytes from a row to the next.
    pub step: usize,
    pub count: usize,
}

/// Dot products of every row in `windows` with the 16 lanes of each of `B` blocks of `lines`: `to` gets a line a block and row.
#[inline(always)]
fn tiles<const B: usize>(simd: impl ConvLoops, windows: Windows<'_>, lines: &[Line], to: &mut [[i32; LANES]]) {
    let tile = Tile {
        window: windows.data,
        bytes: false,
        row_bytes: 0,
        rows: 1,
        quads: lines.len() / B,
        weights: lines,
    };
    let mut sums = [[[0; LANES]; TILE]; B];
    for first in (0..windows.count).step_by(TILE) {
        let count = TILE.min(windows.count - first);
        let at = core::array::from_fn(|i| ((first + i.min(count - 1)) * windows.step) as u32);
        simd.dots::<TILE, B>(&tile, &at, &mut sums);
        for (to, sums) in to.chunks_exact_mut(windows.count).zip(&sums) {
            to[first..first + count].copy_from_slice(&sums[..count]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocals_are_floored_quotients() {
        let mut word = 1u64;
        for round in 0..50_000u32 {
            word = word
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Totals of every size, and beside every divisor's multiples.
            let total = ((word >> 32) as u32 >> (round % 16)).clamp(1 << 16, 1 << 31);
            let near = ((1u64 << 46) / u64::from(total)).max(1 << 15);
            let exact = ((1u64 << 46) / near).clamp(1 << 16, 1 << 31) as u32;
            for total in [total, exact, (exact - 1).max(1 << 16), (exact + 1).min(1 << 31)] {
                let found = reciprocals(&[total as i32; LANES])[3];
                assert_eq!(u64::from(found), (1u64 << 46) / u64::from(total), "{total}");
            }
        }
    }
}
