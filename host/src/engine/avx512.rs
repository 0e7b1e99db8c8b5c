//! Inner loops in AVX-512 with VNNI.
#![allow(unsafe_code)]

use super::amx::Amx;
use super::attention::{GROUP, QUERIES, Rows};
use super::conv::{self, Add, Finish, Tile, finish_narrow};
use super::family::{LANES, Line, Simd};
use super::norm::{Normalize, normalize};
use core::arch::x86_64::*;
use mote_runtime::blob::tensor::Dtype;
use mote_runtime::numeric::requant::ADD_GUARD_BITS;
use mote_runtime::numeric::table::{
    EXP2_INTERVALS, EXP2_NEG_Q30, SIGMOID_END, SIGMOID_INTERVALS_PER_UNIT, SIGMOID_Q17,
};

/// AVX-512 F, BW, DQ, VL and VNNI are here, and AMX where it was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(Option<Amx>);

impl Avx512 {
    /// Asks the processor.
    #[inline]
    pub fn found() -> Option<Self> {
        let here = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        here.then_some(Self(None))
    }

    /// The same with AMX.
    #[inline]
    pub fn found_with_tiles() -> Option<Self> {
        Self::found().and(Amx::found()).map(|amx| Self(Some(amx)))
    }
}

impl Simd for Avx512 {
    #[inline]
    fn probabilities(self, rows: &Rows<'_>, keys: &[[i32; LANES]], weights: &mut [[i32; LANES]]) {
        // SAFETY: `self` says that the features are here.
        unsafe { probabilities(rows, keys, weights) }
    }

    #[inline(always)]
    fn vectorize<R>(self, work: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn compiled<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: `self` says that the features are here.
        unsafe { compiled(work) }
    }

    #[inline]
    fn dots<const P: usize, const B: usize>(self, tile: &Tile<'_>, at: &[u32; P], sums: &mut [[[i32; LANES]; P]; B]) {
        let span = (tile.rows - 1) * tile.row_bytes + tile.quads * 4;
        assert!(at.iter().all(|&at| at as usize + span <= tile.window.len()));
        assert!(tile.weights.len() >= B * tile.rows * tile.quads);
        // SAFETY: `self` says that the features are here; the asserts that every read of `dots` is within the slices.
        unsafe {
            match tile.bytes {
                true => dots::<P, B, true>(tile, at, sums),
                false => dots::<P, B, false>(tile, at, sums),
            }
        }
    }

    #[inline]
    fn tiles(self) -> Option<Amx> {
        self.0
    }

    #[inline]
    fn finish(self, sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
        if !to.exact {
            return self.vectorize(
                #[inline(always)]
                || finish_narrow(sums, to, first, out),
            );
        }
        // SAFETY: `self` says that the features are here.
        unsafe {
            match to.out {
                Dtype::I8 => finish::<true>(sums, to, first, out),
                _ => finish::<false>(sums, to, first, out),
            }
        }
    }

    #[inline]
    fn weighted(self, weights: &[i32], values: &[[i32; GROUP]]) -> [i32; GROUP] {
        // SAFETY: AVX-512 is here, and includes AVX2.
        unsafe { super::avx2::weighted(weights, values) }
    }

    #[inline]
    fn moments(self, chunks: &[[i16; LANES]], period: usize) -> ([i32; LANES], [i64; LANES]) {
        // SAFETY: `self` says that the features are here.
        unsafe { moments(chunks, period) }
    }

    #[inline]
    fn finish_wide(self, high: &[[i32; LANES]], low: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
        if to.lanes < LANES / 2 || !matches!((to.add, to.out), (Add::None, Dtype::I8 | Dtype::I16)) {
            return self.vectorize(
                #[inline(always)]
                || conv::finish_wide(high, low, to, first, out),
            );
        }
        // SAFETY: `self` says that the features are here.
        unsafe { finish_wide(high, low, to, first, out) }
    }

    #[inline]
    fn normalize(self, input: &[i16], norm: &Normalize<'_>, out: &mut [u8]) {
        if !norm.exact {
            return self.vectorize(
                #[inline(always)]
                || normalize(input, norm, out),
            );
        }
        // SAFETY: `self` says that the features are here.
        unsafe {
            match (norm.silu, norm.out) {
                (true, Dtype::I8) => normalized::<true, true>(input, norm, out),
                (true, _) => normalized::<true, false>(input, norm, out),
                (false, Dtype::I8) => normalized::<false, true>(input, norm, out),
                (false, _) => normalized::<false, false>(input, norm, out),
            }
        }
    }
}

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

/// # Safety
/// `rows` rows of `quads` groups of four bytes lie in the window from each of `at` on; `weights` holds `B` blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn dots<const P: usize, const B: usize, const BYTES: bool>(
    tile: &Tile<'_>,
    at: &[u32; P],
    sums: &mut [[[i32; LANES]; P]; B],
) {
    // A lone block has too few sums to hide the multiplier's latency: it gets two of each.
    const SETS: usize = 2;
    let lines = tile.rows * tile.quads;
    let mut acc = [[[_mm512_setzero_si512(); SETS]; P]; B];
    let step = |acc: __m512i, x: __m512i, w: __m512i| match BYTES {
        true => _mm512_dpbusd_epi32(acc, x, w),
        false => _mm512_dpwssd_epi32(acc, x, w),
    };
    for row in 0..tile.rows {
        // SAFETY: the caller's promise.
        unsafe {
            let inputs: [*const u8; P] =
                core::array::from_fn(|p| tile.window.as_ptr().add(at[p] as usize + row * tile.row_bytes));
            let weights: [*const Line; B] =
                core::array::from_fn(|b| tile.weights.as_ptr().add(b * lines + row * tile.quads));
            let mut quad = 0;
            if B == 1 {
                while quad + SETS <= tile.quads {
                    #[allow(clippy::needless_range_loop)]
                    for set in 0..SETS {
                        let w = _mm512_load_si512(weights[0].add(quad + set).cast());
                        for p in 0..P {
                            let x = _mm512_set1_epi32(inputs[p].add(4 * (quad + set)).cast::<i32>().read_unaligned());
                            acc[0][p][set] = step(acc[0][p][set], x, w);
                        }
                    }
                    quad += SETS;
                }
            }
            while quad < tile.quads {
                let w: [__m512i; B] = core::array::from_fn(|b| _mm512_load_si512(weights[b].add(quad).cast()));
                for p in 0..P {
                    let x = _mm512_set1_epi32(inputs[p].add(4 * quad).cast::<i32>().read_unaligned());
                    for b in 0..B {
                        acc[b][p][0] = step(acc[b][p][0], x, w[b]);
                    }
                }
                quad += 1;
            }
        }
    }
    for b in 0..B {
        for p in 0..P {
            let sum = if B == 1 {
                _mm512_add_epi32(acc[b][p][0], acc[b][p][1])
            } else {
                acc[b][p][0]
            };
            // SAFETY: 16 lanes go where 16 lanes are.
            unsafe { _mm512_storeu_si512(sums[b][p].as_mut_ptr().cast(), sum) };
        }
    }
}

/// Even and odd 32-bit lanes, each as the low half of a 64-bit lane.
#[target_feature(enable = "avx512f")]
#[inline]
fn halves(v: __m512i) -> [__m512i; 2] {
    [v, _mm512_srli_epi64::<32>(v)]
}

/// The low halves of even and odd lanes side by side.
#[target_feature(enable = "avx512f")]
#[inline]
fn joined([even, odd]: [__m512i; 2]) -> __m512i {
    _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64::<32>(odd))
}

/// The upper halves of even and odd lanes side by side.
#[target_feature(enable = "avx512f")]
#[inline]
fn joined_upper([even, odd]: [__m512i; 2]) -> __m512i {
    _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64::<32>(even), odd)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_halves([even, odd]: &[[i64; LANES / 2]; 2]) -> [__m512i; 2] {
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
fn load_lanes(from: &[i32; LANES]) -> __m512i {
    // SAFETY: sixteen 32-bit lanes are there.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// Writes the first `lanes` lanes, saturated to int8 or int16, to the front of `out`; zero points are in them already.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
fn store<const BYTES: bool>(v: __m512i, lanes: usize, out: &mut [u8]) {
    let mask = if lanes >= LANES { 0xFFFF } else { (1u16 << lanes) - 1 };
    let to = out[..lanes.min(LANES) * if BYTES { 1 } else { 2 }].as_mut_ptr();
    // SAFETY: the mask keeps a store within the slice that `to` begins.
    unsafe {
        match (BYTES, mask) {
            (true, 0xFFFF) => _mm_storeu_si128(to.cast(), _mm512_cvtsepi32_epi8(v)),
            (true, _) => _mm_mask_storeu_epi8(to.cast(), mask, _mm512_cvtsepi32_epi8(v)),
            (false, 0xFFFF) => _mm256_storeu_si256(to.cast(), _mm512_cvtsepi32_epi16(v)),
            (false, _) => _mm256_mask_storeu_epi16(to.cast(), mask, _mm512_cvtsepi32_epi16(v)),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn finish<const BYTES: bool>(sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    let f = to.factors;
    let (bias, mult) = (load_lanes(&f.low_bias), halves(load_lanes(&f.mult)));
    let (round, shift) = (load_halves(&f.round), load_halves(&f.shifts));
    // The zero point is added last where there is no addend, and before the common rounding where there is one.
    let zero = _mm512_set1_epi32(if matches!(to.add, Add::None) { to.zero } else { 0 });
    let guard = _mm512_set1_epi64(8 + (i64::from(to.zero) << ADD_GUARD_BITS));
    let vector = match to.add {
        Add::Vector(vector) => {
            let v = load_lanes(vector);
            [
                _mm512_add_epi64(_mm512_srai_epi64::<32>(_mm512_slli_epi64::<32>(v)), guard),
                _mm512_add_epi64(_mm512_srai_epi64::<32>(v), guard),
            ]
        }
        _ => [guard; 2],
    };
    for (position, sums) in (first..).zip(sums) {
        let at = position * to.outs + to.channel;
        let acc = halves(_mm512_add_epi32(load_lanes(sums), bias));
        let mut v = both!(|i| {
            let product = _mm512_add_epi64(_mm512_mul_epi32(acc[i], mult[i]), round[i]);
            _mm512_srav_epi64(product, shift[i])
        });
        match to.add {
            Add::None => {}
            Add::Vector(_) => v = both!(|i| _mm512_srai_epi64::<4>(_mm512_add_epi64(v[i], vector[i]))),
            Add::Tensor(data, requant) => {
                let terms: &[i16; LANES] = data[at..].first_chunk().expect("room for a block");
                // SAFETY: sixteen 16-bit lanes are there.
                let terms = unsafe { _mm256_loadu_si256(terms.as_ptr().cast()) };
                let terms = halves(_mm512_cvtepi16_epi32(terms));
                let mult = _mm512_set1_epi64(requant.mult.into());
                let round = _mm512_set1_epi64(1 << (requant.shift - 1));
                let shift = _mm512_set1_epi64(requant.shift.into());
                v = both!(|i| {
                    let term = _mm512_add_epi64(_mm512_mul_epi32(terms[i], mult), round);
                    let term = _mm512_add_epi64(_mm512_srav_epi64(term, shift), guard);
                    _mm512_srai_epi64::<4>(_mm512_add_epi64(v[i], term))
                });
            }
        }
        // Results of `exact` convolutions fit 32 bits, zero point included.
        let v = _mm512_add_epi32(joined(v), zero);
        store::<BYTES>(v, to.lanes, &mut out[at * to.out.bytes()..]);
    }
}

/// Without an addend.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn finish_wide(high: &[[i32; LANES]], low: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
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

/// End of the sigmoid's table, Q16.
const END: i32 = (SIGMOID_END as i32) << 16;
/// log2 of an interval's width in Q16.
const WITHIN: u32 = 16 - SIGMOID_INTERVALS_PER_UNIT.ilog2();
/// Intervals on either side of 0.
const INTERVALS: usize = SIGMOID_Q17.len() - 1;

/// The sigmoid in Q28 over both signs: of each interval its left end, a multiple of 2^11, and in the low 11 bits what it rises by in
/// Q17. Interpolation is exact, so that the mirrored half may be read from left to right. What is beyond an end has an entry of its own.
static SIGMOID: [i32; 2 * INTERVALS + 2] = sigmoid();

const fn sigmoid() -> [i32; 2 * INTERVALS + 2] {
    let mut entries = [0; 2 * INTERVALS + 2];
    let mut i = 0;
    while i < INTERVALS {
        let (near, far) = (SIGMOID_Q17[i] as i32, SIGMOID_Q17[i + 1] as i32);
        assert!(far - near < 1 << WITHIN);
        entries[1 + INTERVALS + i] = ((1 << 27) + (near << WITHIN)) | (far - near);
        entries[INTERVALS - i] = ((1 << 27) - (far << WITHIN)) | (far - near);
        i += 1;
    }
    entries[2 * INTERVALS + 1] = 1 << 28;
    entries
}

/// `silu_q16` of even and odd lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
fn silu(y: [__m512i; 2]) -> [__m512i; 2] {
    let fraction = _mm512_set1_epi32((1 << WITHIN) - 1);
    let near = _mm512_min_epi32(joined(y), _mm512_set1_epi32(END));
    // At the lower end itself the sigmoid is 0 already.
    let inside = _mm512_cmpgt_epi32_mask(near, _mm512_set1_epi32(-END));
    let near = _mm512_mask_mov_epi32(_mm512_set1_epi32(-END - 1), inside, near);
    let index = _mm512_srai_epi32::<WITHIN>(near);
    // SAFETY: an index is from -INTERVALS - 1 to INTERVALS, which are the table's first and last.
    let entry = unsafe { _mm512_i32gather_epi32::<4>(index, SIGMOID.as_ptr().add(INTERVALS + 1).cast()) };
    // Both factors are below 2^15, so that a product of 16-bit pairs is theirs.
    let (rise, within) = (_mm512_and_si512(entry, fraction), _mm512_and_si512(near, fraction));
    let sigmoid = halves(_mm512_dpwssd_epi32(_mm512_andnot_si512(fraction, entry), rise, within));
    both!(|i| {
        let product = _mm512_mul_epi32(y[i], sigmoid[i]);
        _mm512_srai_epi64::<28>(_mm512_add_epi64(product, _mm512_set1_epi64(1 << 27)))
    })
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn moments(chunks: &[[i16; LANES]], period: usize) -> ([i32; LANES], [i64; LANES]) {
    let mut sum = _mm512_setzero_si512();
    let mut squares = [_mm512_setzero_si512(); 2];
    for chunk in chunks.iter().step_by(period) {
        // SAFETY: sixteen 16-bit lanes are there.
        let q = _mm512_cvtepi16_epi32(unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) });
        sum = _mm512_add_epi32(sum, q);
        let q = halves(q);
        squares = both!(|i| _mm512_add_epi64(squares[i], _mm512_mul_epi32(q[i], q[i])));
    }
    let (mut sums, mut by_half) = ([0; LANES], [[0i64; LANES / 2]; 2]);
    // SAFETY: registers go where as many lanes are.
    unsafe {
        _mm512_storeu_si512(sums.as_mut_ptr().cast(), sum);
        _mm512_storeu_si512(by_half[0].as_mut_ptr().cast(), squares[0]);
        _mm512_storeu_si512(by_half[1].as_mut_ptr().cast(), squares[1]);
    }
    let mut by_lane = [0; LANES];
    for (lane, square) in by_lane.iter_mut().enumerate() {
        *square = by_half[lane % 2][lane / 2];
    }
    (sums, by_lane)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn normalized<const SILU: bool, const BYTES: bool>(input: &[i16], norm: &Normalize<'_>, out: &mut [u8]) {
    let size = norm.out.bytes();
    let mult = _mm512_set1_epi64(norm.out_requant.mult.into());
    // The zero point is added before the shift.
    let round = (1 << (norm.out_requant.shift - 1)) + (i64::from(norm.zero) << norm.out_requant.shift);
    let round = _mm512_set1_epi64(round);
    // `exact` says that the shift is at least 32: the upper halves of the products are all that is needed.
    let shift = _mm512_set1_epi32(i32::from(norm.out_requant.shift) - 32);
    let (period, count) = (norm.blocks.len(), input.len().div_ceil(LANES));
    for (block, lanes) in norm.blocks.iter().enumerate() {
        let (a, offset, shifts) = (
            halves(load_lanes(&lanes.a)),
            load_halves(&lanes.offset),
            load_halves(&lanes.shift),
        );
        for chunk in (block..count).step_by(period) {
            let at = chunk * LANES;
            let q = &input[at..input.len().min(at + LANES)];
            // SAFETY: a load is as long as `q`, or the mask keeps it within.
            let lanes = unsafe {
                match q.len() {
                    LANES => _mm256_loadu_si256(q.as_ptr().cast()),
                    len => _mm256_maskz_loadu_epi16((1 << len) - 1, q.as_ptr()),
                }
            };
            let q_q14 = halves(_mm512_slli_epi32::<14>(_mm512_cvtepi16_epi32(lanes)));
            let y = both!(|i| {
                let sum = _mm512_add_epi64(_mm512_mul_epi32(q_q14[i], a[i]), offset[i]);
                _mm512_srav_epi64(sum, shifts[i])
            });
            let y = if SILU { silu(y) } else { y };
            let v = both!(|i| _mm512_add_epi64(_mm512_mul_epi32(y[i], mult), round));
            let v = _mm512_srav_epi32(joined_upper(v), shift);
            store::<BYTES>(v, q.len(), &mut out[at * size..]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn probabilities(rows: &Rows<'_>, keys: &[[i32; LANES]], weights: &mut [[i32; LANES]]) {
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

#[target_feature(enable = "avx512f")]
#[inline]
fn store_lanes(v: __m512i, to: &mut [i32; LANES]) {
    // SAFETY: sixteen 32-bit lanes are there.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) }
}
