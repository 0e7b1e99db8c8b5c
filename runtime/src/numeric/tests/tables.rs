//! Every table entry is its formula, rounded.

use crate::numeric::table::*;

fn assert_rounded(entry: f64, formula: f64, slack: f64) {
    assert!(
        (entry - formula).abs() <= 0.5 + slack,
        "{entry} is not {formula} rounded"
    );
}

#[test]
fn entries_are_their_formulas() {
    use core::f64::consts::{FRAC_PI_2, LN_2, PI};
    for (i, &entry) in SINE_Q30.iter().enumerate() {
        assert_rounded(
            f64::from(entry),
            (FRAC_PI_2 * i as f64 / 64.0).sin() * 2f64.powi(30),
            1e-6,
        );
    }
    for (i, &entry) in EXP2_NEG_Q30.iter().enumerate() {
        assert_rounded(f64::from(entry), (-(i as f64) / 128.0).exp2() * 2f64.powi(30), 1e-6);
    }
    for (i, &entry) in SIGMOID_Q17.iter().enumerate() {
        let sigmoid = 1.0 / (1.0 + (-(i as f64) / 32.0).exp());
        assert_rounded(f64::from(entry), (sigmoid - 0.5) * 2f64.powi(17), 1e-9);
    }
    for (i, &entry) in RSQRT_Q15.iter().enumerate().skip(1) {
        assert_rounded(
            f64::from(entry),
            (128.0 / (32.0 + i as f64)).sqrt() * 2f64.powi(15),
            1e-9,
        );
    }
    assert_eq!(RSQRT_Q15[0], 65_535);
    for (i, (&c_q8, &ln_q57)) in RECIPROCAL_Q8.iter().zip(&LN_RECIPROCAL_Q57).enumerate() {
        let middle = (129.0 + 2.0 * i as f64) / 256.0;
        if i < 63 {
            assert_rounded(f64::from(c_q8), 256.0 / middle, 0.0);
        } else {
            assert_eq!((c_q8, ln_q57), (256, 0));
        }
        // f64 has 53 bits; ln < 1 in Q57 is beyond them.
        assert_rounded(ln_q57 as f64, (f64::from(c_q8) / 256.0).ln() * 2f64.powi(57), 32.0);
    }
    assert_rounded(LN_2_Q57 as f64, LN_2 * 2f64.powi(57), 32.0);
    assert_rounded(f64::from(TWO_PI_Q29), 2.0 * PI * 2f64.powi(29), 1e-6);
}
