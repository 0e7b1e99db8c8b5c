//! Inner loops in AVX2.
#![allow(unsafe_code)]

use crate::family::{LANES, Line, Simd};
use crate::ops::attention::AttentionLoops;
use crate::ops::conv::{ConvLoops, Tile};
use crate::ops::float::{FloatLoops, FloatTile, Lanes};
use crate::ops::group_norm::NormLoops;
use crate::source::Join;
use core::arch::x86_64::*;

/// AVX2 is here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Asks the processor.
    #[inline]
    pub fn found() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl Simd for Avx2 {
    #[inline(always)]
    fn vectorize<R>(self, work: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2")]
        fn compiled<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: `self` says that the feature is here.
        unsafe { compiled(work) }
    }
}

impl Join for Avx2 {}

impl NormLoops for Avx2 {}

impl ConvLoops for Avx2 {
    #[inline]
    fn dots<const P: usize, const B: usize>(self, tile: &Tile<'_>, at: &[u32; P], sums: &mut [[[i32; LANES]; P]; B]) {
        tile.check_reads(at, 0, B);
        assert!(!tile.bytes, "prepared for bytes, which this family does not multiply");
        let lines = tile.rows * tile.quads;
        for (b, sums) in sums.iter_mut().enumerate() {
            // Four positions by two registers of sums leave room in 16 registers; a smaller tile is as it is.
            for (at, sums) in at.chunks(4).zip(sums.chunks_mut(4)) {
                // SAFETY: `self` says that the feature is here; `check_reads` that every read is within the slices.
                unsafe {
                    match (at.first_chunk::<4>(), sums.first_chunk_mut::<4>()) {
                        (Some(at), Some(sums)) => dots(tile, &tile.weights[b * lines..], at, sums),
                        _ => {
                            for (at, sums) in at.iter().zip(sums) {
                                dots(tile, &tile.weights[b * lines..], &[*at], core::array::from_mut(sums));
                            }
                        }
                    }
                }
            }
        }
    }
}

impl AttentionLoops for Avx2 {}

impl FloatLoops for Avx2 {
    #[inline]
    fn add_products<const P: usize, const B: usize>(
        self,
        tile: &FloatTile<'_>,
        at: &[u32; P],
        sums: &mut [[Lanes; P]; B],
    ) {
        tile.check_reads(at, B);
        let lines = tile.rows * tile.taps;
        for (b, sums) in sums.iter_mut().enumerate() {
            let tile = FloatTile {
                weights: &tile.weights[b * lines..],
                ..*tile
            };
            for (at, sums) in at.chunks(4).zip(sums.chunks_mut(4)) {
                // SAFETY: `self` says that the feature is here; `check_reads` that every read is within the slices.
                unsafe {
                    match (at.first_chunk::<4>(), sums.first_chunk_mut::<4>()) {
                        (Some(at), Some(sums)) => add_products(&tile, at, sums),
                        _ => {
                            for (at, sums) in at.iter().zip(sums) {
                                add_products(&tile, &[*at], core::array::from_mut(sums));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Dot products of `P` windows with one block of output channels.
///
/// # Safety
/// `rows` rows of `quads` groups of four bytes lie in the window from each of `at` on, and as many lines in `weights`.
#[target_feature(enable = "avx2")]
unsafe fn dots<const P: usize>(tile: &Tile<'_>, weights: &[Line], at: &[u32; P], sums: &mut [[i32; LANES]; P]) {
    let mut acc = [[_mm256_setzero_si256(); 2]; P];
    for row in 0..tile.rows {
        // SAFETY: the caller's promise.
        unsafe {
            let inputs: [*const u8; P] =
                core::array::from_fn(|p| tile.window.as_ptr().add(at[p] as usize + row * tile.row_bytes));
            let weights = weights.as_ptr().add(row * tile.quads);
            for quad in 0..tile.quads {
                let line: *const __m256i = weights.add(quad).cast();
                let w = [_mm256_load_si256(line), _mm256_load_si256(line.add(1))];
                for p in 0..P {
                    let x = _mm256_set1_epi32(inputs[p].add(4 * quad).cast::<i32>().read_unaligned());
                    for half in 0..2 {
                        acc[p][half] = _mm256_add_epi32(acc[p][half], _mm256_madd_epi16(x, w[half]));
                    }
                }
            }
        }
    }
    for (acc, sums) in acc.iter().zip(sums) {
        // SAFETY: twice eight lanes go where 16 lanes are.
        unsafe {
            _mm256_storeu_si256(sums.as_mut_ptr().cast(), acc[0]);
            _mm256_storeu_si256(sums.as_mut_ptr().add(8).cast(), acc[1]);
        }
    }
}

/// Adds the products of `P` windows with one block of weights, tap by tap in order.
///
/// # Safety
/// `rows` rows of `taps` numbers lie in the window from each of `at` on, and as many lines in `weights`.
#[target_feature(enable = "avx2")]
unsafe fn add_products<const P: usize>(tile: &FloatTile<'_>, at: &[u32; P], sums: &mut [Lanes; P]) {
    // SAFETY: twice eight lanes are where 16 lanes are; the caller's promise.
    unsafe {
        let mut acc: [[__m256; 2]; P] = core::array::from_fn(|p| {
            [
                _mm256_loadu_ps(sums[p].as_ptr()),
                _mm256_loadu_ps(sums[p].as_ptr().add(8)),
            ]
        });
        for row in 0..tile.rows {
            let inputs: [*const f32; P] =
                core::array::from_fn(|p| tile.window.as_ptr().add(at[p] as usize + row * tile.row));
            let weights = tile.weights.as_ptr().add(row * tile.taps);
            for tap in 0..tile.taps {
                let line: *const f32 = weights.add(tap).cast();
                let w = [_mm256_loadu_ps(line), _mm256_loadu_ps(line.add(8))];
                for p in 0..P {
                    let x = _mm256_set1_ps(*inputs[p].add(tap));
                    for half in 0..2 {
                        acc[p][half] = _mm256_add_ps(acc[p][half], _mm256_mul_ps(x, w[half]));
                    }
                }
            }
        }
        for (acc, sums) in acc.iter().zip(sums) {
            _mm256_storeu_ps(sums.as_mut_ptr(), acc[0]);
            _mm256_storeu_ps(sums.as_mut_ptr().add(8), acc[1]);
        }
    }
}
