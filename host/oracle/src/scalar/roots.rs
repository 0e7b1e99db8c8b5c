//! Square root and reciprocal square root.

use super::tables::TABLES;

/// Floor of the square root, by bisection.
pub fn isqrt(v: u128) -> u128 {
    let (mut low, mut high) = (0u128, 1 << 63);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if middle * middle <= v {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// `(mant, exp)` with `1/sqrt(v) = mant * 2^-31 * 2^-exp`; 0 counts as 1.
pub fn rsqrt(v: u64) -> (i128, i128) {
    let mut n = u128::from(v.max(1));
    let mut doublings = 0;
    while n < 1 << 62 {
        n *= 4;
        doublings += 1;
    }
    let mant = reciprocal_root_q31(n);
    if mant == 1 << 31 {
        (1 << 30, 30 - doublings)
    } else {
        (mant, 31 - doublings)
    }
}

/// `2^62 / sqrt(n)` for n in [2^62, 2^64).
fn reciprocal_root_q31(n: u128) -> i128 {
    let i = (n >> 57) as usize - 32;
    let within_q16 = (n >> 41 & 0xFFFF) as i128;
    let (left, right) = (i128::from(TABLES.rsqrt_q15[i]), i128::from(TABLES.rsqrt_q15[i + 1]));
    let y_q15 = left - (((left - right) * within_q16) >> 16);
    let square = (y_q15 * y_q15) as u128;
    // The high product drops the low 32 bits of `low * square` before it adds.
    let high_product = (n >> 32) * square + (((n & 0xFFFF_FFFF) * square) >> 32);
    let e_q42 = ((1 << 62) - high_product as i128) >> 20;
    let correction_q42 = (e_q42 >> 1) + ((3 * ((e_q42 * e_q42) >> 42)) >> 3);
    let y_q57 = (y_q15 << 42) + y_q15 * correction_q42;
    (y_q57 + (1 << 26)) >> 27
}
