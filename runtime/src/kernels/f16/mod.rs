//! The f16 scheme: activations and weights stored as f16, arithmetic in f32 in a stated order.
//!
//! Only `+ - * /`, comparisons, square root and conversions are used, each correctly rounded (RNE) on every core with or without
//! an FPU; nothing is contracted into a fused multiply-add. Sums run in the order that each kernel states.

pub mod attention;
pub mod conv;
pub mod group_norm;
pub mod pointwise;

use crate::numeric::float::{f16_to_f32, f32_to_f16_sat};

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
    crate::numeric::requant::saturate_i32(wide.saturating_add(128) >> 8)
}

/// Q24 to f32, round to nearest even.
#[inline(always)]
pub fn from_q24(v: i32) -> f32 {
    v as f32 * (1.0 / 16_777_216.0)
}
