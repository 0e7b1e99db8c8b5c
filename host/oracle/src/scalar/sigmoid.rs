//! SiLU and the negative power of two.

use super::tables::TABLES;

/// `x * sigmoid(x)`, Q16 to Q16.
pub fn silu_q16(x: i64) -> i64 {
    silu_scaled(x, 0)
}

/// `x * sigmoid(x)` of x in Q16 times 2^up, in the same unit; the sigmoid is that of x in Q16, in 32 bits.
pub fn silu_scaled(x: i64, up: i32) -> i64 {
    let x_q16 = match up {
        1.. => (x + (1 << (up - 1))) >> up,
        _ => (x << -up).clamp(i32::MIN.into(), i32::MAX.into()),
    };
    let distance_q28 = distance_q28(x_q16.abs());
    let sigmoid_q28 = (1 << 27) + if x_q16 < 0 { -distance_q28 } else { distance_q28 };
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
