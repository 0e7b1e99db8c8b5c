//! f16 as bits, and the float scheme's functions. f32 arithmetic in the stated order; nothing fused.

use super::rounding::saturate;

/// Value of f16 bits; an exponent of all ones counts as one more power of two.
pub fn load(bits: i64) -> f32 {
    let (exponent, fraction) = (bits >> 10 & 31, (bits & 1023) as f32);
    let magnitude = if exponent == 0 {
        fraction * 2f32.powi(-24)
    } else {
        (1024.0 + fraction) * 2f32.powi(exponent as i32 - 25)
    };
    if bits & 0x8000 != 0 { -magnitude } else { magnitude }
}

/// Nearest f16, ties to even, saturated at 65504; NaN is 0x7E00. `truncate` drops the fraction instead.
pub fn store(v: f32, truncate: bool) -> i64 {
    if v.is_nan() {
        return 0x7E00;
    }
    let magnitude = f64::from(v.abs().min(65_504.0));
    // Exponent of the unit in the last place: that of the value's binade, but of the smallest normal one at least.
    let binade = (-14..=15).rev().find(|e| magnitude >= 2f64.powi(*e)).unwrap_or(-14);
    let units = magnitude / 2f64.powi(binade - 10);
    let units = if truncate {
        units.floor()
    } else {
        units.round_ties_even()
    } as i64;
    // Below 1024 units the number is subnormal; 2048 carry into the exponent by themselves.
    let bits = units + i64::from(binade + 14) * 1024;
    if v.is_sign_negative() { bits | 0x8000 } else { bits }
}

/// f32 to Q24 through 32 fraction bits, truncated.
pub fn to_q24(v: f32, truncate: bool) -> i64 {
    let scaled = f64::from(v) * 2f64.powi(32);
    let wide = if scaled.is_nan() {
        0
    } else {
        saturate(scaled.trunc() as i128, 64)
    };
    let half = if truncate { 0 } else { 128 };
    saturate(i128::from(saturate(i128::from(wide) + half, 64) >> 8), 32)
}

/// Q24 to f32.
pub fn from_q24(v: i64) -> f32 {
    v as f32 / 16_777_216.0
}

/// `e^x`.
pub fn exp(x: f32) -> f32 {
    if x.is_nan() {
        return f32::NAN;
    }
    if x > 88.72283 {
        return f32::INFINITY;
    }
    if x < -87.3 {
        return 0.0;
    }
    let shifter = 12_582_912.0f32;
    let n = (x * f32::from_bits(0x3FB8_AA3B) + shifter) - shifter;
    let r = (x - n * (355.0 / 512.0)) - n * -2.1219444e-4;
    let mut p = 1.0f32 / 5040.0;
    for divisor in [720.0f32, 120.0, 24.0, 6.0, 2.0] {
        p = p * r + 1.0 / divisor;
    }
    let v = 1.0 + ((p * r) * r + r);
    // Both factors are powers of two, and so is their product with v exact.
    (f64::from(v) * 2f64.powi(n as i32)) as f32
}

/// `x / (1 + e^-x)`.
pub fn silu(x: f32) -> f32 {
    if x.is_nan() {
        return f32::NAN;
    }
    if x < -87.3 {
        return 0.0;
    }
    let e = exp(-x.abs());
    let sigmoid = if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) };
    x * sigmoid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_survives_the_round_trip() {
        for bits in (0..0x7C00).chain(0x8000..0xFC00) {
            assert_eq!(store(load(bits), false), bits, "{bits:#x}");
        }
        assert_eq!(store(f32::INFINITY, false), 0x7BFF);
        assert_eq!(store(65_520.0, false), 0x7BFF);
        assert_eq!(store(2f32.powi(-25), false), 0);
        assert_eq!(store(3.0 * 2f32.powi(-25), false), 2);
        assert_eq!(store(2048.0 + 1.0, false), store(2048.0, false));
    }
}
