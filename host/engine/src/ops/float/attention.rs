//! f16 attention: a lane a query, 16 queries of a head at a time.

use super::functions::{exp, store};
use super::{FloatLoops, FloatTile, Floats, Lanes, TILE};
use crate::Family;
use crate::family::LANES;
use crate::ops::attention::is_worth_threads;
use crate::ops::{Accelerated, Loops, Workspace};
use crate::source::grow;
use mote_runtime::Model;
use mote_runtime::internals::ops as op;
use mote_runtime::internals::tensor::{Dtype, Tensor};
use rayon::prelude::*;

/// An attention.
#[derive(Debug)]
pub(crate) struct Attention {
    /// Queries, keys, values.
    qkv: [Tensor; 3],
    out: Tensor,
    heads: usize,
    scale: f32,
}

/// Memory of one attention.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    flat: Vec<f32>,
    /// `(head, block of queries, channel)`.
    q: Vec<Lanes>,
    /// `(position, channel)`.
    k: Vec<f32>,
    /// `(channel, position)`.
    v: Vec<f32>,
    scores: Vec<Lanes>,
    /// `(head, block of queries, channel)`.
    results: Vec<Lanes>,
}

/// The shape of an attention.
#[derive(Debug, Clone, Copy)]
struct Shape {
    positions: usize,
    channels: usize,
    depth: usize,
    /// Blocks of queries in a head.
    blocks: usize,
}

impl Accelerated for Attention {
    type Record = op::Attention;

    fn prepare(model: &Model<'_>, a: &op::Attention, _: Family) -> Option<Self> {
        let tensor = |id| model.tensor(id).filter(|t| t.dtype == Dtype::F16);
        Some(Self {
            qkv: [tensor(a.q)?, tensor(a.k)?, tensor(a.v)?],
            out: tensor(a.out)?,
            heads: a.heads.into(),
            scale: a.scale,
        })
    }

    fn run(&self, simd: impl Loops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        let threads = work.threads;
        let (channels, positions) = (usize::from(self.out.channels), self.out.positions());
        let shape = Shape {
            positions,
            channels,
            depth: channels / self.heads,
            blocks: positions.div_ceil(LANES),
        };
        let Scratch {
            flat,
            q,
            k,
            v,
            scores,
            results,
        } = &mut work.float.attention;
        simd.vectorize(
            #[inline(always)]
            || self.arrange(arena, &shape, flat, [q, results], [k, v]),
        )?;
        let (q, k, v) = (&q[..], &k[..], &v[..]);
        let results = &mut results[..self.heads * shape.blocks * shape.depth];
        if threads < 2 || !is_worth_threads(positions, shape.depth, self.heads) {
            for (unit, results) in results.chunks_exact_mut(shape.depth).enumerate() {
                self.block(simd, &shape, unit, [k, v], &q[unit * shape.depth..], scores, results);
            }
        } else {
            let units = results.par_chunks_exact_mut(shape.depth).enumerate();
            units.for_each_init(Vec::new, |scores, (unit, results)| {
                self.block(simd, &shape, unit, [k, v], &q[unit * shape.depth..], scores, results);
            });
        }
        let out: &mut [u16] = bytemuck::try_cast_slice_mut(arena.get_mut(self.out.range())?).ok()?;
        simd.vectorize(
            #[inline(always)]
            || {
                for (unit, results) in results.chunks_exact(shape.depth).enumerate() {
                    let (head, first) = (unit / shape.blocks, unit % shape.blocks * LANES);
                    for (channel, results) in results.iter().enumerate() {
                        let mut stored = [0u16; LANES];
                        for (stored, &result) in stored.iter_mut().zip(results) {
                            *stored = store(result);
                        }
                        let to = &mut out[first * channels + head * shape.depth + channel..];
                        for (to, &stored) in to.iter_mut().step_by(channels).zip(&stored) {
                            *to = stored;
                        }
                    }
                }
            },
        );
        Some(())
    }
}

impl Attention {
    /// Reads queries, keys and values; makes room for the results.
    #[inline(always)]
    fn arrange(
        &self,
        arena: &[u8],
        shape: &Shape,
        flat: &mut Vec<f32>,
        [q, results]: [&mut Vec<Lanes>; 2],
        [k, v]: [&mut Vec<f32>; 2],
    ) -> Option<()> {
        /// Positions of a transposed block: a column of many would fall on few lines of the cache.
        const SOME: usize = 32;
        let Shape {
            positions,
            channels,
            depth,
            blocks,
        } = *shape;
        let [queries, keys, values] = self.qkv.map(|first| Floats { first, second: None });
        let lines = self.heads * blocks * depth;
        grow(results, lines);
        q.clear();
        q.resize(lines, [0.0; LANES]);
        for (position, from) in queries.read(arena, flat)?.chunks_exact(channels).enumerate() {
            for (head, from) in from.chunks_exact(depth).enumerate() {
                let to = &mut q[(head * blocks + position / LANES) * depth..];
                for (line, &x) in to.iter_mut().zip(from) {
                    line[position % LANES] = x;
                }
            }
        }
        keys.read(arena, k)?;
        grow(v, positions * channels);
        for (block, flat) in values.read(arena, flat)?.chunks(SOME * channels).enumerate() {
            for (channel, to) in v.chunks_exact_mut(positions).take(channels).enumerate() {
                let to = to[block * SOME..].iter_mut();
                for (to, &x) in to.zip(flat[channel..].iter().step_by(channels)) {
                    *to = x;
                }
            }
        }
        Some(())
    }

    /// 16 queries of a head: `unit` counts heads and blocks of queries.
    #[allow(clippy::too_many_arguments)]
    fn block(
        &self,
        simd: impl FloatLoops,
        shape: &Shape,
        unit: usize,
        [k, v]: [&[f32]; 2],
        queries: &[Lanes],
        scores: &mut Vec<Lanes>,
        results: &mut [Lanes],
    ) {
        let Shape {
            positions,
            channels,
            depth,
            blocks,
        } = *shape;
        let first = unit / blocks * depth;
        grow(scores, positions.next_multiple_of(TILE));
        tiles(simd, &k[first..], [channels, positions], &queries[..depth], scores);
        let mut totals = [0.0; LANES];
        simd.vectorize(
            #[inline(always)]
            || powers(&mut scores[..positions], self.scale, &mut totals),
        );
        tiles(
            simd,
            &v[first * positions..],
            [positions, depth],
            &scores[..positions],
            results,
        );
        simd.vectorize(
            #[inline(always)]
            || {
                for result in results {
                    for (sum, total) in result.iter_mut().zip(&totals) {
                        *sum /= total;
                    }
                }
            },
        );
    }
}

/// From dot products to powers, in place, and their sums in order.
#[inline(always)]
fn powers(scores: &mut [Lanes], scale: f32, totals: &mut Lanes) {
    let mut tops = [f32::NEG_INFINITY; LANES];
    for scores in scores.iter_mut() {
        for (score, top) in scores.iter_mut().zip(&mut tops) {
            *score *= scale;
            *top = if *score > *top { *score } else { *top };
        }
    }
    for scores in scores {
        let mut powers = [0.0; LANES];
        for lane in 0..LANES {
            powers[lane] = exp(scores[lane] - tops[lane]);
            totals[lane] += powers[lane];
        }
        *scores = powers;
    }
}

/// Products of `count` rows of `windows`, `step` apart, with the 16 lanes of `lines`: `to` gets a line a row, and may have room for
/// whole tiles.
fn tiles(simd: impl FloatLoops, windows: &[f32], [step, count]: [usize; 2], lines: &[Lanes], to: &mut [Lanes]) {
    let tile = FloatTile {
        window: windows,
        rows: 1,
        row: 0,
        taps: lines.len(),
        weights: lines,
    };
    let room = to.len().min(count.next_multiple_of(TILE));
    for (i, to) in to[..room].chunks_mut(TILE).enumerate() {
        let at = core::array::from_fn(|p| ((i * TILE + p).min(count - 1) * step) as u32);
        let mut sums = [[[0.0; LANES]; TILE]];
        simd.add_products::<TILE, 1>(&tile, &at, &mut sums);
        to.copy_from_slice(&sums[0][..to.len()]);
    }
}
