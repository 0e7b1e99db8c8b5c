//! The float scheme's functions: f32 arithmetic in a stated order, storage in f16.
//!
//! Only `+ - * /`, comparisons, conversions and bit operations, each rounded to nearest even and none of them fused, so
//! the bits are the same on x86, on a Cortex-M with or without an FPU, and on CUDA with `--fmad=false`. Flushing of
//! subnormal numbers must be off, as it is by default on all of them.

use half::f16;

/// Largest finite f16.
pub const F16_MAX: f32 = 65_504.0;
/// The NaN that every function here returns for a NaN argument.
const NAN: f32 = f32::from_bits(0x7FC0_0000);

/// Above this `e^x` overflows f32: 128 ln 2, rounded down.
pub const EXP_MAX: f32 = 88.722_83;
/// Below this the result is zero: -126 ln 2 = -87.34, raised so that no result is subnormal.
pub const EXP_MIN: f32 = -87.3;
/// 1.5 * 2^23: adding and subtracting it rounds to the nearest integer, ties to even.
pub const ROUND_TO_INTEGER: f32 = 12_582_912.0;
/// 1/ln 2.
const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// The upper 9 bits of ln 2, so that its product with an integer below 2^15 is exact.
pub const LN_2_HIGH: f32 = 355.0 / 512.0;
/// ln 2 - `LN_2_HIGH`.
pub const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `e^x`. NaN gives NaN, `x > 88.72283` infinity, `x < -87.3` zero. Relative error at most 8.6e-8 (measured).
///
/// `n = round(x / ln 2)`, `r = (x - n * LN_2_HIGH) - n * LN_2_LOW`, Taylor's polynomial of degree 7 in Horner's order,
/// then a product with `2^n`.
#[must_use]
pub fn exp_f32(x: f32) -> f32 {
    if x.is_nan() {
        return NAN;
    }
    if x > EXP_MAX {
        return f32::INFINITY;
    }
    if x < EXP_MIN {
        return 0.0;
    }
    let n = (x * LOG2_E + ROUND_TO_INTEGER) - ROUND_TO_INTEGER;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    let tail = (p * r) * r + r;
    scale_by_power(1.0 + tail, n as i32)
}

/// `v * 2^n` for -126 <= n <= 128, in two exact products where 2^n alone is no f32.
fn scale_by_power(v: f32, n: i32) -> f32 {
    let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
    if n > 127 { (v * power(127)) * 2.0 } else { v * power(n) }
}

/// `1 / (1 + e^-x)`: with `e = exp_f32(-|x|)`, `1 / (1 + e)` or, for negative x, `e / (1 + e)`.
/// Relative error at most 1.8e-7 (measured). NaN gives NaN.
#[must_use]
pub fn sigmoid_f32(x: f32) -> f32 {
    if x.is_nan() {
        return NAN;
    }
    let e = exp_f32(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// `x * sigmoid_f32(x)`; zero below -87.3 (where the sigmoid is zero), so negative infinity gives zero.
/// Relative error at most 2.2e-7 above -87 (measured).
#[must_use]
pub fn silu_f32(x: f32) -> f32 {
    if x.is_nan() {
        NAN
    } else if x < EXP_MIN {
        0.0
    } else {
        x * sigmoid_f32(x)
    }
}

/// To f16, round to nearest even, saturating at +-65504: never infinite. NaN gives the f16 NaN 0x7E00.
#[must_use]
pub fn f32_to_f16_sat(x: f32) -> f16 {
    if x.is_nan() {
        return f16::from_bits(0x7E00);
    }
    f16::from_f32(x.clamp(-F16_MAX, F16_MAX))
}

/// To f32, exact for every finite value: the fields are moved into place and the exponent's bias is mended by one exact
/// product, which also normalizes subnormals. Infinities and NaNs, which no model holds, read as values above 65504.
#[must_use]
#[inline(always)]
pub fn f16_to_f32(x: f16) -> f32 {
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23); // 2^(127 - 15)
    let bits = u32::from(x.to_bits());
    let magnitude = f32::from_bits((bits & 0x7FFF) << 13) * REBIAS;
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

/// f16 bits to f32, exactly.
#[inline(always)]
pub fn load(bits: u16) -> f32 {
    f16_to_f32(half::f16::from_bits(bits))
}

/// f32 to f16 bits, round to nearest even, saturated to +-65504.
#[inline(always)]
pub fn store(v: f32) -> i32 {
    f32_to_f16_sat(v).to_bits().into()
}

/// f32 to Q24: `(v * 2^32 truncated + 128) >> 8`, saturated.
#[inline(always)]
pub fn to_q24(v: f32) -> i32 {
    let wide = (v * 4_294_967_296.0) as i64;
    super::requant::saturate_i32(wide.saturating_add(128) >> 8)
}

/// Q24 to f32, round to nearest even.
#[inline(always)]
pub fn from_q24(v: i32) -> f32 {
    v as f32 * (1.0 / 16_777_216.0)
}
