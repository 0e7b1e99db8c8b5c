//! The contract's SiLU.
#![allow(unsafe_code)]

use super::lanes::*;
use core::arch::x86_64::*;
use mote_runtime::numeric::table::{SIGMOID_END, SIGMOID_INTERVALS_PER_UNIT, SIGMOID_Q17};

/// End of the sigmoid's table, Q16.
const END: i32 = (SIGMOID_END as i32) << 16;
/// log2 of an interval's width in Q16.
const WITHIN: u32 = 16 - SIGMOID_INTERVALS_PER_UNIT.ilog2();
/// Intervals on either side of 0.
const INTERVALS: usize = SIGMOID_Q17.len() - 1;

/// The sigmoid in Q28 over both signs: of each interval its left end, a multiple of 2^11, and in the low 11 bits what it rises by in
/// Q17. Interpolation is exact, so that the mirrored half may be read from left to right. What is beyond the upper end has an entry of its own.
static SIGMOID: [i32; 2 * INTERVALS + 1] = sigmoid();

const fn sigmoid() -> [i32; 2 * INTERVALS + 1] {
    let mut entries = [0; 2 * INTERVALS + 1];
    let mut i = 0;
    while i < INTERVALS {
        let (near, far) = (SIGMOID_Q17[i] as i32, SIGMOID_Q17[i + 1] as i32);
        assert!(far - near < 1 << WITHIN);
        entries[INTERVALS + i] = ((1 << 27) + (near << WITHIN)) | (far - near);
        entries[INTERVALS - 1 - i] = ((1 << 27) - (far << WITHIN)) | (far - near);
        i += 1;
    }
    entries[2 * INTERVALS] = 1 << 28;
    entries
}

/// `silu_q16` of even and of odd lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
pub(super) fn silu(y: __m512i) -> [__m512i; 2] {
    let fraction = _mm512_set1_epi32((1 << WITHIN) - 1);
    let near = _mm512_min_epi32(y, _mm512_set1_epi32(END));
    // From the lower end down, that end included, the sigmoid is 0.
    let inside = _mm512_cmpgt_epi32_mask(y, _mm512_set1_epi32(-END));
    let index = _mm512_srai_epi32::<WITHIN>(near);
    let zero = _mm512_setzero_si512();
    // SAFETY: where it is read, an index is from -INTERVALS to INTERVALS, which are the table's first and last.
    let entry =
        unsafe { _mm512_mask_i32gather_epi32::<4>(zero, inside, index, SIGMOID.as_ptr().add(INTERVALS).cast()) };
    // Both factors are below 2^15, so that a product of 16-bit pairs is theirs.
    let (rise, within) = (_mm512_and_si512(entry, fraction), _mm512_and_si512(near, fraction));
    let sigmoid = halves(_mm512_dpwssd_epi32(_mm512_andnot_si512(fraction, entry), rise, within));
    let y = halves(y);
    both!(|i| {
        let product = _mm512_mul_epi32(y[i], sigmoid[i]);
        _mm512_srai_epi64::<28>(_mm512_add_epi64(product, _mm512_set1_epi64(1 << 27)))
    })
}
