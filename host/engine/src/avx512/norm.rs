//! Group normalization: moments, and the pass over elements.
#![allow(unsafe_code)]

use super::lanes::*;
use super::silu::silu;
use crate::family::LANES;
use crate::norm::{Factors, Lanes, Narrow, Normalize};
use crate::source::Stored;
use core::arch::x86_64::*;

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
