//! Attention: keys transposed so that a lane is a position, values so that a lane is a channel.

use super::Workspace;
use super::family::Simd;
use super::source::{Part, grow};
use mote_runtime::Model;
use mote_runtime::blob::op;
use mote_runtime::blob::tensor::{Dtype, Tensor};
use mote_runtime::numeric::exp2::exp2_neg_q16;
use mote_runtime::numeric::requant::{Requant, WideRequant, saturate_i8, saturate_i16};

/// An attention.
#[derive(Debug)]
pub(super) struct Attention {
    /// Queries, keys, values.
    qkv: [Tensor; 3],
    out: Tensor,
    heads: usize,
    score: WideRequant,
    out_requant: Requant,
}

/// Memory of one attention.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// `(position, channel)`.
    q: Vec<i16>,
    /// `(channel, position)`.
    k: Vec<i32>,
    /// `(position, channel)`, the channels of a head rounded up to [`GROUP`].
    v: Vec<i32>,
    dots: Vec<i64>,
    scores: Vec<i32>,
}

/// Channels of a value that are summed at once.
const GROUP: usize = 8;

impl Attention {
    /// `None` for what the engine has no kernel for.
    pub fn prepare(model: &Model<'_>, a: &op::Attention) -> Option<Self> {
        let tensor = |id| model.tensor(id).filter(|t| matches!(t.dtype, Dtype::I8 | Dtype::I16));
        Some(Self {
            qkv: [tensor(a.q)?, tensor(a.k)?, tensor(a.v)?],
            out: tensor(a.out)?,
            heads: a.heads.into(),
            score: a.score,
            out_requant: a.out_requant,
        })
    }

    /// Runs it over the arena.
    pub fn run(&self, simd: impl Simd, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        simd.vectorize(
            #[inline(always)]
            || self.all(arena, work),
        )
    }

    #[inline(always)]
    fn all(&self, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        let scratch = &mut work.attention;
        let (channels, positions) = (usize::from(self.out.channels), self.out.positions());
        let depth = channels / self.heads;
        let padded = depth.next_multiple_of(GROUP);
        self.transpose(arena, scratch, &mut work.part, depth)?;
        grow(&mut scratch.dots, positions);
        grow(&mut scratch.scores, positions);
        let (dots, scores) = (&mut scratch.dots[..positions], &mut scratch.scores[..positions]);
        let out = arena.get_mut(self.out.range())?;
        for head in 0..self.heads {
            let keys = &scratch.k[head * depth * positions..][..depth * positions];
            let values = &scratch.v[head * positions * padded..][..positions * padded];
            for row in 0..positions {
                let query = &scratch.q[row * channels + head * depth..][..depth];
                self.weights(query, keys, dots, scores);
                for first in (0..depth).step_by(GROUP) {
                    let sums = weighted(scores, &values[first..], padded);
                    let at = row * channels + head * depth + first;
                    self.store(&sums[..(depth - first).min(GROUP)], at, out);
                }
            }
        }
        Some(())
    }

    /// Reads queries, keys and values.
    #[inline(always)]
    fn transpose(&self, arena: &[u8], to: &mut Scratch, spare: &mut Vec<i16>, depth: usize) -> Option<()> {
        let [q, k, v] = self.qkv.map(|tensor| Part { tensor, requant: None });
        let (channels, positions) = (usize::from(self.out.channels), self.out.positions());
        let padded = depth.next_multiple_of(GROUP);
        grow(&mut to.q, self.out.len());
        q.read(arena, &mut to.q)?;
        grow(spare, self.out.len());
        k.read(arena, spare)?;
        grow(&mut to.k, self.out.len());
        for (position, from) in spare.chunks_exact(channels).take(positions).enumerate() {
            for (channel, &k) in from.iter().enumerate() {
                to.k[channel * positions + position] = k.into();
            }
        }
        v.read(arena, spare)?;
        to.v.clear();
        to.v.resize(self.heads * positions * padded, 0);
        for (position, from) in spare.chunks_exact(channels).take(positions).enumerate() {
            for (head, from) in from.chunks_exact(depth).enumerate() {
                for (to, &v) in to.v[(head * positions + position) * padded..].iter_mut().zip(from) {
                    *to = v.into();
                }
            }
        }
        Some(())
    }

    /// Probabilities of a query, Q15, in `scores`.
    #[inline(always)]
    fn weights(&self, query: &[i16], keys: &[i32], dots: &mut [i64], scores: &mut [i32]) {
        dots.fill(0);
        for (&q, keys) in query.iter().zip(keys.chunks_exact(dots.len())) {
            let q = i32::from(q);
            for (dot, &k) in dots.iter_mut().zip(keys) {
                *dot += i64::from(q) * i64::from(k);
            }
        }
        let mut top = i32::MIN;
        for (score, &dot) in scores.iter_mut().zip(dots.iter()) {
            *score = self.score.apply(dot);
            top = top.max(*score);
        }
        let mut total = 0u64;
        for score in scores.iter_mut() {
            *score = exp2_neg_q16(top.abs_diff(*score)) as i32;
            total += *score as u64;
        }
        let reciprocal = (1u64 << 46) / total.max(1);
        for score in scores.iter_mut() {
            *score = ((*score as u64 * reciprocal + (1 << 30)) >> 31) as i32;
        }
    }

    #[inline(always)]
    fn store(&self, sums: &[i32], at: usize, out: &mut [u8]) {
        let size = self.out.dtype.bytes();
        for (bytes, &sum) in out[at * size..].chunks_exact_mut(size).zip(sums) {
            let value = self.out_requant.apply(sum);
            match self.out.dtype {
                Dtype::I8 => bytes[0] = saturate_i8(value.saturating_add(self.out.zero_point.into())) as u8,
                _ => bytes.copy_from_slice(&saturate_i16(value).to_le_bytes()),
            }
        }
    }
}

/// Sum over positions of a probability times a group of channels, `stride` apart.
#[inline(always)]
fn weighted(scores: &[i32], values: &[i32], stride: usize) -> [i32; GROUP] {
    let mut sums = [0; GROUP];
    for (score, values) in scores.iter().zip(values.chunks(stride)) {
        for (sum, value) in sums.iter_mut().zip(&values[..GROUP]) {
            *sum += score * value;
        }
    }
    sums
}
