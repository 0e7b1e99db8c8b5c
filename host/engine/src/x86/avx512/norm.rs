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
    let mut sum = _mm512_setzero_si512();
    let mut squares = [_mm512_setzero_si512(); 2];
    for chunk in chunks.iter().step_by(period) {
        let q = load_stored(chunk);
        sum = _mm512_add_epi32(sum, q);
        squares = match size_of::<Q>() {
            // At most 2^16 squares of at most 2^14 fit 32 bits.
            1 => {
                let low = _mm512_and_si512(q, _mm512_set1_epi32(0xFFFF));
                [_mm512_dpwssd_epi32(squares[0], q, low), squares[1]]
            }
            _ => {
                let q = halves(q);
                both!(|i| _mm512_add_epi64(squares[i], _mm512_mul_epi32(q[i], q[i])))
            }
        };
    }
    let (mut sums, mut by_lane) = ([0; LANES], [0i64; LANES]);
    store_lanes(sum, &mut sums);
    if size_of::<Q>() == 1 {
        let mut squares_of = [0; LANES];
        store_lanes(squares[0], &mut squares_of);
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
    for at in (first * LANES..input.len()).step_by(period * LANES) {
        match input[at..].first_chunk::<LANES>() {
            Some(q) => {
                let y = split.apply(load_stored(q));
                output.store(if SILU { silu(y) } else { halves(y) }, LANES, at, out);
            }
            None => {
                let q = &input[at..];
                let y = split.apply(load_stored(q));
                output.store(if SILU { silu(y) } else { halves(y) }, q.len(), at, out);
            }
        }
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
        output.store(if SILU { silu(joined(y)) } else { y }, q.len(), at, out);
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
fn silu(y: __m512i) -> [__m512i; 2] {
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
