//! Real factors as the contract's multiplier and shift.

use mote_runtime::internals::numeric::requant::{Requant, WideRequant};

/// The nearest [`Requant`] to a factor. 0, and what is too small to matter, is the factor 0; what is too large is the largest.
pub fn requant(factor: f64) -> Requant {
    let (mult, shift) = normalize(factor, 31);
    Requant { mult, shift }
}

/// The nearest [`WideRequant`] to a factor.
pub fn wide_requant(factor: f64) -> WideRequant {
    let (mult, shift) = normalize(factor, 22);
    WideRequant { mult, shift }
}

/// `factor = mult * 2^-shift` with `mult` in `[2^(bits-1), 2^bits)` and shift 1 to 62.
fn normalize(factor: f64, bits: i32) -> (i32, u8) {
    if factor.is_nan() || factor <= 0.0 {
        return (0, 1);
    }
    let (fraction, exponent) = libm::frexp(factor);
    let mut mult = libm::round(libm::ldexp(fraction, bits)) as i64;
    let mut shift = bits - exponent;
    if mult == 1 << bits {
        mult >>= 1;
        shift -= 1;
    }
    match shift {
        ..1 => (((1i64 << bits) - 1) as i32, 1),
        63.. => (0, 1),
        _ => (mult as i32, shift as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_normalized_and_close() {
        for factor in [1e-9, 3.3e-5, 0.25, 0.999_999_999_9, 1.0, 1.5, 77.7, 1e6] {
            let r = requant(factor);
            assert!(r.is_valid(), "{factor}: {r:?}");
            let value = f64::from(r.mult) * libm::exp2(-f64::from(r.shift));
            assert!(
                (value / factor - 1.0).abs() <= 1.0 / (1u64 << 31) as f64,
                "{factor} became {value}"
            );
            let w = wide_requant(factor);
            assert!(w.is_valid(), "{factor}: {w:?}");
        }
        assert_eq!(requant(0.0).mult, 0);
        assert_eq!(requant(1e-12).mult, 0);
        assert_eq!(requant(f64::NAN).mult, 0);
        assert!(requant(1e300).is_valid());
    }
}
