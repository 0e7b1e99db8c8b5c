//! Probabilities of an attention.
#![allow(unsafe_code)]

use super::lanes::*;
use crate::family::LANES;
use crate::ops::attention::{QUERIES, Rows};
use core::arch::x86_64::*;
use mote_runtime::internals::numeric::table::{EXP2_INTERVALS, EXP2_NEG_Q30};

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn probabilities(rows: &Rows<'_>, keys: &[[i32; LANES]], weights: &mut [[i32; LANES]]) {
    let mult = _mm512_set1_epi64(rows.score.mult.into());
    let round = _mm512_set1_epi64(1 << (rows.score.shift - 1));
    let shift = _mm512_set1_epi64(rows.score.shift.into());
    let (least, most) = (_mm512_set1_epi64(i32::MIN.into()), _mm512_set1_epi64(i32::MAX.into()));
    let there = |block: usize| match rows.positions - block * LANES {
        left @ 1..LANES => (1u16 << left) - 1,
        _ => 0xFFFF,
    };
    let blocks = keys.len() / rows.depth;
    let mut tops = [i32::MIN; QUERIES];
    for ((row, weights), top) in weights.chunks_exact_mut(blocks).enumerate().zip(&mut tops) {
        let mut tops = _mm512_set1_epi32(i32::MIN);
        for (block, (keys, weights)) in keys.chunks_exact(rows.depth).zip(weights).enumerate() {
            let mut dots = [_mm512_setzero_si512(); 2];
            for (&q, keys) in rows.query(row).iter().zip(keys) {
                let (q, k) = (_mm512_set1_epi64(q.into()), halves(load_lanes(keys)));
                dots = both!(|i| _mm512_add_epi64(dots[i], _mm512_mul_epi32(q, k[i])));
            }
            let scores = both!(|i| {
                let product = _mm512_add_epi64(_mm512_mullo_epi64(dots[i], mult), round);
                _mm512_min_epi64(_mm512_max_epi64(_mm512_srav_epi64(product, shift), least), most)
            });
            let scores = joined(scores);
            tops = _mm512_mask_max_epi32(tops, there(block), tops, scores);
            store_lanes(scores, weights);
        }
        *top = _mm512_reduce_max_epi32(tops);
    }
    let mut reciprocals = [0u64; QUERIES];
    for ((weights, &top), reciprocal) in weights.chunks_exact_mut(blocks).zip(&tops).zip(&mut reciprocals) {
        let (top, mut total) = (_mm512_set1_epi32(top), _mm512_setzero_si512());
        for (block, weights) in weights.iter_mut().enumerate() {
            let powers = exp2_neg(_mm512_sub_epi32(top, load_lanes(weights)));
            let powers = _mm512_maskz_mov_epi32(there(block), powers);
            total = _mm512_add_epi32(total, powers);
            store_lanes(powers, weights);
        }
        // At most 2^15 powers of at most 2^16: 32 bits hold their sum.
        let total = _mm512_reduce_add_epi32(total) as u32;
        *reciprocal = (1 << 46) / u64::from(total.max(1));
    }
    let half = _mm512_set1_epi64(1 << 30);
    for (weights, &reciprocal) in weights.chunks_exact_mut(blocks).zip(&reciprocals) {
        let reciprocal = _mm512_set1_epi64(reciprocal as i64);
        for weights in weights {
            let powers = halves(load_lanes(weights));
            let shares = both!(|i| {
                let product = _mm512_add_epi64(_mm512_mul_epu32(powers[i], reciprocal), half);
                _mm512_srli_epi64::<31>(product)
            });
            store_lanes(joined(shares), weights);
        }
    }
}

/// `exp2_neg_q16`; shifts by 32 and more give 0, as they shall.
#[target_feature(enable = "avx512f")]
#[inline]
fn exp2_neg(x: __m512i) -> __m512i {
    let index = _mm512_and_si512(_mm512_srli_epi32::<9>(x), _mm512_set1_epi32(EXP2_INTERVALS as i32 - 1));
    let within = _mm512_and_si512(x, _mm512_set1_epi32(0x1FF));
    let table = EXP2_NEG_Q30.as_ptr();
    // SAFETY: `index` is below the number of intervals, and there is an entry more than intervals.
    let (left, right) = unsafe {
        (
            _mm512_i32gather_epi32::<4>(index, table.cast()),
            _mm512_i32gather_epi32::<4>(index, table.add(1).cast()),
        )
    };
    let fall = _mm512_mullo_epi32(_mm512_sub_epi32(left, right), within);
    let value = _mm512_sub_epi32(left, _mm512_srli_epi32::<9>(fall));
    let shift = _mm512_add_epi32(_mm512_srli_epi32::<16>(x), _mm512_set1_epi32(14));
    let one = _mm512_set1_epi32(1);
    let round = _mm512_sllv_epi32(one, _mm512_sub_epi32(shift, one));
    _mm512_srlv_epi32(_mm512_add_epi32(value, round), shift)
}
