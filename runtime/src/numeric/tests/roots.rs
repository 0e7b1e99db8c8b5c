//! Square roots: exactness, and the error of the reciprocal one.

use super::{any_magnitude, std::println};
use crate::numeric::rsqrt::{isqrt_u64, rsqrt_u64};

fn edges() -> impl Iterator<Item = u64> {
    let around_powers = (0..64).flat_map(|k| [(1u64 << k).wrapping_sub(1), 1 << k, (1 << k) + 1]);
    let around_squares = any_magnitude(20_000).flat_map(|v| {
        let square = (v & 0xFFFF_FFFF) * (v & 0xFFFF_FFFF);
        [square.wrapping_sub(1), square, square.wrapping_add(1)]
    });
    let largest_square = 0xFFFF_FFFFu64 * 0xFFFF_FFFF;
    around_powers
        .chain(around_squares)
        .chain([u64::MAX, largest_square - 1, largest_square, largest_square + 1])
}

#[test]
fn isqrt_is_exact() {
    for v in (0..100_000).chain(edges()).chain(any_magnitude(300_000)) {
        assert_eq!(u64::from(isqrt_u64(v)), v.isqrt(), "{v}");
    }
}

#[test]
fn rsqrt_error() {
    let mut worst = 0f64;
    for v in (1..100_000)
        .chain(edges())
        .chain(any_magnitude(300_000))
        .filter(|&v| v != 0)
    {
        let root = rsqrt_u64(v);
        assert!((1 << 30..1 << 31).contains(&root.mant_q31), "{v}");
        assert!((-1..=31).contains(&root.exp));
        let value = f64::from(root.mant_q31) * 2f64.powi(-31 - root.exp);
        worst = worst.max((value * (v as f64).sqrt() - 1.0).abs());
    }
    println!("rsqrt_u64 relative error 2^{}", worst.log2());
    assert!(worst <= 2f64.powi(-30));
}

#[test]
fn rsqrt_of_powers_of_four_is_exact() {
    for k in 0..32 {
        let root = rsqrt_u64(1 << (2 * k));
        assert_eq!((root.mant_q31, root.exp), (1 << 30, k - 1));
    }
    assert_eq!(rsqrt_u64(0), rsqrt_u64(1));
}
