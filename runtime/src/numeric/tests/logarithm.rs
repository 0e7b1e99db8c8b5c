//! The logarithm of 64-bit arguments, and the log-SNR, against `f64`.

use super::{any_magnitude, std::println};
use crate::numeric::log::{lambda_q57, neg_ln_u64_q57};
use crate::numeric::normal::neg_ln_q57;

const ONE_Q57: f64 = (1u64 << 57) as f64;

#[test]
fn error() {
    let mut worst = 0f64;
    for v in any_magnitude(300_000).chain((0..64).flat_map(|k| [1 << k, (1 << k) + 1, u64::MAX - (1 << k)])) {
        // Next to 1 the distance from it is what is exact in f64.
        let exact = if v >> 63 == 1 {
            -libm::log1p(-(v.wrapping_neg() as f64 / 2f64.powi(64)))
        } else {
            64.0 * core::f64::consts::LN_2 - libm::log(v.max(1) as f64)
        };
        worst = worst.max((neg_ln_u64_q57(v) as f64 / ONE_Q57 - exact).abs());
    }
    println!("neg_ln_u64_q57 {worst}");
    assert!(worst <= 3e-11);
}

#[test]
fn lambda_error() {
    let mut worst = 0f64;
    for ab in any_magnitude(300_000).map(|v| v % ((1 << 62) - 1) + 1) {
        let (signal, noise) = (ab as f64, ((1u64 << 62) - ab) as f64);
        let exact = 0.5 * (libm::log(signal) - libm::log(noise));
        worst = worst.max((lambda_q57(ab) as f64 / ONE_Q57 - exact).abs());
    }
    println!("lambda_q57 {worst}");
    assert!(worst <= 3e-11);
}

#[test]
fn it_is_the_noises_where_both_are_defined_and_ends_are_finite() {
    for word in any_magnitude(1000).map(|v| v as u32).chain([0, u32::MAX]) {
        assert_eq!(neg_ln_u64_q57((2 * u64::from(word) + 1) << 31), neg_ln_q57(word));
    }
    assert_eq!(neg_ln_u64_q57(0), neg_ln_u64_q57(1));
    assert_eq!(lambda_q57(1 << 61), 0);
    assert_eq!(lambda_q57(u64::MAX), lambda_q57(1 << 62));
    // Floored, so that negating a level may cost a unit.
    assert!((lambda_q57(0) + lambda_q57(1 << 62)).abs() <= 1);
    assert_eq!(lambda_q57(1 << 62) >> 57, 21);
}
