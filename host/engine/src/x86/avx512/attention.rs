//! Scores, powers and probabilities of an attention, a lane a query.
#![allow(unsafe_code)]

use super::lanes::*;
use crate::family::{LANES, Line};
use crate::ops::attention::{Score, Windows};
use core::arch::x86_64::*;
use mote_runtime::internals::numeric::requant::WideRequant;
use mote_runtime::internals::numeric::table::{EXP2_INTERVALS, EXP2_NEG_Q30};

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn scores(dots: &mut [[i32; LANES]], low: &[[i32; LANES]], factor: WideRequant) -> [i32; LANES] {
    let mult = _mm512_set1_epi64(factor.mult.into());
    let round = _mm512_set1_epi64(1 << (factor.shift - 1));
    let shift = _mm_cvtsi32_si128(factor.shift.into());
    let (least, most) = (_mm512_set1_epi64(i32::MIN.into()), _mm512_set1_epi64(i32::MAX.into()));
    let mut tops = _mm512_set1_epi32(i32::MIN);
    let mut low = low.iter();
    for dots in dots {
        let high = halves(load_lanes(dots));
        let products = match low.next() {
            None => both!(|i| _mm512_add_epi64(_mm512_mul_epi32(high[i], mult), round)),
            Some(low) => {
                let low = halves(load_lanes(low));
                both!(|i| {
                    let high = _mm512_slli_epi64::<8>(_mm512_mul_epi32(high[i], mult));
                    _mm512_add_epi64(_mm512_add_epi64(high, _mm512_mul_epi32(low[i], mult)), round)
                })
            }
        };
        let scores = joined(both!(|i| {
            _mm512_min_epi64(_mm512_max_epi64(_mm512_sra_epi64(products[i], shift), least), most)
        }));
        tops = _mm512_max_epi32(tops, scores);
        store_lanes(scores, dots);
    }
    let mut by_lane = [0; LANES];
    store_lanes(tops, &mut by_lane);
    by_lane
}

/// Scores of heads of `2 * QUADS` channels, which stay in registers; the largest of each lane.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn few<const QUADS: usize>(
    queries: &[Line],
    keys: Windows<'_>,
    score: &Score,
    to: &mut [[i32; LANES]],
) -> [i32; LANES] {
    let mut q = [_mm512_setzero_si512(); QUADS];
    for (q, line) in q.iter_mut().zip(queries) {
        *q = load_line(line);
    }
    let mult = _mm512_set1_epi64(score.factor.mult.into());
    let round = _mm512_set1_epi64(1 << (score.factor.shift - 1));
    let shift = _mm_cvtsi32_si128(score.factor.shift.into());
    let (least, most) = (_mm512_set1_epi64(i32::MIN.into()), _mm512_set1_epi64(i32::MAX.into()));
    let mut tops = _mm512_set1_epi32(i32::MIN);
    for (key, to) in keys.data.chunks(keys.step).zip(to) {
        let pairs: &[[u8; 4]; QUADS] = key.as_chunks().0.first_chunk().expect("a key of the queries' width");
        let mut dots = _mm512_setzero_si512();
        for (&q, &pair) in q.iter().zip(pairs) {
            dots = _mm512_dpwssd_epi32(dots, q, _mm512_set1_epi32(i32::from_ne_bytes(pair)));
        }
        let dots = halves(dots);
        let scaled = both!(|i| _mm512_sra_epi64(_mm512_add_epi64(_mm512_mul_epi32(dots[i], mult), round), shift));
        let scores = match score.fits {
            true => joined(scaled),
            false => joined(both!(|i| _mm512_min_epi64(_mm512_max_epi64(scaled[i], least), most))),
        };
        tops = _mm512_max_epi32(tops, scores);
        store_lanes(scores, to);
    }
    let mut by_lane = [0; LANES];
    store_lanes(tops, &mut by_lane);
    by_lane
}

/// Registers of a table with an entry an interval.
const REGISTERS: usize = EXP2_INTERVALS / LANES;

/// Powers at the left ends of intervals, and what they fall by.
static POWERS: [[[u32; LANES]; REGISTERS]; 2] = {
    let mut tables = [[[0; LANES]; REGISTERS]; 2];
    let mut i = 0;
    while i < EXP2_INTERVALS {
        tables[0][i / LANES][i % LANES] = EXP2_NEG_Q30[i];
        tables[1][i / LANES][i % LANES] = EXP2_NEG_Q30[i] - EXP2_NEG_Q30[i + 1];
        i += 1;
    }
    tables
};

/// The entries at the low seven bits of `index`; `bits` are where its bits 5 and 6 are set.
#[target_feature(enable = "avx512f")]
#[inline]
fn look_up(table: &[__m512i; REGISTERS], index: __m512i, bits: [__mmask16; 2]) -> __m512i {
    let low = _mm512_permutex2var_epi32(table[0], index, table[1]);
    let low = _mm512_mask_mov_epi32(low, bits[0], _mm512_permutex2var_epi32(table[2], index, table[3]));
    let high = _mm512_permutex2var_epi32(table[4], index, table[5]);
    let high = _mm512_mask_mov_epi32(high, bits[0], _mm512_permutex2var_epi32(table[6], index, table[7]));
    _mm512_mask_mov_epi32(low, bits[1], high)
}

/// `exp2_neg_q16` of the distance to the top.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn powers(scores: &mut [[i32; LANES]], tops: &[i32; LANES]) -> [i32; LANES] {
    let table = |which: usize| {
        let mut registers = [_mm512_setzero_si512(); REGISTERS];
        for (register, entries) in registers.iter_mut().zip(&POWERS[which]) {
            // SAFETY: sixteen 32-bit lanes are there.
            *register = unsafe { _mm512_loadu_si512(entries.as_ptr().cast()) };
        }
        registers
    };
    let (left, fall) = (table(0), table(1));
    let (tops, mut totals) = (load_lanes(tops), _mm512_setzero_si512());
    let one = _mm512_set1_epi32(1);
    for scores in scores {
        let x = _mm512_sub_epi32(tops, load_lanes(scores));
        let index = _mm512_srli_epi32::<9>(x);
        let bits = [
            _mm512_test_epi32_mask(x, _mm512_set1_epi32(1 << 14)),
            _mm512_test_epi32_mask(x, _mm512_set1_epi32(1 << 15)),
        ];
        let within = _mm512_and_si512(x, _mm512_set1_epi32(0x1FF));
        let fall = _mm512_mullo_epi32(look_up(&fall, index, bits), within);
        let value = _mm512_sub_epi32(look_up(&left, index, bits), _mm512_srli_epi32::<9>(fall));
        // Half up: shifted by one less, then by one. Shifts of 32 and more give 0, as they shall.
        let shift = _mm512_add_epi32(_mm512_srli_epi32::<16>(x), _mm512_set1_epi32(13));
        let power = _mm512_srli_epi32::<1>(_mm512_add_epi32(_mm512_srlv_epi32(value, shift), one));
        totals = _mm512_add_epi32(totals, power);
        store_lanes(power, scores);
    }
    let mut by_lane = [0; LANES];
    store_lanes(totals, &mut by_lane);
    by_lane
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn shares(powers: &[[i32; LANES]], reciprocals: &[u32; LANES], to: &mut [Line]) {
    // At most 2^30, doubled: what is to be shifted by 31 is shifted by 32.
    let doubled = reciprocals.map(|reciprocal| (reciprocal << 1) as i32);
    let (doubled, half) = (halves(load_lanes(&doubled)), _mm512_set1_epi64(1 << 31));
    let share = |powers: &[i32; LANES]| {
        let powers = halves(load_lanes(powers));
        joined_upper(both!(|i| _mm512_add_epi64(
            _mm512_mul_epu32(powers[i], doubled[i]),
            half
        )))
    };
    let zero = _mm512_setzero_si512();
    for (pair, to) in powers.chunks(2).zip(to) {
        let first = _mm512_sub_epi32(zero, share(&pair[0]));
        let line = match pair.get(1) {
            Some(second) => {
                let second = _mm512_slli_epi32::<16>(_mm512_sub_epi32(zero, share(second)));
                _mm512_mask_blend_epi16(0xAAAA_AAAA, first, second)
            }
            None => _mm512_and_si512(first, _mm512_set1_epi32(0xFFFF)),
        };
        store_line(line, to);
    }
}
