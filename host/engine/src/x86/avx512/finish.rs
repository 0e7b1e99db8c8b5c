//! From sums to outputs.
#![allow(unsafe_code)]

use super::lanes::*;
use crate::family::LANES;
use crate::ops::conv::{Add, Finish};
use crate::split::Split;
use core::arch::x86_64::*;
use mote_runtime::internals::numeric::requant::ADD_GUARD_BITS;
use mote_runtime::internals::tensor::Dtype;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn finish<const BYTES: bool>(sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    match to.add {
        Add::Tensor(_, _, Some(_)) => finish_with::<BYTES, TENSOR>(sums, to, first, out),
        Add::Vector(_) => finish_with::<BYTES, VECTOR>(sums, to, first, out),
        // A tensor's factor has its split where `exact` holds.
        _ => finish_with::<BYTES, NONE>(sums, to, first, out),
    }
}

/// Kinds of addends.
const NONE: u8 = 0;
const VECTOR: u8 = 1;
const TENSOR: u8 = 2;

/// The same with an addend of kind `ADD`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
fn finish_with<const BYTES: bool, const ADD: u8>(sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    let f = to.factors;
    let (bias, mult) = (load_lanes(&f.low_bias), halves(load_lanes(&f.mult)));
    let (round, shifts) = (load_halves(&f.round), load_halves(&f.shifts));
    let upper = f.upper_shift.as_ref().map(|shift| load_lanes(shift));
    // Results of `exact` convolutions and their terms stay below 2^30 and 2^29, zero points included.
    let zero = _mm512_set1_epi32(to.zero);
    let guard = _mm512_set1_epi32(8 + (to.zero << ADD_GUARD_BITS));
    let vector = match to.add {
        Add::Vector(vector) => _mm512_add_epi32(load_lanes(vector), guard),
        _ => guard,
    };
    let (data, split, shift) = match to.add {
        Add::Tensor(data, _, Some(split)) => (data, SplitLanes::all(split), split.shift),
        _ => (&[][..], SplitLanes::all(&Split::default()), 0),
    };
    let shift = _mm_cvtsi32_si128(shift as i32);
    let size = if BYTES { 1 } else { 2 };
    let end = |lanes: usize| (first + sums.len() - 1) * to.outs + to.channel + lanes;
    assert!(!sums.is_empty() && end(to.lanes.min(LANES)) * size <= out.len());
    assert!(ADD != TENSOR || end(LANES) <= data.len());
    for (position, sums) in (first..).zip(sums) {
        let at = position * to.outs + to.channel;
        let acc = halves(_mm512_add_epi32(load_lanes(sums), bias));
        let v = both!(|i| _mm512_add_epi64(_mm512_mul_epi32(acc[i], mult[i]), round[i]));
        let v = match upper {
            Some(shift) => _mm512_srav_epi32(joined_upper(v), shift),
            None => joined(both!(|i| _mm512_srav_epi64(v[i], shifts[i]))),
        };
        let v = match ADD {
            NONE => _mm512_add_epi32(v, zero),
            VECTOR => _mm512_srai_epi32::<4>(_mm512_add_epi32(v, vector)),
            _ => {
                // SAFETY: the end of the last position's block was just held to the slice.
                let terms = unsafe { _mm512_cvtepi16_epi32(_mm256_loadu_si256(data.as_ptr().add(at).cast())) };
                let term = _mm512_sra_epi32(split.apply(terms), shift);
                _mm512_srai_epi32::<4>(_mm512_add_epi32(_mm512_add_epi32(v, term), guard))
            }
        };
        // SAFETY: so was that of the last output.
        unsafe { store_at::<BYTES>(v, to.lanes, out.as_mut_ptr().add(at * size)) };
    }
}

/// Without an addend.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn finish_wide(high: &[[i32; LANES]], low: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    let f = to.factors;
    let mut biases = [[0i64; LANES / 2]; 2];
    for (lane, &bias) in f.bias.iter().enumerate() {
        biases[lane % 2][lane / 2] = bias;
    }
    let (bias, mult) = (load_halves(&biases), halves(load_lanes(&f.mult)));
    let (round, shift) = (load_halves(&f.round), load_halves(&f.shifts));
    // The zero point is added to what is saturated to 16 bits, the only range that counts.
    let (least, most) = (_mm512_set1_epi64(i16::MIN.into()), _mm512_set1_epi64(i16::MAX.into()));
    let zero = _mm512_set1_epi32(to.zero);
    let offset = both!(|i| _mm512_add_epi64(
        _mm512_mullo_epi64(bias[i], _mm512_and_si512(mult[i], _mm512_set1_epi64(0xFFFF_FFFF))),
        round[i]
    ));
    for (position, (high, low)) in (first..).zip(high.iter().zip(low)) {
        let (high, low) = (halves(load_lanes(high)), halves(load_lanes(low)));
        let v = both!(|i| {
            let high = _mm512_slli_epi64::<8>(_mm512_mul_epi32(high[i], mult[i]));
            let sum = _mm512_add_epi64(_mm512_add_epi64(high, _mm512_mul_epi32(low[i], mult[i])), offset[i]);
            _mm512_min_epi64(_mm512_max_epi64(_mm512_srav_epi64(sum, shift[i]), least), most)
        });
        let at = position * to.outs + to.channel;
        let v = _mm512_add_epi32(joined(v), zero);
        match to.out {
            Dtype::I8 => store::<true>(v, to.lanes, &mut out[at..]),
            _ => store::<false>(v, to.lanes, &mut out[2 * at..]),
        }
    }
}

/// Few channels: a lane a position, at most 16 of them. High halves lie in the lower lanes of `sums`, low halves in the upper.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn finish_column(sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    let f = to.factors;
    let (least, most) = (_mm512_set1_epi64(i32::MIN.into()), _mm512_set1_epi64(i32::MAX.into()));
    let mut lines = [[0; LANES]; LANES];
    let count = sums.len().min(LANES);
    lines[..count].copy_from_slice(&sums[..count]);
    let places = _mm512_mullo_epi32(
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        _mm512_set1_epi32(LANES as i32),
    );
    for lane in 0..to.lanes.min(LANES / 2) {
        let column = |half: usize| {
            let from = lines.as_flattened()[lane + half * LANES / 2..].as_ptr();
            // SAFETY: the places are the 16 lines' beginnings, and `from` is a lane of the first.
            halves(unsafe { _mm512_i32gather_epi32::<4>(places, from.cast()) })
        };
        let (high, low) = (column(0), column(1));
        let mult = _mm512_set1_epi64(f.mult[lane].into());
        let (bias, round) = (f.bias[lane], 1i64 << (f.shift[lane] - 1));
        let offset = _mm512_set1_epi64(bias * i64::from(f.mult[lane]) + round);
        let shift = _mm512_set1_epi64(f.shift[lane].into());
        let v = both!(|i| {
            let high = _mm512_slli_epi64::<8>(_mm512_mul_epi32(high[i], mult));
            let sum = _mm512_add_epi64(_mm512_add_epi64(high, _mm512_mul_epi32(low[i], mult)), offset);
            _mm512_min_epi64(_mm512_max_epi64(_mm512_srav_epi64(sum, shift), least), most)
        });
        let mut values = [0; LANES];
        store_lanes(joined(v), &mut values);
        for (position, value) in (first..).zip(&values[..count]) {
            let at = 4 * (position * to.outs + to.channel + lane);
            out[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }
}
