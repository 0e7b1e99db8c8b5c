//! Registers of 16 lanes: loads, stores, and the halves in which 64-bit products are made.
#![allow(unsafe_code)]

use crate::family::{LANES, Line};
use crate::source::{Columns, Stored};
use crate::split::Split;
use core::arch::x86_64::*;

/// `f` of even and of odd lanes (`map` of an array would not be compiled with the caller's instructions).
macro_rules! both {
    (|$i:ident| $of:expr) => {{
        let even = {
            let $i = 0;
            $of
        };
        let odd = {
            let $i = 1;
            $of
        };
        [even, odd]
    }};
}

pub(super) use both;

/// Even and odd 32-bit lanes, each as the low half of a 64-bit lane.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn halves(v: __m512i) -> [__m512i; 2] {
    [v, _mm512_srli_epi64::<32>(v)]
}

/// The low halves of even and odd lanes side by side.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn joined([even, odd]: [__m512i; 2]) -> __m512i {
    _mm512_mask_shuffle_epi32::<0b10_10_00_00>(even, 0xAAAA, odd)
}

/// The upper halves of even and odd lanes side by side.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn joined_upper([even, odd]: [__m512i; 2]) -> __m512i {
    _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even)
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn load_halves([even, odd]: &[[i64; LANES / 2]; 2]) -> [__m512i; 2] {
    // SAFETY: eight 64-bit lanes are there, twice.
    unsafe {
        [
            _mm512_loadu_si512(even.as_ptr().cast()),
            _mm512_loadu_si512(odd.as_ptr().cast()),
        ]
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn load_lanes(from: &[i32; LANES]) -> __m512i {
    // SAFETY: sixteen 32-bit lanes are there.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// Writes the first `lanes` lanes, saturated to int8 or int16, to the front of `out`; zero points are in them already.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
pub(super) fn store<const BYTES: bool>(v: __m512i, lanes: usize, out: &mut [u8]) {
    let to = out[..lanes.min(LANES) * if BYTES { 1 } else { 2 }].as_mut_ptr();
    // SAFETY: as many lanes are there.
    unsafe { store_at::<BYTES>(v, lanes, to) };
}

/// The same without a slice.
///
/// # Safety
/// `lanes` numbers, or 16 where there are fewer, can be written at `to`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
pub(super) unsafe fn store_at<const BYTES: bool>(v: __m512i, lanes: usize, to: *mut u8) {
    let mask = if lanes >= LANES { 0xFFFF } else { (1u16 << lanes) - 1 };
    // SAFETY: the mask keeps a store within what the caller promises.
    unsafe {
        match (BYTES, mask) {
            (true, 0xFFFF) => _mm_storeu_si128(to.cast(), _mm512_cvtsepi32_epi8(v)),
            (true, _) => _mm_mask_storeu_epi8(to.cast(), mask, _mm512_cvtsepi32_epi8(v)),
            (false, 0xFFFF) => _mm256_storeu_si256(to.cast(), _mm512_cvtsepi32_epi16(v)),
            (false, _) => _mm256_mask_storeu_epi16(to.cast(), mask, _mm512_cvtsepi32_epi16(v)),
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn store_lanes(v: __m512i, to: &mut [i32; LANES]) {
    // SAFETY: sixteen 32-bit lanes are there.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn load_line(from: &Line) -> __m512i {
    // SAFETY: a line has 64 bytes.
    unsafe { _mm512_loadu_si512(from.0.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn store_line(v: __m512i, to: &mut Line) {
    // SAFETY: a line has 64 bytes.
    unsafe { _mm512_storeu_si512(to.0.as_mut_ptr().cast(), v) }
}

/// A [`Split`] of every lane.
#[derive(Clone, Copy)]
pub(super) struct SplitLanes {
    pub high: __m512i,
    pub low: __m512i,
    pub base: __m512i,
    pub rest: __m512i,
}

impl SplitLanes {
    /// The same in all lanes.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub fn all(split: &Split) -> Self {
        Self {
            high: _mm512_set1_epi32(i32::from(split.high) & 0xFFFF),
            low: _mm512_set1_epi32(i32::from(split.low) & 0xFFFF),
            base: _mm512_set1_epi32(split.base),
            rest: _mm512_set1_epi32(split.rest),
        }
    }

    /// Before the last shift; `q` has 16 bits a lane, and its sign above.
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline]
    pub fn apply(&self, q: __m512i) -> __m512i {
        // The halves have nothing above their 16 bits, so that a product of pairs is a product.
        let low = _mm512_srai_epi32::<16>(_mm512_dpwssd_epi32(self.rest, q, self.low));
        _mm512_add_epi32(_mm512_dpwssd_epi32(self.base, q, self.high), low)
    }
}

/// Sixteen stored numbers as 32-bit lanes; 0 in those that `q` does not have.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
pub(super) fn load_stored<Q: Stored>(q: &[Q]) -> __m512i {
    let mask = if q.len() >= LANES {
        0xFFFF
    } else {
        (1u16 << q.len()) - 1
    };
    let from = q.as_ptr();
    // SAFETY: a load is as long as `q`, or the mask keeps it within; `Stored` are i8 and i16 alone.
    unsafe {
        match (size_of::<Q>(), mask) {
            (1, 0xFFFF) => _mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast())),
            (1, _) => _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, from.cast())),
            (_, 0xFFFF) => _mm512_cvtepi16_epi32(_mm256_loadu_si256(from.cast())),
            _ => _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(mask, from.cast())),
        }
    }
}

/// A part of a concatenation, brought to the common scale and put in its columns of `to`.
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
