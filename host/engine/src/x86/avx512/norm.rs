//! Group normalization: moments, the pass over elements, and its SiLU.
#![allow(unsafe_code)]

use super::lanes::*;
use crate::family::LANES;
use crate::ops::group_norm::{Factors, Lanes, Narrow, Normalize};
use crate::source::Stored;
use core::arch::x86_64::*;
use mote_runtime::internals::numeric::table::{SIGMOID_END, SIGMOID_INTERVALS_PER_UNIT, SIGMOID_Q17};

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn moments<Q: Stored>(chunks: &[[Q; LANES]], period: usize) -> ([i32; LANES], [i64; LANES]) {
    // Two chunks at a time: a product has to wait for the one before the last only.
    let zero = _mm512_setzero_si512();
    let ([mut sum, mut other_sum], [mut first, mut second]) = ([zero; 2], [zero; 2]);
    let mut chunks = chunks.iter().step_by(period);
    if size_of::<Q>() == 1 {
        // At most 2^16 squares of at most 2^14 fit 32 bits.
        let low = _mm512_set1_epi32(0xFFFF);
        while let Some(chunk) = chunks.next() {
            let q = load_stored(chunk);
            sum = _mm512_add_epi32(sum, q);
            first = _mm512_dpwssd_epi32(first, q, _mm512_and_si512(q, low));
            let Some(chunk) = chunks.next() else { break };
            let q = load_stored(chunk);
            other_sum = _mm512_add_epi32(other_sum, q);
            second = _mm512_dpwssd_epi32(second, q, _mm512_and_si512(q, low));
        }
    } else {
        for chunk in chunks {
            let q = load_stored(chunk);
            sum = _mm512_add_epi32(sum, q);
            let q = halves(q);
            first = _mm512_add_epi64(first, _mm512_mul_epi32(q[0], q[0]));
            second = _mm512_add_epi64(second, _mm512_mul_epi32(q[1], q[1]));
        }
    }
    let squares = [first, second];
    let (mut sums, mut by_lane) = ([0; LANES], [0i64; LANES]);
    store_lanes(_mm512_add_epi32(sum, other_sum), &mut sums);
    if size_of::<Q>() == 1 {
        let mut squares_of = [0; LANES];
        store_lanes(_mm512_add_epi32(squares[0], squares[1]), &mut squares_of);
        for (to, square) in by_lane.iter_mut().zip(squares_of) {
            *to = square.into();
        }
        return (sums, by_lane);
    }
    let mut by_half = [[0i64; LANES / 2]; 2];
    // SAFETY: registers go where as many lanes are.
    unsafe {
        _mm512_storeu_si512(by_half[0].as_mut_ptr().cast(), squares[0]);
        _mm512_storeu_si512(by_half[1].as_mut_ptr().cast(), squares[1]);
    }
    for (lane, square) in by_lane.iter_mut().enumerate() {
        *square = by_half[lane % 2][lane / 2];
    }
    (sums, by_lane)
}

/// Of four neighbouring bytes a lane.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn quad_moments(chunks: &[[i8; 4 * LANES]], period: usize) -> ([i32; LANES], [i32; LANES]) {
    let (flip, ones) = (_mm512_set1_epi8(-128), _mm512_set1_epi8(1));
    // Of `q + 128`, and of `q (q + 128)`: one factor has no sign.
    let mut shifted = _mm512_setzero_si512();
    let mut products = _mm512_setzero_si512();
    for chunk in chunks.iter().step_by(period) {
        // SAFETY: a chunk has 64 bytes.
        let q = unsafe { _mm512_loadu_si512(chunk.as_ptr().cast()) };
        let up = _mm512_xor_si512(q, flip);
        shifted = _mm512_dpbusd_epi32(shifted, up, ones);
        products = _mm512_dpbusd_epi32(products, up, q);
    }
    let count = chunks.len().div_ceil(period);
    let sum = _mm512_sub_epi32(shifted, _mm512_set1_epi32(4 * 128 * count as i32));
    let (mut sums, mut squares) = ([0; LANES], [0; LANES]);
    store_lanes(sum, &mut sums);
    store_lanes(_mm512_sub_epi32(products, _mm512_slli_epi32::<7>(sum)), &mut squares);
    (sums, squares)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn normalized<Q: Stored, const SILU: bool, const BYTES: bool>(
    input: &[Q],
    norm: &Normalize<'_>,
    out: &mut [u8],
) {
    match norm.factors {
        Factors::Narrow(blocks) => {
            for (block, lanes) in blocks.iter().enumerate() {
                narrow::<Q, SILU, BYTES>(input, norm, lanes, (block, blocks.len()), out);
            }
        }
        Factors::Wide(blocks) => {
            for (block, lanes) in blocks.iter().enumerate() {
                wide::<Q, SILU, BYTES>(input, norm, lanes, (block, blocks.len()), out);
            }
        }
    }
}

/// Chunk `first` and every `period`-th after it.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
fn narrow<Q: Stored, const SILU: bool, const BYTES: bool>(
    input: &[Q],
    norm: &Normalize<'_>,
    lanes: &Narrow,
    (first, period): (usize, usize),
    out: &mut [u8],
) {
    let split = SplitLanes {
        high: load_lanes(&lanes.high),
        low: load_lanes(&lanes.low),
        base: load_lanes(&lanes.base),
        rest: load_lanes(&lanes.rest),
    };
    let output = Output::<BYTES>::of(norm);
    let normal = |q: &[Q]| split.apply(load_stored(q));
    let step = period * LANES;
    let mut at = first * LANES;
    // Two chunks at a time share what is looked up.
    while at + step + LANES <= input.len() {
        let y = both!(|i| normal(&input[at + i * step..][..LANES]));
        let y = if SILU { silu(y) } else { both!(|i| halves(y[i])) };
        output.store(y[0], LANES, at, out);
        output.store(y[1], LANES, at + step, out);
        at += 2 * step;
    }
    while at < input.len() {
        let q = &input[at..input.len().min(at + LANES)];
        let y = normal(q);
        output.store(if SILU { silu([y, y])[0] } else { halves(y) }, q.len(), at, out);
        at += step;
    }
}

/// The same with factors of any size.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
fn wide<Q: Stored, const SILU: bool, const BYTES: bool>(
    input: &[Q],
    norm: &Normalize<'_>,
    lanes: &Lanes,
    (first, period): (usize, usize),
    out: &mut [u8],
) {
    let (a, offset, shifts) = (
        halves(load_lanes(&lanes.a)),
        load_halves(&lanes.offset),
        load_halves(&lanes.shift),
    );
    let zero = _mm512_set1_epi32(norm.in_zero);
    let output = Output::<BYTES>::of(norm);
    for at in (first * LANES..input.len()).step_by(period * LANES) {
        let q = &input[at..input.len().min(at + LANES)];
        let q_q14 = halves(_mm512_slli_epi32::<14>(_mm512_sub_epi32(load_stored(q), zero)));
        let y = both!(|i| {
            let sum = _mm512_add_epi64(_mm512_mul_epi32(q_q14[i], a[i]), offset[i]);
            _mm512_srav_epi64(sum, shifts[i])
        });
        let y = if SILU { silu([joined(y); 2])[0] } else { y };
        output.store(y, q.len(), at, out);
    }
}

/// From normalized values to what is stored.
#[derive(Clone, Copy)]
struct Output<const BYTES: bool> {
    mult: __m512i,
    round: __m512i,
    shift: __m512i,
}

impl<const BYTES: bool> Output<BYTES> {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn of(norm: &Normalize<'_>) -> Self {
        let factor = norm.out_requant;
        // The zero point is added before the shift.
        let round = (1 << (factor.shift - 1)) + (i64::from(norm.zero) << factor.shift);
        Self {
            mult: _mm512_set1_epi64(factor.mult.into()),
            round: _mm512_set1_epi64(round),
            // `exact` says that the shift is at least 32: the upper halves of the products are all that is needed.
            shift: _mm512_set1_epi32(i32::from(factor.shift) - 32),
        }
    }

    /// `len` values from element `at` on, given as even and odd lanes.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[inline]
    fn store(self, y: [__m512i; 2], len: usize, at: usize, out: &mut [u8]) {
        let v = both!(|i| _mm512_add_epi64(_mm512_mul_epi32(y[i], self.mult), self.round));
        let v = _mm512_srav_epi32(joined_upper(v), self.shift);
        store::<BYTES>(v, len, &mut out[at * if BYTES { 1 } else { 2 }..]);
    }
}

/// End of the sigmoid's table, Q16.
const END: i32 = (SIGMOID_END as i32) << 16;
/// log2 of an interval's width in Q16.
const WITHIN: u32 = 16 - SIGMOID_INTERVALS_PER_UNIT.ilog2();
/// Registers of a table with a 16-bit entry an interval.
const REGISTERS: usize = (SIGMOID_Q17.len() - 1) / (2 * LANES);
const _: () = assert!(REGISTERS == 12);

/// By interval: the sigmoid's distance from 1/2 at the left end in Q17, and what it rises by.
static SIGMOID: [[[u16; 2 * LANES]; REGISTERS]; 2] = {
    let mut tables = [[[0; 2 * LANES]; REGISTERS]; 2];
    let mut i = 0;
    while i < REGISTERS * 2 * LANES {
        let (register, lane) = (i / (2 * LANES), i % (2 * LANES));
        tables[0][register][lane] = SIGMOID_Q17[i];
        tables[1][register][lane] = SIGMOID_Q17[i + 1] - SIGMOID_Q17[i];
        assert!(tables[1][register][lane] < 1 << WITHIN);
        i += 1;
    }
    tables
};

/// The entries at 16-bit indices below 64 in the pair of registers `pair`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn pair(table: &[[u16; 2 * LANES]; REGISTERS], pair: usize, index: __m512i) -> __m512i {
    // SAFETY: a register has as many bytes as its entries.
    let load = |register: &[u16; 2 * LANES]| unsafe { _mm512_loadu_si512(register.as_ptr().cast()) };
    _mm512_permutex2var_epi16(load(&table[2 * pair]), index, load(&table[2 * pair + 1]))
}

/// `silu_q16` of two registers, each as even and odd lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
fn silu(y: [__m512i; 2]) -> [[__m512i; 2]; 2] {
    let magnitude = both!(|i| _mm512_abs_epi32(y[i]));
    // Most inputs lie below 4: two registers of each table hold them, and none is beyond the end.
    let either = _mm512_or_si512(magnitude[0], magnitude[1]);
    if _mm512_cmpgt_epu32_mask(either, _mm512_set1_epi32(NEAR - 1)) == 0 {
        return silu_by::<false>(y, magnitude);
    }
    silu_by::<true>(y, magnitude)
}

/// Magnitudes whose intervals two pairs of registers hold, Q16.
const NEAR: i32 = 4 << 16;

/// The same for magnitudes of which some may be [`NEAR`] and more, or none is.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
fn silu_by<const FAR: bool>(y: [__m512i; 2], magnitude: [__m512i; 2]) -> [[__m512i; 2]; 2] {
    let inside = match FAR {
        true => both!(|i| _mm512_min_epi32(magnitude[i], _mm512_set1_epi32(END - 1))),
        false => magnitude,
    };
    // Intervals of the first register in the lower words, of the second in the upper ones.
    let index = _mm512_mask_blend_epi16(
        0xAAAA_AAAA,
        _mm512_srli_epi32::<WITHIN>(inside[0]),
        _mm512_slli_epi32::<{ 16 - WITHIN }>(inside[1]),
    );
    let bit = |bit: i16| _mm512_test_epi16_mask(index, _mm512_set1_epi16(bit));
    let bit_6 = bit(1 << 6);
    let table = |which: usize| {
        let table = &SIGMOID[which];
        _mm512_mask_mov_epi16(pair(table, 0, index), bit_6, pair(table, 1, index))
    };
    let (mut near, mut rise) = (table(0), table(1));
    if FAR {
        let (bit_7, bit_8) = (bit(1 << 7), bit(1 << 8));
        let rest = |which: usize, low: __m512i| {
            let table = &SIGMOID[which];
            let middle = _mm512_mask_mov_epi16(pair(table, 2, index), bit_6, pair(table, 3, index));
            let high = _mm512_mask_mov_epi16(pair(table, 4, index), bit_6, pair(table, 5, index));
            _mm512_mask_mov_epi16(_mm512_mask_mov_epi16(low, bit_7, middle), bit_8, high)
        };
        (near, rise) = (rest(0, near), rest(1, rise));
    }
    let fraction = _mm512_set1_epi32((1 << WITHIN) - 1);
    // Distances from 1/2 in Q28: both factors of the second term are below 2^15, one of its words is 0.
    let first = _mm512_dpwssd_epi32(
        _mm512_srli_epi32::<{ 16 - WITHIN }>(_mm512_slli_epi32::<16>(near)),
        rise,
        _mm512_and_si512(inside[0], fraction),
    );
    let second = _mm512_dpwssd_epi32(
        _mm512_andnot_si512(fraction, _mm512_srli_epi32::<{ 16 - WITHIN }>(near)),
        rise,
        _mm512_slli_epi32::<16>(_mm512_and_si512(inside[1], fraction)),
    );
    let distance = [first, second];
    let half = _mm512_set1_epi32(1 << 27);
    both!(|r| {
        // From the end on the sigmoid is 0 or 1.
        let outside = _mm512_cmpge_epi32_mask(magnitude[r], _mm512_set1_epi32(END));
        let distance = match FAR {
            true => _mm512_mask_mov_epi32(distance[r], outside, half),
            false => distance[r],
        };
        let sigmoid = _mm512_add_epi32(half, distance);
        let sigmoid = halves(_mm512_mask_sub_epi32(
            sigmoid,
            _mm512_movepi32_mask(y[r]),
            half,
            distance,
        ));
        let y = halves(y[r]);
        both!(|i| {
            let product = _mm512_mul_epi32(y[i], sigmoid[i]);
            _mm512_srai_epi64::<28>(_mm512_add_epi64(product, _mm512_set1_epi64(1 << 27)))
        })
    })
}
