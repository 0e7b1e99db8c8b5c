//! Single steps: edges, identities, and the error of one step over the whole range of its arguments.

use super::{
    reference::{Formula, linear, squared_cosine},
    std::{println, vec::Vec},
};
use crate::numeric::philox::philox4x32;
use crate::schedule::coefficients::*;

pub(super) const PREDICTIONS: [Prediction; 3] = [Prediction::Epsilon, Prediction::V, Prediction::Sample];
pub(super) const CLIPS: [Clip; 3] = [Clip::Off, Clip::Stock, Clip::Rederived];
const ONE_Q24: i32 = 1 << 24;
const ONE_Q62: u64 = ALPHA_BAR_ONE_Q62;

fn random(count: u32) -> impl Iterator<Item = [i32; 4]> {
    (0..count).map(|i| philox4x32([i, 1, 2, 3], [4, 5]).map(|w| w as i32))
}

#[test]
fn equal_alphas_are_the_identity() {
    for ab in [1u64 << 40, 1 << 50, 3 << 59, (1 << 62) - (1 << 40), 1 << 62] {
        for prediction in [Prediction::Epsilon, Prediction::V] {
            for eta_q16 in [0, 32_768, 65_536] {
                let step = ddim(ab, ab, eta_q16, prediction, Clip::Off);
                for [x, out, z, _] in random(1000) {
                    assert_eq!(
                        step.apply(x >> 1, out >> 4, z >> 4, ONE_Q24),
                        x >> 1,
                        "{ab:#x} {prediction:?}"
                    );
                }
            }
        }
        if ab < ONE_Q62 {
            let step = ddim(ab, ab, 65_536, Prediction::Sample, Clip::Off);
            assert_eq!(step.apply(12_345_678, -7_654_321, 999, ONE_Q24), 12_345_678);
        }
    }
}

#[test]
fn a_clean_state_is_its_own_sample() {
    for clip in CLIPS {
        let epsilon = ddim(ONE_Q62, ONE_Q62, 0, Prediction::Epsilon, clip);
        assert_eq!(epsilon.predicted_x0(5_000_000, -77, ONE_Q24), 5_000_000);
        assert_eq!(epsilon.apply(5_000_000, -77, 88, ONE_Q24), 5_000_000);
        let sample = ddim(ONE_Q62, ONE_Q62, 65_536, Prediction::Sample, clip);
        assert_eq!(sample.apply(5_000_000, -77, 88, ONE_Q24), -77);
    }
}

#[test]
fn zero_terminal_signal_works_under_v_and_sample() {
    for ab_prev in [1u64 << 50, 1 << 60] {
        for prediction in [Prediction::V, Prediction::Sample] {
            for (clip, eta_q16) in CLIPS.into_iter().flat_map(|c| [(c, 0), (c, 65_536)]) {
                let step = ddim(0, ab_prev, eta_q16, prediction, clip);
                let exact = Formula::new(0, ab_prev, eta_q16, prediction, clip);
                for [x, out, z, _] in random(500).map(|w| w.map(|v| v >> 6)) {
                    let f = |v: i32| f64::from(v) / f64::from(ONE_Q24);
                    let error = f(step.apply(x, out, z, ONE_Q24)) - exact.apply(f(x), f(out), f(z), 1.0);
                    assert!(error.abs() < 1e-6, "{prediction:?} {clip:?}: {error}");
                }
            }
        }
    }
}

#[test]
fn everything_is_total() {
    let alphas = [0, 1, 1 << 20, 1 << 30, 1 << 45, 1 << 61, ONE_Q62 - 1, ONE_Q62, u64::MAX];
    let extremes = [i32::MIN, -ONE_Q24, 0, 1, i32::MAX];
    for (ab, ab_prev) in alphas.into_iter().flat_map(|a| alphas.map(|b| (a, b))) {
        for (prediction, clip) in PREDICTIONS.into_iter().flat_map(|p| CLIPS.map(|c| (p, c))) {
            for eta_q16 in [0, 1, 65_536, 65_537, u32::MAX] {
                let step = ddim(ab, ab_prev, eta_q16, prediction, clip);
                for (x, out) in extremes.into_iter().flat_map(|x| extremes.map(|out| (x, out))) {
                    for z in [i32::MIN, 0, i32::MAX] {
                        assert!(step.apply(x, out, z, ONE_Q24).unsigned_abs() <= 1 << 30);
                    }
                    assert!(step.predicted_x0(x, out, i32::MIN).unsigned_abs() <= 1 << 30);
                }
            }
        }
    }
}

#[test]
fn noising_is_the_forward_process() {
    assert_eq!(
        (noising(0), noising(ONE_Q62), noising(u64::MAX)),
        ((0, 1 << 30), (1 << 30, 0), (1 << 30, 0))
    );
    for ab in linear(1000).into_iter().chain(squared_cosine(1000)) {
        let exact = ab as f64 / 2f64.powi(62);
        let coefficients = noising(ab);
        for [x0, z, ..] in random(4).map(|w| w.map(|v| v >> 6)) {
            let expected = exact.sqrt() * f64::from(x0) + (1.0 - exact).sqrt() * f64::from(z);
            assert!((f64::from(add_noise(coefficients, x0, z)) - expected).abs() < 0.6);
        }
    }
    assert_eq!(add_noise((1 << 30, 1 << 30), i32::MAX, i32::MAX), 1 << 30);
}

/// One step from random states: the error beside what the rounding of the inputs to Q24 does anyway.
#[test]
fn one_step_error() {
    let mut worst = [0f64; 3];
    for alphas in [linear(1000), squared_cosine(1000)] {
        let kinds = PREDICTIONS.into_iter().enumerate();
        for ((kind, prediction), clip) in kinds.flat_map(|p| CLIPS.map(|c| (p, c))) {
            for (t, prev) in (0..1000usize)
                .rev()
                .step_by(37)
                .flat_map(|t| [(t, t.checked_sub(1)), (t, t.checked_sub(50))])
            {
                let ab_prev = prev.map_or(ONE_Q62, |p| alphas[p]);
                let eta_q16 = (t as u32 * 65) % 65_537;
                let step = ddim(alphas[t], ab_prev, eta_q16, prediction, clip);
                let exact = Formula::new(alphas[t], ab_prev, eta_q16, prediction, clip);
                let errors = random(50).map(|w| w.map(|v| v >> 6)).map(|[x, out, z, _]| {
                    let f = |v: i32| f64::from(v) / f64::from(ONE_Q24);
                    let expected = exact.apply(f(x), f(out), f(z), 1.0).clamp(-64.0, 64.0);
                    (f(step.apply(x, out, z, ONE_Q24)) - expected).abs()
                });
                // The gain of x0 on the inputs: an error of half a unit of Q24 in them grows by as much.
                let gain = (exact.ab_prev / exact.ab).sqrt().max(1.0);
                let error = errors.fold(0.0, f64::max) / if prediction == Prediction::Epsilon { gain } else { 1.0 };
                let slot = &mut worst[kind];
                *slot = slot.max(error);
            }
        }
    }
    let worst: Vec<f64> = worst.into_iter().map(|w| w * f64::from(ONE_Q24)).collect();
    println!("one step, units of Q24, epsilon (per gain), v, sample: {worst:?}");
    assert!(worst.iter().all(|&w| w < 1.5));
}
