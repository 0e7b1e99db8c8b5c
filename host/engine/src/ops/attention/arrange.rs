//! Queries, keys and values in the order in which an attention reads them.

use super::Windows;
use crate::family::{LANES, Line};
use crate::source::{SourcePart, grow};
use crate::window::{bytes_of, copy};
use mote_runtime::internals::tensor::{Dtype, Tensor};

/// Channels of a head above which sums of 16-bit products, one factor below 2^8, might leave 32 bits.
const DEEP: usize = 511;

/// Queries, keys and values of a call, by head.
#[derive(Debug, Default)]
pub(super) struct Arranged {
    pub positions: usize,
    heads: usize,
    pub depth: usize,
    /// Blocks of 16 queries in a head.
    pub blocks: usize,
    /// Whether keys are in halves: high ones in units of 256, then low ones.
    halves: bool,
    /// `(head, block, pair of channels)`, a lane a query.
    q: Vec<Line>,
    /// `(half, position, head, channel)`, i16, an even number of channels a head.
    k: Vec<Line>,
    /// `(head, channel, position)`, i16, an even number of positions.
    v: Vec<Line>,
}

impl Arranged {
    /// Reads the three.
    #[inline(always)]
    pub fn read(&mut self, qkv: &[Tensor; 3], heads: usize, arena: &[u8], flat: &mut Vec<i16>) -> Option<()> {
        let [q, k, v] = qkv.map(|tensor| SourcePart { tensor, requant: None });
        let channels = usize::from(q.tensor.channels);
        self.positions = q.tensor.positions();
        (self.heads, self.depth) = (heads, channels / heads);
        self.blocks = self.positions.div_ceil(LANES);
        // Products of bytes, less their zero point, with 16 bits.
        let small = q.tensor.dtype == Dtype::I8 && self.depth << 23 <= 1 << 31;
        self.halves = k.tensor.dtype == Dtype::I16 && !small && !self.is_deep();
        grow(flat, q.tensor.len());
        q.read(arena, flat)?;
        self.queries_from(flat);
        k.read(arena, flat)?;
        self.keys_from(flat);
        v.read(arena, flat)?;
        self.values_from(flat);
        Some(())
    }

    #[inline(always)]
    fn queries_from(&mut self, flat: &[i16]) {
        let (quads, channels) = (self.quads(), self.heads * self.depth);
        self.q.clear();
        self.q.resize(self.heads * self.blocks * quads, Line([0; 64]));
        if self.depth.is_multiple_of(2) {
            let row = channels / 2;
            let lines: &mut [[[i16; 2]; LANES]] = bytemuck::cast_slice_mut(&mut self.q);
            let pairs: &[[i16; 2]] = bytemuck::cast_slice(&flat[..self.positions * channels]);
            for (block, pairs) in pairs.chunks(LANES * row).enumerate() {
                for head in 0..self.heads {
                    let lines = &mut lines[(head * self.blocks + block) * quads..][..quads];
                    for (line, first) in lines.iter_mut().zip(head * quads..) {
                        for (to, from) in line.iter_mut().zip(pairs[first..].iter().step_by(row)) {
                            *to = *from;
                        }
                    }
                }
            }
            return;
        }
        let lanes: &mut [i16] = bytemuck::cast_slice_mut(&mut self.q);
        for (position, from) in flat.chunks_exact(channels).take(self.positions).enumerate() {
            for (head, from) in from.chunks_exact(self.depth).enumerate() {
                let first = (head * self.blocks + position / LANES) * quads * 2 * LANES + 2 * (position % LANES);
                for (i, pair) in from.chunks(2).enumerate() {
                    lanes[first + i * 2 * LANES..][..pair.len()].copy_from_slice(pair);
                }
            }
        }
    }

    #[inline(always)]
    fn keys_from(&mut self, flat: &[i16]) {
        let half = self.positions * self.key_bytes() / 2;
        let all = if self.halves { 2 * half } else { half };
        let keys: &mut [i16] = bytemuck::cast_slice_mut(bytes_of(&mut self.k, 2 * all));
        let (high, low) = keys.split_at_mut(half);
        if self.halves {
            spread(flat, high, self.depth, |k| {
                ((i32::from(k) - i32::from(k as i8)) >> 8) as i16
            });
            spread(flat, low, self.depth, |k| i16::from(k as i8));
        } else {
            spread(flat, high, self.depth, |k| k);
        }
    }

    #[inline(always)]
    fn values_from(&mut self, flat: &[i16]) {
        // Few positions at a time: a column of many would fall on few lines of the cache.
        const SOME: usize = 32;
        let (row, channels) = (self.positions.next_multiple_of(2), self.heads * self.depth);
        let values: &mut [i16] = bytemuck::cast_slice_mut(bytes_of(&mut self.v, 2 * row * channels));
        for (block, flat) in flat[..self.positions * channels].chunks(SOME * channels).enumerate() {
            for (channel, to) in values.chunks_exact_mut(row).enumerate() {
                let (pairs, rest) = to[block * SOME..].as_chunks_mut::<2>();
                debug_assert!(rest.is_empty());
                let mut from = flat[channel..].iter().step_by(channels).copied();
                for to in pairs.iter_mut().take(flat.len() / channels / 2) {
                    *to = [from.next().unwrap_or(0), from.next().unwrap_or(0)];
                }
                if let (Some(last), Some(to)) = (from.next(), pairs.get_mut(flat.len() / channels / 2)) {
                    *to = [last, 0];
                }
            }
        }
    }

    /// Whether scores need sums of 64 bits.
    pub fn is_deep(&self) -> bool {
        self.depth > DEEP
    }

    /// Pairs of channels.
    fn quads(&self) -> usize {
        self.depth.div_ceil(2)
    }

    /// Bytes of a position's keys.
    fn key_bytes(&self) -> usize {
        self.heads * self.quads() * 4
    }

    /// Queries of a unit, a block of a head, and of those that follow: `count` in all.
    pub fn queries(&self, unit: usize, count: usize) -> &[Line] {
        &self.q[unit * self.quads()..][..count * self.quads()]
    }

    /// Keys of a head, or their high halves.
    pub fn keys(&self, head: usize) -> Windows<'_> {
        self.half_keys(0, head)
    }

    /// Their low halves, where they are in halves.
    pub fn low_keys(&self, head: usize) -> Option<Windows<'_>> {
        self.halves
            .then(|| self.half_keys(self.positions * self.key_bytes(), head))
    }

    fn half_keys(&self, first: usize, head: usize) -> Windows<'_> {
        let step = self.key_bytes();
        let all = &bytemuck::cast_slice(&self.k)[first..first + self.positions * step];
        Windows {
            data: &all[head * self.quads() * 4..],
            step,
            count: self.positions,
        }
    }

    /// Values of a head: a row a channel.
    pub fn values(&self, head: usize) -> Windows<'_> {
        let step = self.positions.next_multiple_of(2) * 2;
        let bytes = self.depth * step;
        Windows {
            data: &bytemuck::cast_slice(&self.v)[head * bytes..][..bytes],
            step,
            count: self.depth,
        }
    }
}

/// Copies rows of `depth` numbers through `map`, each with a 0 behind it where `depth` is odd.
#[inline(always)]
fn spread(from: &[i16], to: &mut [i16], depth: usize, map: impl Fn(i16) -> i16) {
    if depth.is_multiple_of(2) {
        copy(to, from, &map);
        return;
    }
    for (to, from) in to.chunks_exact_mut(depth + 1).zip(from.chunks_exact(depth)) {
        copy(&mut to[..depth], from, &map);
        to[depth] = 0;
    }
}
