//! Sigmoid and SiLU in fixed point.

use super::requant::saturate_i32;
use super::table::{SIGMOID_END, SIGMOID_INTERVALS_PER_UNIT};

/// log2 of an interval's width in Q16.
const INTERVAL_BITS: u32 = 16 - SIGMOID_INTERVALS_PER_UNIT.ilog2();

/// `sigmoid(x)` in Q15 (0..=32768) for `x` in Q16; total over `i32`.
///
/// `sigmoid_q15(-x) == 32768 - sigmoid_q15(x)` exactly; monotone; saturates at |x| >= 12.
/// Measured error: 0.94 units of Q15 (2.9e-5), of which 0.5 is the rounding.
#[must_use]
pub fn sigmoid_q15(x_q16: i32) -> i32 {
    let upper = ((1 << 27) + distance_from_half_q28(x_q16.unsigned_abs()) + (1 << 12)) >> 13;
    if x_q16 < 0 { 32_768 - upper } else { upper }
}

/// `silu(x) = x * sigmoid(x)` in Q16 for `x` in Q16; total over `i32`, never overflows.
///
/// The sigmoid enters with 28 fraction bits and the product is rounded once, half up.
/// Measured error: at most 2.05e-5 * max(1, |x|), of which 7.6e-6 is the rounding to Q16.
#[must_use]
#[cfg_attr(feature = "fast", inline)]
#[cfg_attr(not(feature = "fast"), inline(never))]
pub fn silu_q16(x_q16: i32) -> i32 {
    // With d the sigmoid's distance from 1/2 in Q28, `x sigmoid(x) = x / 2 + |x| d`: half of `x + floor(|x| d / 2^27)`, rounded up.
    let magnitude = x_q16.unsigned_abs();
    if magnitude >= (SIGMOID_END as u32) << 16 {
        return x_q16.max(0);
    }
    let distance_q28 = distance_from_half_q28(magnitude) as u32;
    (x_q16 + 1 + product_q27(magnitude, distance_q28) as i32) >> 1
}

/// SiLU of a value in Q16 times `2^up`, -31 to 31, in the same unit. The sigmoid is that of the value rounded to Q16.
#[must_use]
pub fn silu_scaled(x: i32, up: i32) -> i32 {
    let x_q16 = if up > 0 {
        ((i64::from(x) + (1 << (up - 1))) >> up) as i32
    } else {
        saturate_i32(i64::from(x) << -up)
    };
    let distance = distance_from_half_q28(x_q16.unsigned_abs());
    let sigmoid_q28 = (1 << 27) + if x_q16 < 0 { -distance } else { distance };
    ((i64::from(x) * i64::from(sigmoid_q28) + (1 << 27)) >> 28) as i32
}

/// `floor(a b / 2^27)` of a below 2^20 and b below 2^27.
#[inline(always)]
fn product_q27(a: u32, b: u32) -> u32 {
    if !cfg!(mote_narrow_multiply) {
        return ((u64::from(a) * u64::from(b)) >> 27) as u32;
    }
    // A core without a long multiply: the upper nine bits of a and its lower eleven, times the halves of b.
    let (high, low, b_high, b_low) = (a >> 11, a & 0x7FF, b >> 16, b & 0xFFFF);
    high * b_high + ((high * b_low + ((low * b_high) << 5) + ((low * b_low) >> 11)) >> 16)
}

/// `sigmoid(x) - 1/2` in Q28 for `x >= 0` in Q16: the table's Q17 plus the 11 bits of the interpolation, unrounded.
#[inline]
fn distance_from_half_q28(x_q16: u32) -> i32 {
    if x_q16 >= (SIGMOID_END as u32) << 16 {
        return 1 << 27;
    }
    distance_within_q28(x_q16)
}

/// The same below the end of the table.
#[cfg(not(mote_sigmoid_lines))]
#[inline]
fn distance_within_q28(x_q16: u32) -> i32 {
    let interval = if crate::features::Feature::Fast.is_built() {
        interval_from_table
    } else {
        interval_from_block
    };
    let within = (x_q16 & ((1 << INTERVAL_BITS) - 1)) as i32;
    let (left, rise) = interval((x_q16 >> INTERVAL_BITS) as usize);
    (left << INTERVAL_BITS) + rise * within
}

/// The same where a family's kernels have the same points as lines: one table of the two is enough.
#[cfg(mote_sigmoid_lines)]
#[inline]
fn distance_within_q28(x_q16: u32) -> i32 {
    let v = x_q16 as i32 - 1;
    let line = super::sigmoid_lines::SIGMOID_LINES[((v >> INTERVAL_BITS) + 512) as usize & 1023] as i32;
    line + (line & 0x7FF) * i32::from(v as i16) - (1 << 27)
}

/// The left end of an interval, and the rise over it.
#[cfg(not(mote_sigmoid_lines))]
#[inline(always)]
fn interval_from_table(index: usize) -> (i32, i32) {
    use super::table::SIGMOID_Q17;
    let left = i32::from(SIGMOID_Q17[index]);
    (left, i32::from(SIGMOID_Q17[index + 1]) - left)
}

/// The same from less memory: a block's first interval, and how the rise bends from one to the next.
#[cfg(not(mote_sigmoid_lines))]
#[inline(always)]
fn interval_from_block(index: usize) -> (i32, i32) {
    use super::table::{SIGMOID_BLOCK, SIGMOID_BLOCKS};
    let block = &SIGMOID_BLOCKS[index / SIGMOID_BLOCK];
    let (mut left, mut rise, mut bends) = (i32::from(block.left), i32::from(block.rise), block.bends);
    for _ in 0..index % SIGMOID_BLOCK {
        left += rise;
        rise += 1 - (bends & 15) as i32;
        bends >>= 4;
    }
    (left, rise)
}

#[cfg(all(test, not(mote_sigmoid_lines)))]
mod tests {
    use super::{interval_from_block, interval_from_table};
    use crate::numeric::table::SIGMOID_Q17;

    #[test]
    fn blocks_are_the_table() {
        for index in 0..SIGMOID_Q17.len() - 1 {
            assert_eq!(interval_from_block(index), interval_from_table(index), "{index}");
        }
    }
}
