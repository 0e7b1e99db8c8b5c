//! SiLU and the negative power of two.

use super::tables::TABLES;

/// `x * sigmoid(x)`, Q16 to Q16.
pub fn silu_q16(x: i64) -> i64 {
    let distance_q28 = distance_q28(x.abs());
    let sigmoid_q28 = (1 << 27) + if x < 0 { -distance_q28 } else { distance_q28 };
    (x * sigmoid_q28 + (1 << 27)) >> 28
}

/// `sigmoid(x) - 1/2` for x >= 0 in Q16.
fn distance_q28(x: i64) -> i64 {
    if x >= 12 * 65_536 {
        return 1 << 27;
    }
    let (i, within) = ((x / 2048) as usize, x % 2048);
    let (left, right) = (TABLES.sigmoid_q17[i], TABLES.sigmoid_q17[i + 1]);
    left * 2048 + (right - left) * within
}

/// `2^-x`, Q16 to Q16.
pub fn exp2_neg_q16(x: i64) -> i64 {
    let (whole, fraction) = (x / 65_536, x % 65_536);
    if whole > 17 {
        return 0;
    }
    let (i, within) = ((fraction / 512) as usize, fraction % 512);
    let (left, right) = (TABLES.exp2_neg_q30[i], TABLES.exp2_neg_q30[i + 1]);
    let value_q30 = left - (left - right) * within / 512;
    let unit = 1 << (14 + whole);
    (value_q30 + unit / 2) / unit
}
