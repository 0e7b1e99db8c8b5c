//! Inner loops in AVX-512 with VNNI.
#![allow(unsafe_code)]

mod attention;
mod dots;
mod finish;
mod floats;
mod lanes;
mod norm;

use super::amx::Amx;
use crate::family::{LANES, Line, Simd};
use crate::ops::attention::{AttentionLoops, Score, Windows};
use crate::ops::conv::{self, Add, ConvLoops, Finish, Tile};
use crate::ops::float::{FloatLoops, FloatTile, Lanes};
use crate::ops::group_norm::{NormLoops, Normalize, normalize};
use crate::source::{Columns, Join, Stored};
use crate::split::Split;
use mote_runtime::internals::numeric::requant::WideRequant;
use mote_runtime::internals::tensor::Dtype;

/// AVX-512 F, BW, DQ, VL and VNNI are here, and AMX where it was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(Option<Amx>);

impl Avx512 {
    /// Asks the processor.
    #[inline]
    pub fn found() -> Option<Self> {
        let here = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        here.then_some(Self(None))
    }

    /// The same with AMX.
    #[inline]
    pub fn found_with_tiles() -> Option<Self> {
        Self::found().and(Amx::found()).map(|amx| Self(Some(amx)))
    }
}

impl Simd for Avx512 {
    #[inline(always)]
    fn vectorize<R>(self, work: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn compiled<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: `self` says that the features are here.
        unsafe { compiled(work) }
    }
}

impl Join for Avx512 {
    #[inline]
    fn join(self, from: &[i8], factor: &Split, to: &mut [i16], columns: Columns) {
        // SAFETY: `self` says that the features are here.
        unsafe { lanes::join(from, factor, to, columns) }
    }
}

impl ConvLoops for Avx512 {
    #[inline]
    fn dots<const P: usize, const B: usize>(self, tile: &Tile<'_>, at: &[u32; P], sums: &mut [[[i32; LANES]; P]; B]) {
        tile.check_reads(at, 0, B);
        // SAFETY: `self` says that the features are here; `check_reads` that every read of `dots` is within the slices.
        unsafe {
            match tile.bytes {
                true => dots::dots::<P, B, true>(tile, at, sums),
                false => dots::dots::<P, B, false>(tile, at, sums),
            }
        }
    }

    #[inline]
    fn strip<const P: usize, const B: usize>(
        self,
        tile: &Tile<'_>,
        at: u32,
        sums: &mut [[[i32; LANES]; P]; B],
    ) -> bool {
        if !tile.bytes || !tile.quads.is_multiple_of(3) {
            return false;
        }
        tile.check_reads(&[at], (P - 1) * tile.quads / 3 * 4, B);
        // SAFETY: `self` says that the features are here; `check_reads` that every read of `strip` is within the slices.
        unsafe { dots::strip::<P, B>(tile, at as usize, sums) };
        true
    }

    #[inline]
    fn tiles(self) -> Option<Amx> {
        self.0
    }

    #[inline]
    fn finish(self, sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
        if !to.exact {
            return self.vectorize(
                #[inline(always)]
                || conv::finish_narrow(sums, to, first, out),
            );
        }
        // SAFETY: `self` says that the features are here.
        unsafe {
            match to.out {
                Dtype::I8 => finish::finish::<true>(sums, to, first, out),
                _ => finish::finish::<false>(sums, to, first, out),
            }
        }
    }

    #[inline]
    fn finish_wide(self, high: &[[i32; LANES]], low: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
        if to.lanes < LANES / 2 || !matches!((to.add, to.out), (Add::None, Dtype::I8 | Dtype::I16)) {
            return self.vectorize(
                #[inline(always)]
                || conv::finish_wide(high, low, to, first, out),
            );
        }
        // SAFETY: `self` says that the features are here.
        unsafe { finish::finish_wide(high, low, to, first, out) }
    }

    #[inline]
    fn finish_column(self, sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) -> bool {
        let here = matches!(to.add, Add::None) && to.out == Dtype::Q24 && to.lanes < LANES / 2;
        if here {
            // SAFETY: `self` says that the features are here.
            unsafe { finish::finish_column(sums, to, first, out) }
        }
        here
    }
}

impl NormLoops for Avx512 {
    #[inline]
    fn moments<Q: Stored>(self, chunks: &[[Q; LANES]], period: usize) -> ([i32; LANES], [i64; LANES]) {
        // SAFETY: `self` says that the features are here.
        unsafe { norm::moments(chunks, period) }
    }

    #[inline]
    fn quad_moments(self, chunks: &[[i8; 4 * LANES]], period: usize) -> Option<([i32; LANES], [i32; LANES])> {
        // SAFETY: `self` says that the features are here.
        Some(unsafe { norm::quad_moments(chunks, period) })
    }

    #[inline]
    fn normalize<Q: Stored>(self, input: &[Q], to: &Normalize<'_>, out: &mut [u8]) {
        if !to.exact {
            return self.vectorize(
                #[inline(always)]
                || normalize(input, to, out),
            );
        }
        // SAFETY: `self` says that the features are here.
        unsafe {
            match (to.silu, to.out) {
                (true, Dtype::I8) => norm::normalized::<Q, true, true>(input, to, out),
                (true, _) => norm::normalized::<Q, true, false>(input, to, out),
                (false, Dtype::I8) => norm::normalized::<Q, false, true>(input, to, out),
                (false, _) => norm::normalized::<Q, false, false>(input, to, out),
            }
        }
    }
}

impl AttentionLoops for Avx512 {
    #[inline]
    fn few(self, queries: &[Line], keys: Windows<'_>, score: &Score, to: &mut [[i32; LANES]]) -> Option<[i32; LANES]> {
        // SAFETY: `self` says that the features are here.
        unsafe {
            Some(match queries.len() {
                1 => attention::few::<1>(queries, keys, score, to),
                2 => attention::few::<2>(queries, keys, score, to),
                3 => attention::few::<3>(queries, keys, score, to),
                4 => attention::few::<4>(queries, keys, score, to),
                5 => attention::few::<5>(queries, keys, score, to),
                6 => attention::few::<6>(queries, keys, score, to),
                7 => attention::few::<7>(queries, keys, score, to),
                8 => attention::few::<8>(queries, keys, score, to),
                _ => return None,
            })
        }
    }

    #[inline]
    fn scores(self, dots: &mut [[i32; LANES]], low: &[[i32; LANES]], factor: WideRequant) -> [i32; LANES] {
        // SAFETY: `self` says that the features are here.
        unsafe { attention::scores(dots, low, factor) }
    }

    #[inline]
    fn powers(self, scores: &mut [[i32; LANES]], tops: &[i32; LANES]) -> [i32; LANES] {
        // SAFETY: `self` says that the features are here.
        unsafe { attention::powers(scores, tops) }
    }

    #[inline]
    fn shares(self, powers: &[[i32; LANES]], reciprocals: &[u32; LANES], to: &mut [Line]) {
        // SAFETY: `self` says that the features are here.
        unsafe { attention::shares(powers, reciprocals, to) }
    }
}

impl FloatLoops for Avx512 {
    #[inline]
    fn add_products<const P: usize, const B: usize>(
        self,
        tile: &FloatTile<'_>,
        at: &[u32; P],
        sums: &mut [[Lanes; P]; B],
    ) {
        tile.check_reads(at, B);
        // SAFETY: `self` says that the features are here; `check_reads` that every read is within the slices.
        unsafe { floats::add_products(tile, at, sums) }
    }
}
