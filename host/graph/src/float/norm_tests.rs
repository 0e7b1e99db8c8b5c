//! Normalizations against their definitions, written out element by element.

use super::{DType, Executor};
use crate::graph::{Builder, Param, ops};
use crate::ops::{Norm, Over};

const SHAPE: [usize; 3] = [6, 2, 3];
const GAMMA: [f32; 6] = [0.5, -1.0, 2.0, 1.5, 0.25, 3.0];
const BETA: [f32; 6] = [0.0, 1.0, -1.0, 0.5, 2.0, -0.5];

/// Two samples, the second a thousandth of the first.
fn samples() -> Vec<f64> {
    (0..72)
        .map(|i| (f64::from(i) * 0.73).sin() * if i < 36 { 1.0 } else { 1e-3 })
        .collect()
}

fn run(norm: Norm, x: &[f64]) -> Vec<f64> {
    let mut g = Builder::new();
    for (key, data) in [("gamma", GAMMA), ("beta", BETA)] {
        if [&norm.gamma, &norm.beta].into_iter().flatten().any(|k| k == key) {
            let (shape, data) = (vec![6], data.to_vec());
            g.param(key, Param { shape, data });
        }
    }
    let input = g.sample(SHAPE).unwrap();
    let y = g.push("norm", norm, &[input]).unwrap();
    let graph = g.finish(y).unwrap();
    let executor = Executor::new(&graph, DType::F64).unwrap();
    executor.run(x, &[0, 0], &[]).unwrap()
}

/// `f` of the elements that are normalized with element `i`, and of that element.
fn expected(norm: &Norm, x: &[f64], f: impl Fn(&[f64], f64) -> f64) -> Vec<f64> {
    let depth = SHAPE[0] / norm.over.groups();
    let place = |i: usize| (i / 36, i % 36 / 6, i % 6);
    let each = |i: usize| {
        let (sample, channel, position) = place(i);
        let together = |j: &usize| {
            let (s, c, p) = place(*j);
            let everywhere = matches!(norm.over, Over::Groups(_));
            s == sample && c / depth == channel / depth && (everywhere || p == position)
        };
        let set: Vec<f64> = (0..72).filter(together).map(|j| x[j]).collect();
        let (gamma, beta) = (f64::from(GAMMA[channel]), f64::from(BETA[channel]));
        f(&set, x[i]) * norm.gamma.as_ref().map_or(1.0, |_| gamma) + norm.beta.as_ref().map_or(0.0, |_| beta)
    };
    (0..72).map(each).collect()
}

fn mean_square(set: &[f64]) -> f64 {
    set.iter().map(|v| v * v).sum::<f64>() / set.len() as f64
}

/// `(x - mean) / sqrt(variance + eps)`.
fn centred(set: &[f64], x: f64) -> f64 {
    let mean = set.iter().sum::<f64>() / set.len() as f64;
    let set: Vec<f64> = set.iter().map(|v| v - mean).collect();
    (x - mean) / (mean_square(&set) + 1e-3).sqrt()
}

#[track_caller]
fn alike(norm: Norm, f: impl Fn(&[f64], f64) -> f64) {
    let x = samples();
    let expected = expected(&norm, &x, f);
    let found = run(norm, &x);
    for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
        assert!((f - e).abs() < 1e-12, "{i}: {f}, {e} expected");
    }
}

fn key(name: &str) -> Option<String> {
    Some(name.to_string())
}

#[test]
fn a_group_norm_is_its_definition() {
    for groups in [1, 2, 6] {
        alike(
            Norm::group(groups, 1e-3, "gamma".to_string(), "beta".to_string()),
            centred,
        );
    }
}

#[test]
fn a_layer_norm_is_its_definition() {
    alike(Norm::layer(1e-3, key("gamma"), key("beta")), centred);
    alike(Norm::layer(1e-3, None, None), centred);
}

#[test]
fn an_rms_norm_is_its_definition() {
    let rms = |set: &[f64], x: f64| x / (mean_square(set) + 1e-3).sqrt();
    alike(Norm::rms(1e-3, key("gamma")), rms);
    let heads = Norm {
        over: Over::Position(2),
        ..Norm::rms(1e-3, key("gamma"))
    };
    alike(heads, rms);
    let groups = Norm {
        over: Over::Groups(3),
        ..Norm::rms(1e-3, None)
    };
    alike(groups, rms);
}

/// The norm of the second sample is below the floor.
#[test]
fn an_l2_norm_is_its_definition() {
    let norm = |set: &[f64]| set.iter().map(|v| v * v).sum::<f64>().sqrt();
    let l2 = |set: &[f64], x: f64| x / norm(set).max(0.01) * (set.len() as f64).sqrt();
    alike(Norm::l2(6, 0.01, key("gamma")), l2);
}

#[test]
fn what_does_not_divide_is_refused() {
    let mut g = Builder::new();
    let x = g.sample(SHAPE).unwrap();
    let flat = ops::Norm::rms(0.0, None);
    let error = g.push("norm", flat, &[x]).unwrap_err().to_string();
    assert!(error.contains("norm") && error.contains("eps 0"), "{error}");
    let uneven = Norm {
        over: Over::Position(4),
        ..Norm::rms(1e-5, None)
    };
    assert!(g.push("norm", uneven, &[x]).is_err());
}
