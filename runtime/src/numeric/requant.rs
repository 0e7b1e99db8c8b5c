//! The one rounding rule of the integer schemes: half up, once, at the end of a 64-bit product.
//!
//! `requantize(v) = (v * mult + 2^(shift-1)) >> shift` with an arithmetic (floor) shift, then saturation: the kernels of every
//! backend compute exactly this. Without the part `fast` there is one body of it for each kind of factor, and it is called.

use serde::{Deserialize, Serialize};

use super::product::product;
pub use super::small_requant::SmallRequant;
use crate::features::Feature;

/// Extra fractional bits that both terms of a fused addition carry before the common rounding.
pub const ADD_GUARD_BITS: u32 = 4;

/// A positive factor `mult * 2^-shift` applied to an int32 accumulator.
///
/// `mult` is normalized to `[2^30, 2^31)` (0 stands for the factor 0), `shift` is 1 to 62: relative error of the factor
/// at most 2^-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requant {
    /// Multiplier, `[2^30, 2^31)` or 0.
    pub mult: i32,
    /// Right shift after the product, 1 to 62.
    pub shift: u8,
}

/// Whether a multiplier is 0 or from `least` to less than twice that, a power of two, and a shift 1 to 62.
pub(crate) fn in_range(mult: i32, shift: u8, least: i32) -> bool {
    let above = mult.wrapping_sub(least) as u32;
    (mult == 0 || above < least as u32) && (1..=62).contains(&shift)
}

impl Requant {
    /// The smallest multiplier but 0.
    pub(crate) const LEAST: i32 = 1 << 30;

    /// The factor 1.
    pub const ONE: Self = Self {
        mult: 1 << 30,
        shift: 30,
    };

    /// Whether `mult` and `shift` are in their stated ranges.
    pub fn is_valid(self) -> bool {
        in_range(self.mult, self.shift, Self::LEAST)
    }

    /// `v` times the factor, rounded half up, saturated to int32.
    #[inline(always)]
    pub fn apply(self, v: i32) -> i32 {
        if !Feature::Fast.is_built() {
            return self.times(v);
        }
        if self.shift > 32 {
            return self.apply_high(v);
        }
        let product = i64::from(v) * i64::from(self.mult);
        saturate_i32((product + (1i64 << (self.shift - 1))) >> self.shift)
    }

    /// [`Requant::apply`], called: where there are few values, or where it is rare.
    #[inline(never)]
    pub fn times(self, v: i32) -> i32 {
        if self.shift > 32 {
            return self.apply_high(v);
        }
        rounded(product(v, self.mult), self.shift.into(), 0)
    }

    /// [`Requant::apply`] to a few values.
    #[inline(always)]
    pub fn apply_all<const N: usize>(self, values: &mut [i32; N]) {
        let up = 33u8.saturating_sub(self.shift) & 31;
        let reach = values.iter().fold(0, |reach, v| reach | (v ^ (v >> 31)));
        if reach >> (31 - up) == 0 && self.shift > 2 {
            // A left shift before the product keeps everything in its high word.
            let shift = (self.shift + up - 32) & 31;
            let round = 1 << (shift - 1);
            for v in values {
                *v = (high_product(*v << up, self.mult) + round) >> shift;
            }
        } else {
            values.iter_mut().for_each(|v| *v = self.times(*v));
        }
    }

    /// [`Requant::apply`] for shifts above 32, from the product's high word alone: rounding and floor never see the low one,
    /// and nothing saturates.
    #[inline(always)]
    fn apply_high(self, v: i32) -> i32 {
        let shift = (self.shift - 32) & 31;
        (high_product(v, self.mult) + (1 << (shift - 1))) >> shift
    }
}

/// The high word of a product, floored.
#[inline(always)]
pub fn high_product(a: i32, b: i32) -> i32 {
    #[cfg(not(mote_narrow_multiply))]
    return ((i64::from(a) * i64::from(b)) >> 32) as i32;
    // A core without a long multiply: four of 16 bits.
    #[cfg(mote_narrow_multiply)]
    {
        let (a_low, a_high) = ((a & 0xFFFF) as u32, a >> 16);
        let (b_low, b_high) = ((b & 0xFFFF) as u32, b >> 16);
        let middle = a_high
            .wrapping_mul(b_low as i32)
            .wrapping_add((a_low.wrapping_mul(b_low) >> 16) as i32);
        let cross = (a_low as i32).wrapping_mul(b_high) + (middle & 0xFFFF);
        a_high * b_high + (middle >> 16) + (cross >> 16)
    }
}

/// A positive factor for the int64 accumulators of 16-bit weights and of attention scores.
///
/// `mult` is normalized to `[2^21, 2^22)` (or 0) so that the product with an accumulator below 2^40, and half a unit of the
/// result added, stay below 2^63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WideRequant {
    /// Multiplier, `[2^21, 2^22)` or 0.
    pub mult: i32,
    /// Right shift after the product, 1 to 62.
    pub shift: u8,
}

impl WideRequant {
    /// The smallest multiplier but 0.
    pub(crate) const LEAST: i32 = 1 << 21;

    /// Accumulators must be smaller than this in magnitude.
    pub const ACC_LIMIT: i64 = 1 << 40;

    /// Whether `mult` and `shift` are in their stated ranges.
    pub fn is_valid(self) -> bool {
        in_range(self.mult, self.shift, Self::LEAST)
    }

    /// [`WideRequant::apply`] to `bias` and each of `dots`.
    #[inline(never)]
    pub fn times(self, bias: i64, dots: &[i64], to: &mut [i32]) {
        for (to, dot) in to.iter_mut().zip(dots) {
            *to = self.apply(bias + dot);
        }
    }

    /// `v` times the factor, rounded half up, saturated to int32. `|v| < ACC_LIMIT`.
    #[inline(always)]
    pub fn apply(self, v: i64) -> i32 {
        let product = v * i64::from(self.mult);
        if !Feature::Fast.is_built() {
            return rounded(product, self.shift.into(), 0);
        }
        if self.shift > 32 {
            let shift = (self.shift - 32) & 31;
            return ((product >> 32) as i32 + (1 << (shift - 1))) >> shift;
        }
        saturate_i32((product + (1i64 << (self.shift - 1))) >> self.shift)
    }
}

/// `v * 2^-shift`, rounded half up, plus `term`, saturated to int32. `shift` is 1 to 62, and `v + 2^(shift - 1)` below 2^63.
#[inline(never)]
pub fn rounded(v: i64, shift: u32, term: i32) -> i32 {
    if shift > 32 {
        // Rounding and floor never see the low word, and what is left of the high one does not saturate.
        let shift = (shift - 32) & 31;
        return (((v >> 32) as i32 + (1 << (shift - 1))) >> shift).saturating_add(term);
    }
    saturate_i32((((v >> ((shift - 1) & 63)) + 1) >> 1) + i64::from(term))
}

/// Clamps to the range of int32.
#[inline(always)]
pub fn saturate_i32(v: i64) -> i32 {
    let low = v as i32;
    if i64::from(low) == v {
        low
    } else {
        (v >> 63) as i32 ^ i32::MAX
    }
}

/// Clamps to the range of int16.
#[inline(always)]
pub fn saturate_i16(v: i32) -> i16 {
    v.clamp(i16::MIN as i32, i16::MAX as i32) as i16
}

/// Clamps to the range of int8.
#[inline(always)]
pub fn saturate_i8(v: i32) -> i8 {
    v.clamp(i8::MIN as i32, i8::MAX as i32) as i8
}

/// Sum of two terms that carry [`ADD_GUARD_BITS`] extra fractional bits, rounded half up to none.
#[inline(always)]
pub fn add_guarded(a: i32, b: i32) -> i32 {
    a.saturating_add(b).saturating_add(1 << (ADD_GUARD_BITS - 1)) >> ADD_GUARD_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_rounds_up_for_both_signs() {
        let half = Requant {
            mult: 1 << 30,
            shift: 31,
        };
        for (v, want) in [(1, 1), (-1, 0), (3, 2), (-3, -1), (2, 1), (-2, -1), (0, 0)] {
            assert_eq!(half.apply(v), want, "{v} / 2");
        }
    }

    #[test]
    fn extremes_saturate() {
        let up = Requant {
            mult: i32::MAX,
            shift: 1,
        };
        assert_eq!(up.apply(i32::MAX), i32::MAX);
        assert_eq!(up.apply(i32::MIN), i32::MIN);
        for shift in [1, 31, 32, 33, 34, 43, 62] {
            let wide = WideRequant {
                mult: (1 << 22) - 1,
                shift,
            };
            let v = i128::from(WideRequant::ACC_LIMIT - 1);
            let exact = (v * ((1 << 22) - 1) + (1 << (shift - 1))) >> shift;
            assert_eq!(
                i128::from(wide.apply(v as i64)),
                exact.min(i32::MAX.into()),
                "shift {shift}"
            );
            let product = (v * ((1 << 22) - 1)) as i64;
            for term in [0, 1, -1, i32::MIN, i32::MAX] {
                let sum = (exact + i128::from(term)).clamp(i32::MIN.into(), i32::MAX.into());
                assert_eq!(
                    i128::from(rounded(product, shift.into(), term)),
                    sum,
                    "shift {shift}, {term}"
                );
            }
        }
        let wide = WideRequant {
            mult: (1 << 22) - 1,
            shift: 1,
        };
        assert_eq!(wide.apply(WideRequant::ACC_LIMIT - 1), i32::MAX);
        assert_eq!(wide.apply(1 - WideRequant::ACC_LIMIT), i32::MIN);
    }

    #[test]
    fn small_values_have_a_quick_way() {
        for shift in 1..=62 {
            for mult in [0, 1 << 30, (1 << 30) + 12_345, i32::MAX] {
                let exact = Requant { mult, shift };
                for v in [-32_768, -32_767, -1_234, -255, -1, 0, 1, 2, 3, 77, 255, 30_001, 32_767] {
                    assert_eq!(SmallRequant::new(exact).apply(v), exact.apply(v), "{v} {exact:?}");
                    let product = i64::from(v) * i64::from(mult);
                    let wide = saturate_i32((product + (1i64 << (shift - 1))) >> shift);
                    assert_eq!(exact.apply(v), wide, "{v} {exact:?}");
                    for v in [v, v << 9, v << 15] {
                        let mut few = [v, 0];
                        exact.apply_all(&mut few);
                        assert_eq!(few, [exact.apply(v), exact.apply(0)], "{v} {exact:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn guarded_addition_rounds_once() {
        assert_eq!(add_guarded(8, 0), 1);
        assert_eq!(add_guarded(4, 3), 0);
        assert_eq!(add_guarded(-8, 0), 0);
        assert_eq!(add_guarded(-9, 0), -1);
        assert_eq!(add_guarded(i32::MAX, i32::MAX), i32::MAX >> 4);
    }
}
