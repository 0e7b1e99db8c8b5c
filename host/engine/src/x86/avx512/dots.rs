//! Dot products of windows with blocks of output channels.
#![allow(unsafe_code)]

use crate::family::{LANES, Line};
use crate::ops::conv::Tile;
use core::arch::asm;
use core::arch::x86_64::*;

/// Lines of weights that are asked for ahead of time.
const AHEAD: usize = 96;

/// # Safety
/// `rows` rows of `quads` groups of four bytes lie in the window from each of `at` on; `weights` holds `B` blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn dots<const P: usize, const B: usize, const BYTES: bool>(
    tile: &Tile<'_>,
    at: &[u32; P],
    sums: &mut [[[i32; LANES]; P]; B],
) {
    // A lone block has too few sums to hide the multiplier's latency: it gets two of each.
    const SETS: usize = 2;
    let lines = tile.rows * tile.quads;
    let mut acc = [[[_mm512_setzero_si512(); SETS]; P]; B];
    let step = |acc: __m512i, x: __m512i, w: __m512i| match BYTES {
        true => _mm512_dpbusd_epi32(acc, x, w),
        false => _mm512_dpwssd_epi32(acc, x, w),
    };
    for row in 0..tile.rows {
        // SAFETY: the caller's promise.
        unsafe {
            let inputs: [*const u8; P] =
                core::array::from_fn(|p| tile.window.as_ptr().add(at[p] as usize + row * tile.row_bytes));
            let weights: [*const Line; B] =
                core::array::from_fn(|b| tile.weights.as_ptr().add(b * lines + row * tile.quads));
            let mut quad = 0;
            if B == 1 {
                while quad + SETS <= tile.quads {
                    #[allow(clippy::needless_range_loop)]
                    for set in 0..SETS {
                        let w = _mm512_load_si512(weights[0].add(quad + set).cast());
                        for p in 0..P {
                            let x = _mm512_set1_epi32(inputs[p].add(4 * (quad + set)).cast::<i32>().read_unaligned());
                            acc[0][p][set] = step(acc[0][p][set], x, w);
                        }
                    }
                    quad += SETS;
                }
            }
            while quad < tile.quads {
                let w: [__m512i; B] = core::array::from_fn(|b| _mm512_load_si512(weights[b].add(quad).cast()));
                if B > 1 {
                    // The processor itself looks ahead within a page of memory only.
                    for weights in weights {
                        _mm_prefetch::<_MM_HINT_T0>(weights.wrapping_add(quad + AHEAD).cast());
                    }
                }
                for p in 0..P {
                    let x = _mm512_set1_epi32(inputs[p].add(4 * quad).cast::<i32>().read_unaligned());
                    for b in 0..B {
                        acc[b][p][0] = step(acc[b][p][0], x, w[b]);
                    }
                }
                quad += 1;
            }
        }
    }
    for b in 0..B {
        for p in 0..P {
            let sum = if B == 1 {
                _mm512_add_epi32(acc[b][p][0], acc[b][p][1])
            } else {
                acc[b][p][0]
            };
            // SAFETY: 16 lanes go where 16 lanes are.
            unsafe { _mm512_storeu_si512(sums[b][p].as_mut_ptr().cast(), sum) };
        }
    }
}

/// The place `bytes` further. The compiler does not see the sum: it would keep one for every column, in memory, as there are not as many
/// registers.
#[inline(always)]
fn next(mut at: usize, bytes: usize) -> usize {
    // SAFETY: an addition.
    unsafe { asm!("add {0}, {1}", inout(reg) at, in(reg) bytes, options(pure, nomem, nostack)) };
    at
}

/// Columns of a kernel row that [`strip`] has.
const COLS: usize = 3;

/// Dot products of `P` neighbouring windows of a kernel three columns wide with `B` blocks: each column of the input is read once, for the
/// three positions that it belongs to.
///
/// # Safety
/// `rows` rows of `quads` groups of four bytes, three columns, lie in the window from `at` on and from each of `P - 1` further columns on;
/// `weights` holds `B` blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn strip<const P: usize, const B: usize>(
    tile: &Tile<'_>,
    at: usize,
    sums: &mut [[[i32; LANES]; P]; B],
) {
    let column = tile.quads / COLS;
    let lines = tile.rows * tile.quads;
    let mut acc = [[_mm512_setzero_si512(); P]; B];
    for row in 0..tile.rows {
        // SAFETY: the caller's promise.
        unsafe {
            let input = tile.window.as_ptr().add(at + row * tile.row_bytes);
            let weights = tile.weights.as_ptr().add(row * tile.quads);
            for quad in 0..column {
                let w: [[__m512i; COLS]; B] = core::array::from_fn(|b| {
                    core::array::from_fn(|k| _mm512_load_si512(weights.add(b * lines + k * column + quad).cast()))
                });
                let mut at = 4 * quad;
                let x = |at: usize| _mm512_set1_epi32(input.add(at).cast::<i32>().read_unaligned());
                let (mut left, mut middle) = (x(at), x(at + 4 * column));
                #[allow(clippy::needless_range_loop)]
                for p in 0..P {
                    at = next(at, 4 * column);
                    let right = x(at + 4 * column);
                    for b in 0..B {
                        acc[b][p] = _mm512_dpbusd_epi32(acc[b][p], left, w[b][0]);
                        acc[b][p] = _mm512_dpbusd_epi32(acc[b][p], middle, w[b][1]);
                        acc[b][p] = _mm512_dpbusd_epi32(acc[b][p], right, w[b][2]);
                    }
                    (left, middle) = (middle, right);
                }
            }
        }
    }
    for b in 0..B {
        for p in 0..P {
            // SAFETY: 16 lanes go where 16 lanes are.
            unsafe { _mm512_storeu_si512(sums[b][p].as_mut_ptr().cast(), acc[b][p]) };
        }
    }
}
