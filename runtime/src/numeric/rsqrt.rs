//! Reciprocal square root and square root of 64-bit integers.

use super::divide::divide_by_small;
use super::product::product;
use super::table::{RSQRT_INTERVALS, RSQRT_Q15};
use crate::features::Feature;

/// A positive number `mant_q31 * 2^-31 * 2^-exp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rsqrt {
    /// Mantissa in Q31, in `[2^30, 2^31)`: a value in `[0.5, 1)`.
    pub mant_q31: u32,
    /// Negated binary exponent, -1..=31.
    pub exp: i32,
}

/// `1/sqrt(v)`; `v = 0` is treated as 1. Relative error at most 2^-30.9 (half a unit of the mantissa and a little);
/// exact for powers of four.
///
/// `v` is shifted left by an even count to `n` in `[2^62, 2^64)`; a table of 97 points with linear interpolation gives
/// `y0` of `1/sqrt(n * 2^-64)`; one third-order step, `y0 (1 + e/2 + 3 e^2/8)` with `e = 1 - n y0^2`, completes it.
#[must_use]
pub fn rsqrt_u64(v: u64) -> Rsqrt {
    let (n, half_shift) = normalize(v.max(1));
    let mant_q31 = reciprocal_root_q31(n);
    // Of a power of four it is 2^31.
    let above = mant_q31 >> 31;
    Rsqrt {
        mant_q31: mant_q31 >> above,
        exp: 31 - (half_shift + above) as i32,
    }
}

/// `floor(sqrt(v))`, exact.
#[must_use]
pub fn isqrt_u64(v: u64) -> u32 {
    // The shorter way where that counts: few are needed.
    if cfg!(target_pointer_width = "32") {
        isqrt_by_digits(v)
    } else {
        isqrt_by_reciprocal(v)
    }
}

/// `n * (1/sqrt(n))` from [`rsqrt_u64`]'s mantissa, then at most a few corrections by exact comparison.
fn isqrt_by_reciprocal(v: u64) -> u32 {
    if v == 0 {
        return 0;
    }
    let (n, half_shift) = normalize(v);
    // sqrt(n) = n * mant / 2^62
    let root_n = high_product(n, reciprocal_root_q31(n)) >> 30;
    let mut root = root_n.min(u64::from(u32::MAX)) >> half_shift;
    while root * root > v {
        root -= 1;
    }
    while v - root * root > 2 * root {
        root += 1;
    }
    root as u32
}

/// A binary digit at a time.
#[inline(never)]
fn isqrt_by_digits(v: u64) -> u32 {
    let (mut rest, mut root, mut digit) = (v, 0, 1 << 62);
    while digit != 0 {
        let step = root + digit;
        root >>= 1;
        if rest >= step {
            rest -= step;
            root += digit;
        }
        digit >>= 2;
    }
    root as u32
}

/// `n = v << 2h` in `[2^62, 2^64)` and `h`, of `v` above 0.
#[inline]
fn normalize(v: u64) -> (u64, u32) {
    if Feature::Fast.is_built() {
        let half_shift = v.leading_zeros() / 2;
        return (v << (2 * half_shift), half_shift);
    }
    let (mut n, mut half_shift) = (v, 0);
    while n >> 62 == 0 {
        n <<= 2;
        half_shift += 1;
    }
    (n, half_shift)
}

/// `floor(n * m / 2^32)`, from two 32x32-bit products.
#[inline]
fn high_product(n: u64, m: u32) -> u64 {
    let m = u64::from(m);
    (n >> 32) * m + (((n & 0xFFFF_FFFF) * m) >> 32)
}

/// `2^62 / sqrt(n)` for `n` in `[2^62, 2^64)`, rounded: in `(2^30, 2^31]`.
#[inline(never)]
fn reciprocal_root_q31(n: u64) -> u32 {
    // a = n * 2^-64 in [1/4, 1): 7 bits of index from 32, 16 bits of interpolation.
    let point = if Feature::Fast.is_built() {
        point_from_table
    } else {
        point_by_division
    };
    let within_q16 = (n >> 41) as u32 & 0xFFFF;
    let (left, right) = (point((n >> 57) as u32), point((n >> 57) as u32 + 1));
    let y_q15 = left - (((left - right) * within_q16) >> 16);
    let e_q62 = (1i64 << 62).wrapping_sub_unsigned(high_product(n, y_q15 * y_q15));
    // |e| < 2^-11.
    let e_q42 = (e_q62 >> 20) as i32;
    let correction_q42 = (e_q42 >> 1) + ((3 * (product(e_q42, e_q42) >> 42) as i32) >> 3);
    let y_q57 = (i64::from(y_q15) << 42) + product(y_q15 as i32, correction_q42);
    ((y_q57 + (1 << 26)) >> 27) as u32
}

/// Entry `v - 32` of [`RSQRT_Q15`]: `2^15 * sqrt(128 / v)`, v = 32..=128.
#[inline(always)]
fn point_from_table(v: u32) -> u32 {
    RSQRT_Q15[(v as usize).saturating_sub(32).min(RSQRT_INTERVALS)].into()
}

/// The same from no memory.
#[inline(never)]
fn point_by_division(v: u32) -> u32 {
    let square_q30 = divide_by_small((1 << 37) - 1, v);
    isqrt_by_digits(u64::from(square_q30) << 2).div_ceil(2).min(65_535)
}

#[cfg(test)]
mod tests {
    use super::{isqrt_by_digits, isqrt_by_reciprocal, point_by_division, point_from_table};
    use crate::numeric::philox::philox4x32;

    #[test]
    fn points_are_the_table() {
        for v in 32..=128 {
            assert_eq!(point_by_division(v), point_from_table(v), "{v}");
        }
    }

    #[test]
    fn both_ways_to_a_root_are_exact() {
        let draws = (0..20_000).map(|i| {
            let [high, low, shift, _] = philox4x32([i, 0, 0, 0], [9, 10]);
            (u64::from(high) << 32 | u64::from(low)) >> (shift % 64)
        });
        let around = |v: u64| [v.saturating_sub(1), v, v.saturating_add(1)];
        let squares = draws.clone().map(|v| (v >> 32) * (v >> 32));
        for v in squares.chain(draws).chain([0, u64::MAX]).flat_map(around) {
            let root = isqrt_by_digits(v);
            assert_eq!(root, isqrt_by_reciprocal(v), "{v}");
            let root = u128::from(root);
            assert!(root * root <= v.into() && (root + 1) * (root + 1) > v.into(), "{v}");
        }
    }
}
