//! Sine, exp2, sigmoid and SiLU against `f64`: the errors that `NUMERICS.md` states.

use super::{std::println, words};
use crate::numeric::{
    exp2::exp2_neg_q16,
    sigmoid::{sigmoid_q15, silu_q16},
    sine::{cos_q15, sin_cos_q30, sin_q15},
};

fn turns(phase_q32: u32) -> f64 {
    f64::from(phase_q32) / 2f64.powi(32) * core::f64::consts::TAU
}

#[test]
fn sine_and_cosine_error() {
    let mut worst_q30 = 0f64;
    let mut worst_q15 = 0f64;
    let steps = (0..1u32 << 16)
        .map(|i| i << 16)
        .chain((0..1 << 12).map(|i: u32| (i << 20).wrapping_sub(1)));
    for phase in steps.chain(words(100_000).map(|w| w[0])) {
        let (sine, cosine) = sin_cos_q30(phase);
        let (exact_sine, exact_cosine) = turns(phase).sin_cos();
        worst_q30 = worst_q30.max((f64::from(sine) - exact_sine * 2f64.powi(30)).abs());
        worst_q30 = worst_q30.max((f64::from(cosine) - exact_cosine * 2f64.powi(30)).abs());
        worst_q15 = worst_q15.max((f64::from(sin_q15(phase)) - exact_sine * 32_768.0).abs());
        worst_q15 = worst_q15.max((f64::from(cos_q15(phase)) - exact_cosine * 32_768.0).abs());
        assert!((-32_768..=32_767).contains(&sin_q15(phase)));
    }
    println!("sin_cos_q30 {worst_q30} units of Q30, sin_q15 {worst_q15} units of Q15");
    assert!(worst_q30 <= 3.0);
    assert!(worst_q15 <= 1.0);
}

#[test]
fn sine_at_the_quadrants() {
    assert_eq!(sin_cos_q30(0), (0, 1 << 30));
    assert_eq!(sin_cos_q30(1 << 30), (1 << 30, 0));
    assert_eq!(sin_cos_q30(2 << 30), (0, -(1 << 30)));
    assert_eq!(sin_cos_q30(3 << 30), (-(1 << 30), 0));
    assert_eq!(
        (sin_q15(1 << 30), sin_q15(3 << 30), cos_q15(0), cos_q15(2 << 30)),
        (32_767, -32_768, 32_767, -32_768)
    );
}

#[test]
fn exp2_is_monotone_and_near() {
    let mut worst = 0f64;
    let mut before = u32::MAX;
    for x_q16 in 0..(19u32 << 16) {
        let y = exp2_neg_q16(x_q16);
        assert!(y <= before);
        before = y;
        worst = worst.max((f64::from(y) - (-f64::from(x_q16) / 65_536.0).exp2() * 65_536.0).abs());
    }
    println!("exp2_neg_q16 {worst} units of Q16");
    assert!(worst <= 0.75);
    assert_eq!(
        (exp2_neg_q16(0), exp2_neg_q16(1 << 16), exp2_neg_q16(u32::MAX)),
        (65_536, 32_768, 0)
    );
}

#[test]
fn sigmoid_error_and_symmetry() {
    let mut worst = 0f64;
    let mut before = 0;
    for x_q16 in -(13 << 16)..=(13 << 16) {
        let y = sigmoid_q15(x_q16);
        assert!(y >= before && y <= 32_768);
        assert_eq!(sigmoid_q15(-x_q16), 32_768 - y);
        before = y;
        let exact = 1.0 / (1.0 + (-f64::from(x_q16) / 65_536.0).exp());
        worst = worst.max((f64::from(y) - exact * 32_768.0).abs());
    }
    println!("sigmoid_q15 {worst} units of Q15");
    assert!(worst <= 1.01);
    assert_eq!(
        (sigmoid_q15(0), sigmoid_q15(i32::MAX), sigmoid_q15(i32::MIN)),
        (16_384, 32_768, 0)
    );
}

#[test]
fn silu_error() {
    let mut worst = 0f64;
    let mut worst_unit = 0f64;
    let samples = (-(16 << 16)..=(16 << 16)).chain(words(100_000).map(|w| w[0] as i32));
    for x_q16 in samples {
        let x = f64::from(x_q16) / 65_536.0;
        let error = (f64::from(silu_q16(x_q16)) / 65_536.0 - x / (1.0 + (-x).exp())).abs();
        worst = worst.max(error / x.abs().max(1.0));
        if x.abs() <= 1.0 {
            worst_unit = worst_unit.max(error);
        }
    }
    println!("silu_q16 {worst} of max(1, |x|); {worst_unit} within |x| <= 1");
    assert!(worst <= 2.1e-5);
    assert_eq!((silu_q16(0), silu_q16(i32::MAX), silu_q16(i32::MIN)), (0, i32::MAX, 0));
}
