//! The contract's tables, from their formulas.
//!
//! f64 is good for all but the logarithms, whose entries have 57 fraction bits: those are summed in 128-bit integers.

use std::f64::consts::FRAC_PI_2;
use std::sync::LazyLock;

/// Every table, built once.
pub static TABLES: LazyLock<Tables> = LazyLock::new(Tables::new);

/// The tables, by the names of `NUMERICS.md`.
#[derive(Debug)]
pub struct Tables {
    /// `sin(pi/2 * i/64)`.
    pub sine_q30: Vec<i64>,
    /// `1/y` at the middle of interval i of [0.5, 1).
    pub reciprocal_q8: Vec<i64>,
    /// Its logarithm.
    pub ln_reciprocal_q57: Vec<i64>,
    /// `ln 2`.
    pub ln_2_q57: i64,
    /// `2^(-i/128)`.
    pub exp2_neg_q30: Vec<i64>,
    /// `sigmoid(i/32) - 1/2`.
    pub sigmoid_q17: Vec<i64>,
    /// `sqrt(128 / (32 + i))`.
    pub rsqrt_q15: Vec<i64>,
}

impl Tables {
    fn new() -> Self {
        let q = |v: f64, frac: i32| (v * 2f64.powi(frac) + 0.5).floor() as i64;
        let reciprocal_q8: Vec<i64> = (0..64)
            .map(|i| {
                if i == 63 {
                    256
                } else {
                    q(256.0 / (129 + 2 * i) as f64, 8)
                }
            })
            .collect();
        Self {
            sine_q30: (0..=64)
                .map(|i| q((FRAC_PI_2 * f64::from(i) / 64.0).sin(), 30))
                .collect(),
            ln_reciprocal_q57: reciprocal_q8.iter().map(|c| ln_q57(*c as u128, 256)).collect(),
            reciprocal_q8,
            ln_2_q57: ln_q57(2, 1),
            exp2_neg_q30: (0..=128).map(|i| q((-f64::from(i) / 128.0).exp2(), 30)).collect(),
            sigmoid_q17: (0..=384)
                .map(|i| q(1.0 / (1.0 + (-f64::from(i) / 32.0).exp()) - 0.5, 17))
                .collect(),
            rsqrt_q15: (0..=96)
                .map(|i| q((128.0 / f64::from(32 + i)).sqrt(), 15).min(65_535))
                .collect(),
        }
    }
}

/// `ln(a/b)` for 1 <= a/b <= 2, as `-ln(1 - x) = x + x^2/2 + x^3/3 + ...` with `x = (a - b)/a`, in Q110.
fn ln_q57(a: u128, b: u128) -> i64 {
    let mut power = 1u128 << 110;
    let mut sum = 0;
    for n in 1.. {
        power = power * (a - b) / a;
        if power == 0 {
            break;
        }
        sum += power / n;
    }
    ((sum + (1 << 52)) >> 53) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_those_of_the_document() {
        assert_eq!(TABLES.ln_2_q57, 99_893_036_290_645_747);
        assert_eq!((TABLES.reciprocal_q8[0], TABLES.reciprocal_q8[63]), (508, 256));
        assert_eq!((TABLES.rsqrt_q15[0], TABLES.rsqrt_q15[96]), (65_535, 32_768));
        assert_eq!((TABLES.sine_q30[0], TABLES.sine_q30[64]), (0, 1 << 30));
        assert_eq!((TABLES.exp2_neg_q30[0], TABLES.exp2_neg_q30[128]), (1 << 30, 1 << 29));
    }
}
