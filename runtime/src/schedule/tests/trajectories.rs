//! Whole runs of the fixed-point DDIM against `f64`, over schedules, predictions, clips and eta.
//!
//! Each element is a run of its own. Its data distribution is Gaussian (variance s^2, the mean differing by element),
//! for which the ideal network is known: `E[eps | x] = sqrt(1 - ab) (x - sqrt(ab) m) / (ab s^2 + 1 - ab)`.
//! *Fed*: both samplers get the output that the network gives on the `f64` trajectory, rounded to Q24. Errors then grow
//! by `sqrt(ab_prev / ab)` a step under epsilon and nothing pulls them back. *Closed*: each sampler asks the network
//! about its own state.

use super::{
    forms::{CLIPS, PREDICTIONS},
    reference::{Formula, linear, squared_cosine},
    std::{println, vec::Vec},
};
use crate::numeric::normal::normal_q24;
use crate::schedule::coefficients::{ALPHA_BAR_ONE_Q62, Clip, Prediction, ddim};

const ELEMENTS: u32 = 64;
const ONE: f64 = (1 << 24) as f64;

fn to_q24(v: f64) -> i32 {
    (v * ONE).round() as i32
}

fn network(step: &Formula, x: f64, mean: f64) -> f64 {
    let variance = 0.25;
    let eps = (1.0 - step.ab).sqrt() * (x - step.ab.sqrt() * mean) / (step.ab * variance + 1.0 - step.ab);
    step.output_for(x, eps)
}

struct Run {
    steps: Vec<usize>,
    eta_q16: u32,
    prediction: Prediction,
    clip: Clip,
    closed: bool,
}

/// Largest error of the final states over the elements.
fn error(alphas: &[u64], run: &Run) -> f64 {
    let levels: Vec<(u64, u64)> = (0..run.steps.len())
        .map(|i| {
            (
                alphas[run.steps[i]],
                run.steps.get(i + 1).map_or(ALPHA_BAR_ONE_Q62, |&t| alphas[t]),
            )
        })
        .collect();
    let means: Vec<f64> = (0..ELEMENTS).map(|e| f64::from(e) / 32.0 - 1.0).collect();
    let mut fixed: Vec<i32> = (0..ELEMENTS).map(|e| normal_q24(11, 0, e)).collect();
    let mut float: Vec<f64> = fixed.iter().map(|&x| f64::from(x) / ONE).collect();
    for (number, (ab, ab_prev)) in (1..).zip(levels) {
        let step = ddim(ab, ab_prev, run.eta_q16, run.prediction, run.clip);
        let exact = Formula::new(ab, ab_prev, run.eta_q16, run.prediction, run.clip);
        for (element, ((x, y), &mean)) in (0..).zip(fixed.iter_mut().zip(&mut float).zip(&means)) {
            let z_q24 = normal_q24(11, number, element);
            let out_q24 = to_q24(network(&exact, *y, mean));
            let own_q24 = if run.closed {
                to_q24(network(&exact, f64::from(*x) / ONE, mean))
            } else {
                out_q24
            };
            *x = step.apply(*x, own_q24, z_q24, 1 << 24);
            *y = exact.apply(*y, f64::from(out_q24) / ONE, f64::from(z_q24) / ONE, 1.0);
        }
    }
    fixed
        .iter()
        .zip(&float)
        .fold(0.0, |worst, (&x, &y)| worst.max((f64::from(x) / ONE - y).abs()))
}

fn every_run(steps: Vec<usize>, closed: bool, bound: f64) {
    for (name, alphas) in [("linear", linear(1000)), ("squaredcos", squared_cosine(1000))] {
        for prediction in PREDICTIONS {
            let mut errors = Vec::new();
            for (clip, eta_q16) in CLIPS.into_iter().flat_map(|c| [(c, 0), (c, 65_536)]) {
                let run = Run {
                    steps: steps.clone(),
                    eta_q16,
                    prediction,
                    clip,
                    closed,
                };
                errors.push(error(&alphas, &run));
            }
            let millionths: Vec<f64> = errors.iter().map(|e| e * 1e6).collect();
            println!(
                "{} steps, closed {closed}, {name}, {prediction:?}: {millionths:.1?} e-6",
                steps.len()
            );
            assert!(errors.iter().all(|&e| e < bound), "{name} {prediction:?} {errors:?}");
        }
    }
}

#[test]
fn a_thousand_steps_fed_the_same_output() {
    every_run((0..1000).rev().collect(), false, 2e-4);
}

#[test]
fn a_thousand_steps_with_the_network_in_the_loop() {
    every_run((0..1000).rev().collect(), true, 2e-5);
}

#[test]
fn twenty_steps_with_the_network_in_the_loop() {
    every_run((0..20).rev().map(|i| i * 50).collect(), true, 2e-5);
}
