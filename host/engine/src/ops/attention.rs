//! Attention: keys in blocks of 16 positions, a lane a position; values in groups of eight channels, a lane a channel.

use super::{Accelerated, Loops, Workspace};
use crate::Family;
use crate::family::{LANES, Simd};
use crate::source::{Part, grow};
use crate::window::copy;
use mote_runtime::Model;
use mote_runtime::internals::numeric::exp2::exp2_neg_q16;
use mote_runtime::internals::numeric::requant::{Requant, WideRequant, saturate_i8, saturate_i16};
use mote_runtime::internals::ops as op;
use mote_runtime::internals::tensor::{Dtype, Tensor};

/// An attention.
#[derive(Debug)]
pub(crate) struct Attention {
    /// Queries, keys, values.
    qkv: [Tensor; 3],
    out: Tensor,
    heads: usize,
    score: WideRequant,
    out_requant: Requant,
}

/// Queries whose probabilities are computed together, so that their long chains of operations overlap.
pub(crate) const QUERIES: usize = 8;

/// A few queries of one head, and what their scores take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// From the first query on.
    pub data: &'a [i16],
    /// Elements from a query to the next.
    pub stride: usize,
    /// At most [`QUERIES`].
    pub count: usize,
    pub depth: usize,
    pub score: WideRequant,
    /// Positions that are there; the last block may have more lanes.
    pub positions: usize,
}

/// Memory of one attention.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// `(position, channel)`.
    q: Vec<i16>,
    /// `(head, block of positions, channel)`.
    k: Vec<[i32; LANES]>,
    /// `(head, group of channels, position)`.
    v: Vec<[i32; GROUP]>,
    weights: Vec<[i32; LANES]>,
    /// `(position, channel)`.
    sums: Vec<i32>,
}

/// Channels of a value that are summed at once.
pub(crate) const GROUP: usize = 8;

impl Rows<'_> {
    /// A query.
    #[inline(always)]
    pub fn query(&self, row: usize) -> &[i16] {
        &self.data[row * self.stride..][..self.depth]
    }
}

/// The inner loops of an attention.
pub(crate) trait AttentionLoops: Simd {
    /// Probabilities of queries, Q15, a lane a position, blocks of positions a query; `keys` has in each block a line a channel.
    #[inline]
    fn probabilities(self, rows: &Rows<'_>, keys: &[[i32; LANES]], weights: &mut [[i32; LANES]]) {
        self.vectorize(
            #[inline(always)]
            || probabilities(rows, keys, weights),
        );
    }

    /// Sum over positions of a probability times a group of channels.
    fn weighted(self, weights: &[i32], values: &[[i32; GROUP]]) -> [i32; GROUP];
}

impl Accelerated for Attention {
    type Record = op::Attention;

    fn prepare(model: &Model<'_>, a: &op::Attention, _: Family) -> Option<Self> {
        let tensor = |id| model.tensor(id).filter(|t| matches!(t.dtype, Dtype::I8 | Dtype::I16));
        Some(Self {
            qkv: [tensor(a.q)?, tensor(a.k)?, tensor(a.v)?],
            out: tensor(a.out)?,
            heads: a.heads.into(),
            score: a.score,
            out_requant: a.out_requant,
        })
    }

    fn run(&self, simd: impl Loops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        simd.vectorize(
            #[inline(always)]
            || self.all(simd, arena, work),
        )
    }
}

impl Attention {
    #[inline(always)]
    fn all(&self, simd: impl AttentionLoops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        let scratch = &mut work.attention;
        let (channels, positions) = (usize::from(self.out.channels), self.out.positions());
        let depth = channels / self.heads;
        let (blocks, groups) = (positions.div_ceil(LANES), depth.div_ceil(GROUP));
        self.arrange(arena, scratch, &mut work.buffers.flat)?;
        scratch.weights.resize(QUERIES * blocks, [0; LANES]);
        grow(&mut scratch.sums, self.out.len());
        for head in 0..self.heads {
            let keys = &scratch.k[head * blocks * depth..][..blocks * depth];
            let values = &scratch.v[head * groups * positions..][..groups * positions];
            for position in (0..positions).step_by(QUERIES) {
                let first = position * channels + head * depth;
                let rows = Rows {
                    data: &scratch.q[first..],
                    stride: channels,
                    count: QUERIES.min(positions - position),
                    depth,
                    score: self.score,
                    positions,
                };
                simd.probabilities(&rows, keys, &mut scratch.weights[..rows.count * blocks]);
                for (row, weights) in scratch.weights.chunks_exact(blocks).take(rows.count).enumerate() {
                    let first = first + row * channels;
                    for (group, values) in values.chunks_exact(positions).enumerate() {
                        let sums = simd.weighted(weights.as_flattened(), values);
                        let at = group * GROUP;
                        let to = &mut scratch.sums[first + at..first + depth.min(at + GROUP)];
                        copy(to, &sums, &|sum| sum);
                    }
                }
            }
        }
        self.store(&scratch.sums[..self.out.len()], arena.get_mut(self.out.range())?)
    }

    /// Reads queries, keys and values.
    #[inline(always)]
    fn arrange(&self, arena: &[u8], to: &mut Scratch, spare: &mut Vec<i16>) -> Option<()> {
        let [q, k, v] = self.qkv.map(|tensor| Part { tensor, requant: None });
        let (channels, positions) = (usize::from(self.out.channels), self.out.positions());
        let depth = channels / self.heads;
        let (blocks, groups) = (positions.div_ceil(LANES), depth.div_ceil(GROUP));
        grow(&mut to.q, self.out.len());
        q.read(arena, &mut to.q)?;
        grow(spare, self.out.len());
        k.read(arena, spare)?;
        to.k.resize(self.heads * blocks * depth, [0; LANES]);
        for (position, from) in spare.chunks_exact(channels).take(positions).enumerate() {
            for (head, from) in from.chunks_exact(depth).enumerate() {
                let lines = &mut to.k[(head * blocks + position / LANES) * depth..][..depth];
                for (line, &k) in lines.iter_mut().zip(from) {
                    line[position % LANES] = k.into();
                }
            }
        }
        v.read(arena, spare)?;
        to.v.resize(self.heads * groups * positions, [0; GROUP]);
        for (position, from) in spare.chunks_exact(channels).take(positions).enumerate() {
            for (head, from) in from.chunks_exact(depth).enumerate() {
                for (group, from) in from.chunks(GROUP).enumerate() {
                    let line = &mut to.v[(head * groups + group) * positions + position];
                    for (to, &v) in line.iter_mut().zip(from) {
                        *to = v.into();
                    }
                }
            }
        }
        Some(())
    }

    /// Every sum as an output.
    #[inline(always)]
    fn store(&self, sums: &[i32], out: &mut [u8]) -> Option<()> {
        match self.out.dtype {
            Dtype::I8 => {
                let zero = i32::from(self.out.zero_point);
                for (out, &sum) in out.iter_mut().zip(sums) {
                    *out = saturate_i8(self.out_requant.apply(sum).saturating_add(zero)) as u8;
                }
            }
            _ => {
                let out: &mut [i16] = bytemuck::try_cast_slice_mut(out).ok()?;
                for (out, &sum) in out.iter_mut().zip(sums) {
                    *out = saturate_i16(self.out_requant.apply(sum));
                }
            }
        }
        Some(())
    }
}

/// The plain form of [`AttentionLoops::probabilities`].
#[inline(always)]
fn probabilities(rows: &Rows<'_>, keys: &[[i32; LANES]], weights: &mut [[i32; LANES]]) {
    for (row, weights) in weights.chunks_exact_mut(keys.len() / rows.depth).enumerate() {
        let query = rows.query(row);
        for (keys, weights) in keys.chunks_exact(rows.depth).zip(weights.iter_mut()) {
            let mut dots = [0i64; LANES];
            for (&q, keys) in query.iter().zip(keys) {
                for (dot, &k) in dots.iter_mut().zip(keys) {
                    *dot += i64::from(i32::from(q)) * i64::from(k);
                }
            }
            for (weight, dot) in weights.iter_mut().zip(dots) {
                *weight = rows.score.apply(dot);
            }
        }
        normalize(&mut weights.as_flattened_mut()[..rows.positions]);
    }
}

/// Scores to probabilities, Q15, in place.
#[inline(always)]
fn normalize(scores: &mut [i32]) {
    let top = scores.iter().copied().max().unwrap_or(0);
    let mut total = 0u64;
    for score in scores.iter_mut() {
        *score = exp2_neg_q16(top.abs_diff(*score)) as i32;
        total += *score as u64;
    }
    let reciprocal = (1u64 << 46) / total.max(1);
    for score in scores {
        *score = ((*score as u64 * reciprocal + (1 << 30)) >> 31) as i32;
    }
}
