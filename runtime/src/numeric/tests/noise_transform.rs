//! The integer Box-Muller transform against the exact one.

use super::{std::println, words};
use crate::numeric::normal::{box_muller_q24, fill_normal_q24, neg_ln_q57, normal_q24};

fn edge_words() -> impl Iterator<Item = u32> {
    let powers = (0..32).flat_map(|k| [(1u32 << k) - 1, 1 << k, (1 << k) + 1, u32::MAX - (1 << k)]);
    let intervals = (0..64u32).flat_map(|i| [(i << 26).wrapping_sub(1), i << 26]);
    powers.chain(intervals).chain([u32::MAX])
}

fn exact_neg_ln(word: u32) -> f64 {
    // 1 - u is exact in f64, so ln_1p keeps the relative precision next to u = 1.
    let below_one = (2f64.powi(32) - (f64::from(word) + 0.5)) / 2f64.powi(32);
    -libm::log1p(-below_one)
}

#[test]
fn logarithm_error() {
    let mut worst = 0f64;
    for word in edge_words().chain(words(200_000).map(|w| w[0])) {
        let value = neg_ln_q57(word) as f64 / 2f64.powi(57);
        worst = worst.max((value - exact_neg_ln(word)).abs());
    }
    println!("neg_ln_q57 {worst}");
    assert!(worst <= 3e-11);
}

#[test]
fn transform_error() {
    let mut worst = 0f64;
    let pairs = words(500_000).map(|w| (w[0], w[1]));
    let edges = edge_words().flat_map(|a| edge_words().map(move |b| (a, b)));
    for (radius_word, angle_word) in edges.chain(pairs) {
        let (cosine, sine) = box_muller_q24(radius_word, angle_word);
        let r = (2.0 * exact_neg_ln(radius_word)).sqrt();
        let (exact_sine, exact_cosine) = (core::f64::consts::TAU * f64::from(angle_word) / 2f64.powi(32)).sin_cos();
        worst = worst.max((f64::from(cosine) / 2f64.powi(24) - r * exact_cosine).abs());
        worst = worst.max((f64::from(sine) / 2f64.powi(24) - r * exact_sine).abs());
    }
    println!("normal_q24 {worst}, {} units of Q24", worst * 2f64.powi(24));
    assert!(worst <= 1e-7);
}

#[test]
fn tails_reach_past_six_sigma() {
    let (largest, zero) = box_muller_q24(0, 0);
    assert_eq!((f64::from(largest) / 2f64.powi(24) * 100.0) as i32, 676);
    assert_eq!(zero, 0);
    assert_eq!(box_muller_q24(0, 1 << 31).0, -largest);
}

#[test]
fn filling_gives_the_same_values() {
    let mut out = [0; 1003];
    fill_normal_q24(0xFEED_FACE_0123_4567, 9, &mut out);
    for (index, &value) in (0..).zip(&out) {
        assert_eq!(value, normal_q24(0xFEED_FACE_0123_4567, 9, index));
    }
    assert_ne!(normal_q24(1, 0, 0), normal_q24(1 << 32, 0, 0));
    assert_ne!(normal_q24(0, 0, 4), normal_q24(0, 1, 0));
}
