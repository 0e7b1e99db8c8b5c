//! Inner loops in AVX-512 with VNNI.
#![allow(unsafe_code)]

mod attention;
mod dots;
mod finish;
mod lanes;
mod norm;

use super::amx::Amx;
use crate::family::{LANES, Simd};
use crate::ops::attention::{AttentionLoops, GROUP, Rows};
use crate::ops::conv::{self, Add, ConvLoops, Finish, Tile};
use crate::ops::group_norm::{NormLoops, Normalize, normalize};
use crate::source::{Columns, Join, Stored};
use crate::split::Split;
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
    fn probabilities(self, rows: &Rows<'_>, keys: &[[i32; LANES]], weights: &mut [[i32; LANES]]) {
        // SAFETY: `self` says that the features are here.
        unsafe { attention::probabilities(rows, keys, weights) }
    }

    #[inline]
    fn weighted(self, weights: &[i32], values: &[[i32; GROUP]]) -> [i32; GROUP] {
        // SAFETY: AVX-512 is here, and includes AVX2.
        unsafe { super::avx2::weighted(weights, values) }
    }
}
