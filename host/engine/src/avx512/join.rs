//! A part of a concatenation brought to the common scale.
#![allow(unsafe_code)]

use super::lanes::*;
use crate::family::LANES;
use crate::source::Columns;
use crate::split::Split;
use core::arch::x86_64::*;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn join(from: &[i8], factor: &Split, to: &mut [i16], columns: Columns) {
    let split = SplitLanes::all(factor);
    let shift = _mm_cvtsi32_si128(factor.shift as i32);
    let rows = from.chunks_exact(columns.own).zip(to.chunks_exact_mut(columns.all));
    for (from, to) in rows {
        let to = &mut to[columns.first..columns.first + columns.own];
        for (from, to) in from.chunks(LANES).zip(to.chunks_mut(LANES)) {
            let v = _mm512_sra_epi32(split.apply(load_stored(from)), shift);
            store::<false>(v, to.len(), bytemuck::cast_slice_mut(to));
        }
    }
}
