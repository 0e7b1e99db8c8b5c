//! Products of f32 in order.
#![allow(unsafe_code)]

use crate::family::LANES;
use crate::ops::float::{FloatTile, Lanes};
use core::arch::x86_64::*;

/// # Safety
/// `rows` rows of `taps` numbers lie in the window from each of `at` on; `weights` holds `B` blocks.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn add_products<const P: usize, const B: usize>(
    tile: &FloatTile<'_>,
    at: &[u32; P],
    sums: &mut [[Lanes; P]; B],
) {
    let mut acc = [[_mm512_setzero_ps(); P]; B];
    for b in 0..B {
        for p in 0..P {
            // SAFETY: 16 lanes are there.
            acc[b][p] = unsafe { _mm512_loadu_ps(sums[b][p].as_ptr()) };
        }
    }
    for row in 0..tile.rows {
        // SAFETY: the caller's promise.
        unsafe {
            let inputs: [*const f32; P] =
                core::array::from_fn(|p| tile.window.as_ptr().add(at[p] as usize + row * tile.row));
            let weights: [*const f32; B] = core::array::from_fn(|b| {
                let first = (b * tile.rows + row) * tile.taps;
                tile.weights.as_ptr().add(first).cast()
            });
            for tap in 0..tile.taps {
                let w: [__m512; B] = core::array::from_fn(|b| _mm512_loadu_ps(weights[b].add(tap * LANES)));
                for p in 0..P {
                    let x = _mm512_set1_ps(*inputs[p].add(tap));
                    for b in 0..B {
                        acc[b][p] = _mm512_add_ps(acc[b][p], _mm512_mul_ps(x, w[b]));
                    }
                }
            }
        }
    }
    for b in 0..B {
        for p in 0..P {
            // SAFETY: 16 lanes go where 16 lanes are.
            unsafe { _mm512_storeu_ps(sums[b][p].as_mut_ptr(), acc[b][p]) };
        }
    }
}
