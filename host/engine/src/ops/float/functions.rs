//! The contract's functions of f32 without branches, so that lanes can compute them. Bits are those of the runtime's.

use mote_runtime::internals::numeric::float::{EXP_MAX, EXP_MIN, LN_2_HIGH, LN_2_LOW, ROUND_TO_INTEGER, load};

/// `exp_f32`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let near = if x > EXP_MAX { EXP_MAX } else { x };
    let near = if near < EXP_MIN { EXP_MIN } else { near };
    let rounded = near * core::f32::consts::LOG2_E + ROUND_TO_INTEGER;
    let n = rounded - ROUND_TO_INTEGER;
    let whole = (rounded.to_bits() as i32).wrapping_sub(ROUND_TO_INTEGER.to_bits() as i32);
    let r = (near - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    let value = 1.0 + ((p * r) * r + r);
    // 2^128 is no f32: its half, and twice.
    let (power, twice) = if whole > 127 { (127, 2.0) } else { (whole, 1.0) };
    let value = (value * f32::from_bits((power.wrapping_add(127) as u32) << 23)) * twice;
    let value = if x > EXP_MAX { f32::INFINITY } else { value };
    let value = if x < EXP_MIN { 0.0 } else { value };
    if x.is_nan() { f32::NAN } else { value }
}

/// `silu_f32`.
#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    let e = exp(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    let value = x * (numerator / (1.0 + e));
    if x < EXP_MIN { 0.0 } else { value }
}

/// `store`: to f16, to nearest even, saturated, a NaN to 0x7E00.
#[inline(always)]
pub(super) fn store(v: f32) -> u16 {
    let sign = (v.to_bits() >> 16) as u16 & 0x8000;
    let magnitude = v.abs();
    let magnitude = if magnitude > 65_504.0 { 65_504.0 } else { magnitude };
    let bits = magnitude.to_bits();
    // Where the lowest bit of the result stands in a sum with 2^-1, f32's own rounding makes subnormals.
    let small = (magnitude + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let odd = (bits >> 13) & 1;
    let normal = bits.wrapping_sub(112 << 23).wrapping_add(0xFFF + odd) >> 13;
    let rounded = if bits < 113 << 23 { small } else { normal };
    let rounded = rounded as u16 | sign;
    if v.is_nan() { 0x7E00 } else { rounded }
}

/// Loads of f16 bits.
#[inline(always)]
pub(super) fn load_all(from: &[u16], to: &mut [f32]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = load(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mote_runtime::internals::numeric::float;

    /// Numbers of every sign, exponent and kind, dense about what matters.
    fn numbers() -> impl Iterator<Item = f32> {
        let coarse = (0..=u32::MAX / 4093).map(|i| f32::from_bits(i * 4093));
        // Ties of f16 and their neighbours.
        let halves = (0..=u16::MAX).flat_map(|bits| {
            let (at, next) = (float::load(bits), float::load(bits.wrapping_add(1)));
            let middle = (at + next) / 2.0;
            [at, middle, middle.next_up(), middle.next_down()]
        });
        let ends = [-87.3f32, 88.722_83, 0.0, -0.0]
            .into_iter()
            .flat_map(|x| [x, x.next_up(), x.next_down()]);
        coarse.chain(halves).chain(ends)
    }

    #[test]
    fn functions_without_branches_give_the_runtimes_bits() {
        let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        for x in numbers() {
            assert!(same(exp(x), float::exp_f32(x)), "exp({x:e}) is {:e}", exp(x));
            assert!(same(silu(x), float::silu_f32(x)), "silu({x:e}) is {:e}", silu(x));
            assert_eq!(i32::from(store(x)), float::store(x), "{x:e}");
        }
    }
}
