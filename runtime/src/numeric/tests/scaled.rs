//! The software float against `f64`.

use super::{any_magnitude, std::println, words};
use crate::numeric::scaled::Scaled;

const HALF_UNIT: f64 = 1.0 / (1u64 << 32) as f64;

fn value(s: Scaled) -> f64 {
    f64::from(s.mant()) * 2f64.powi(i32::from(s.exp()))
}

fn random(count: u32) -> impl Iterator<Item = (Scaled, Scaled)> {
    words(count).map(|[a, b, shifts, _]| {
        let scaled = |mant: u32, frac| Scaled::from_q(u64::from(mant), frac);
        (scaled(a, shifts % 64), scaled(b, (shifts >> 8) % 64))
    })
}

fn relative(measured: f64, exact: f64) -> f64 {
    if measured == exact {
        0.0
    } else {
        (measured / exact - 1.0).abs()
    }
}

#[test]
fn operations_round_to_half_a_unit() {
    let mut worst = [0f64; 5];
    for (a, b) in random(300_000) {
        let (x, y) = (value(a), value(b));
        let results = [
            relative(value(a.mul(b)), x * y),
            relative(value(a.div(b)), x / y),
            relative(value(a.add(b)), x + y),
            relative(value(a.sqrt()), x.sqrt()),
            if a < b {
                0.0
            } else {
                (value(a.sub(b)) - (x - y)).abs() / x
            },
        ];
        for (w, r) in worst.iter_mut().zip(results) {
            *w = w.max(r);
        }
        assert_eq!(a.cmp(&b), x.total_cmp(&y));
        assert!(a >= b || a.sub(b).is_zero());
    }
    println!("mul, div, add, sqrt, sub: {worst:?} ({HALF_UNIT})");
    // f64's own rounding is 2^-53.
    assert!(worst.iter().all(|&w| w <= HALF_UNIT * 1.000_001));
}

#[test]
fn conversions() {
    for v in any_magnitude(100_000) {
        let s = Scaled::from_q(v, 10);
        assert!(relative(value(s), v as f64 / 1024.0) <= HALF_UNIT * 1.000_001);
        assert!((s.to_q(10) as f64 - v as f64).abs() <= v as f64 * HALF_UNIT * 1.000_001);
    }
    assert_eq!(
        (Scaled::from_ratio(1, 3).mant(), Scaled::from_ratio(1, 3).exp()),
        (0xAAAA_AAAB, -33)
    );
    assert_eq!(Scaled::from_ratio(7, 2).to_q(0), 4);
    assert_eq!((Scaled::ONE.to_q(63), Scaled::ONE.to_q(64)), (1 << 63, u64::MAX));
    assert_eq!((Scaled::MAX.to_q(0), Scaled::ZERO.to_q(63)), (u64::MAX, 0));
}

#[test]
fn edges_are_total() {
    let tiny = (0..).try_fold(Scaled::ONE, |s, _: u32| {
        let next = s.mul(Scaled::from_q(1, 15));
        if next.is_zero() { Err(s) } else { Ok(next) }
    });
    let tiny = tiny.unwrap_or_else(|s| s);
    let values = [
        Scaled::ZERO,
        Scaled::ONE,
        Scaled::MAX,
        tiny,
        Scaled::from_q(u64::MAX, 0),
        Scaled::from_q(1, 400),
    ];
    for a in values {
        let _ = a.sqrt();
        for b in values {
            for result in [a.mul(b), a.div(b), a.add(b), a.sub(b)] {
                assert!(result.is_zero() || result.mant() >= 1 << 31);
                let _ = (result.to_q(0), result.to_q(u32::MAX));
            }
        }
    }
    assert_eq!(Scaled::ONE.div(Scaled::ZERO), Scaled::MAX);
    assert_eq!(Scaled::ZERO.div(Scaled::ZERO), Scaled::ZERO);
    assert_eq!(Scaled::ONE.add(Scaled::ZERO), Scaled::ONE);
    assert_eq!(Scaled::ONE.sub(Scaled::ONE), Scaled::ZERO);
    assert_eq!(Scaled::from_q(9, 0).sqrt(), Scaled::from_q(3, 0));
    assert_eq!(tiny.mul(tiny), Scaled::ZERO);
}
