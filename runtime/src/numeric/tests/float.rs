//! The float scheme's functions against `f64`.

use half::f16;

use super::std::println;
use crate::numeric::float::*;

/// Every f16 is the domain that matters; and a fine sweep of f32.
fn arguments() -> impl Iterator<Item = f32> {
    let sweep = (-900_000..=900_000).map(|i| i as f32 * 1.0e-4);
    let all_f16 = (0..=u16::MAX)
        .map(|bits| f16::from_bits(bits).to_f32())
        .filter(|x| x.is_finite());
    sweep.chain(all_f16)
}

#[test]
fn errors() {
    let mut worst = [0f64; 3];
    for x in arguments() {
        let exact_exp = f64::from(x).exp();
        let exact_sigmoid = 1.0 / (1.0 + (-f64::from(x)).exp());
        let mut note = |which: usize, measured: f32, exact: f64| {
            if exact.abs() > 1.3e-38 && exact.abs() < 3.4e38 {
                worst[which] = worst[which].max((f64::from(measured) / exact - 1.0).abs());
            }
        };
        note(0, exp_f32(x), exact_exp);
        note(1, sigmoid_f32(x), exact_sigmoid);
        if x > -87.0 {
            note(2, silu_f32(x), f64::from(x) * exact_sigmoid);
        }
        assert!((0.0..=1.0).contains(&sigmoid_f32(x)));
    }
    println!("relative errors of exp, sigmoid, silu: {worst:?}");
    assert!(worst[0] <= 1.2e-7 && worst[1] <= 2.5e-7 && worst[2] <= 3e-7);
}

#[test]
fn edges() {
    assert_eq!((exp_f32(0.0), exp_f32(-0.0), exp_f32(1e-40)), (1.0, 1.0, 1.0));
    assert_eq!((exp_f32(89.0), exp_f32(f32::INFINITY)), (f32::INFINITY, f32::INFINITY));
    assert_eq!((exp_f32(-88.0), exp_f32(f32::NEG_INFINITY)), (0.0, 0.0));
    assert!(exp_f32(88.722_83).is_finite() && exp_f32(-87.3).is_normal());
    assert_eq!(
        (
            sigmoid_f32(f32::INFINITY),
            sigmoid_f32(f32::NEG_INFINITY),
            sigmoid_f32(0.0)
        ),
        (1.0, 0.0, 0.5)
    );
    assert_eq!(
        (silu_f32(f32::INFINITY), silu_f32(f32::NEG_INFINITY), silu_f32(f32::MIN)),
        (f32::INFINITY, 0.0, 0.0)
    );
    for negative_nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7F80_0001)] {
        for f in [exp_f32, sigmoid_f32, silu_f32] {
            assert_eq!(f(negative_nan).to_bits(), 0x7FC0_0000);
        }
        assert_eq!(f32_to_f16_sat(negative_nan).to_bits(), 0x7E00);
    }
}

#[test]
fn f16_round_trip_and_saturation() {
    for bits in 0..=u16::MAX {
        let x = f16::from_bits(bits);
        if x.is_finite() {
            assert_eq!(f32_to_f16_sat(f16_to_f32(x)).to_bits(), bits);
        }
    }
    for large in [65_504.0, 65_519.0, 65_520.0, 1e30, f32::INFINITY] {
        assert_eq!(f32_to_f16_sat(large).to_bits(), 0x7BFF);
        assert_eq!(f32_to_f16_sat(-large).to_bits(), 0xFBFF);
    }
    // Ties to even, and the smallest subnormal.
    assert_eq!(f32_to_f16_sat(2049.0).to_f32(), 2048.0);
    assert_eq!(f32_to_f16_sat(2051.0).to_f32(), 2052.0);
    assert_eq!(f32_to_f16_sat(2f32.powi(-25)).to_bits(), 0);
    assert_eq!(f32_to_f16_sat(2f32.powi(-24)).to_bits(), 1);
}
