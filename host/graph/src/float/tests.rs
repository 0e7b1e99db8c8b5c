//! Facts that can be worked out by hand.

use super::ddim::{Clip, Coefficients, Ddim, guide};
use super::{Call, Conditions, DType, Executor, FloatError, Passes, PreparedGraph};
use crate::graph::{Builder, Graph, Op, Param, ValueId, ops};
use crate::schedule::{Precision, Prediction, PreviousRule, Schedule, ScheduleError, SchedulerConfig, Spacing};
use std::ops::Range;

fn config(changes: &str) -> SchedulerConfig {
    SchedulerConfig::parse("test", &format!(r#"{{"_class_name": "DDIMScheduler"{changes}}}"#)).unwrap()
}

/// What a perfect network would say where every clean sample is `c`.
fn perfect(x: &[f64], alpha: f64, c: f64, prediction: Prediction) -> Vec<f64> {
    let (a, b) = (alpha.sqrt(), (1.0 - alpha).sqrt());
    let one = |x: f64| {
        let epsilon = (x - a * c) / b;
        match prediction {
            Prediction::Epsilon => epsilon,
            Prediction::Velocity => a * epsilon - b * c,
            Prediction::Sample => c,
        }
    };
    x.iter().map(|x| one(*x)).collect()
}

/// If all data are one point, every sampler must end there: whatever the prediction, spacing, noise level or clipping.
#[test]
fn all_runs_end_at_the_only_data_point() {
    let kinds = [Prediction::Epsilon, Prediction::Velocity, Prediction::Sample];
    for prediction in kinds {
        for spacing in [
            Spacing::Leading,
            Spacing::Trailing,
            Spacing::Linspace,
            Spacing::Quadratic,
        ] {
            for (eta, clip) in [
                (0.0, Clip::Off),
                (1.0, Clip::Stock { range: 1.0 }),
                (0.5, Clip::Rederived { range: 1.0 }),
            ] {
                let mut config = config("");
                config.timestep_spacing = spacing;
                let schedule = Schedule::new(&config, Precision::F64).unwrap();
                let steps = config.steps(17, PreviousRule::List).unwrap();
                let ddim = Ddim {
                    schedule: &schedule,
                    steps: &steps,
                    prediction,
                    clip,
                    eta,
                };
                let model = |x: &[f64], t: usize| {
                    Ok::<_, ScheduleError>(perfect(x, schedule.alphas_cumprod[t], 0.25, prediction))
                };
                let noise = |i: usize| Ok(vec![(i as f64 * 1.7).sin(), (i as f64 * 2.9).cos()]);
                let mut seen = 0;
                let x = ddim.sample(vec![1.3, -0.4], model, noise, |_| seen += 1).unwrap();
                assert_eq!(seen, 17);
                assert!(
                    x.iter().all(|v| (v - 0.25).abs() < 1e-9),
                    "{prediction:?} {spacing:?} {eta}: {x:?}"
                );
            }
        }
    }
}

/// One step from alpha_bar 0.36 to 0.64 with x = 2 and epsilon = 0.5: x0 = (2 - 0.8 * 0.5) / 0.6 = 8 / 3.
#[test]
fn clipping_conventions_by_hand() {
    let trained = r#", "num_train_timesteps": 2, "trained_betas": [0.36, 0.4375]"#;
    let config = config(trained);
    let schedule = Schedule::new(&config, Precision::F64).unwrap();
    assert!((schedule.alphas_cumprod[1] - 0.36).abs() < 1e-15);
    let steps = config.steps(2, PreviousRule::List).unwrap();
    let step = |clip| {
        let ddim = Ddim {
            schedule: &schedule,
            steps: &steps,
            prediction: Prediction::Epsilon,
            clip,
            eta: 0.0,
        };
        let c = Coefficients::new(&schedule, steps[0], 0.0, Prediction::Epsilon).unwrap();
        let (x, x0) = ddim.step(&c, &[2.0f64], &[0.5]);
        (x[0], x0[0])
    };
    let near =
        |(a, b): (f64, f64), (c, d): (f64, f64)| assert!((a - c).abs() < 1e-14 && (b - d).abs() < 1e-14, "{a} {b}");
    near(step(Clip::Off), (0.8 * 8.0 / 3.0 + 0.6 * 0.5, 8.0 / 3.0));
    near(step(Clip::Stock { range: 1.0 }), (0.8 + 0.6 * 0.5, 1.0));
    // Epsilon again: (2 - 0.6 * 1) / 0.8 = 1.75.
    near(step(Clip::Rederived { range: 1.0 }), (0.8 + 0.6 * 1.75, 1.0));
}

#[test]
fn guidance_by_hand() {
    assert_eq!(guide(&[1.0f64, 2.0], &[0.5, 4.0], 3.0), [2.0, -2.0]);
    assert_eq!(guide(&[1.0f32, 2.0], &[0.5, 4.0], 1.0), [1.0, 2.0]);
}

#[test]
fn zero_snr_forbids_epsilon_and_allows_velocity() {
    let config = config(r#", "rescale_betas_zero_snr": true, "timestep_spacing": "trailing""#);
    let schedule = Schedule::new(&config, Precision::F64).unwrap();
    let first = config.steps(10, PreviousRule::List).unwrap()[0];
    let error = Coefficients::new(&schedule, first, 0.0, Prediction::Epsilon).unwrap_err();
    assert!(matches!(error, ScheduleError::Singular { timestep: 999, .. }));
    assert_eq!(
        Coefficients::new(&schedule, first, 1.0, Prediction::Velocity)
            .unwrap()
            .sqrt_alpha,
        0.0
    );
}

/// A graph of every operator; parameters are small ramps.
fn zoo() -> Graph {
    let mut g = Builder::new();
    let mut param = |key: &str, shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        let data = (0..count)
            .map(|i| 0.3 + (i as f32 * 0.9 + key.len() as f32).sin() * 0.4)
            .collect();
        g.param(
            key,
            Param {
                shape: shape.to_vec(),
                data,
            },
        );
    };
    param("table", &[3, 4]);
    param("t.w", &[4, 4]);
    param("wide.w", &[8, 4]);
    param("in.w", &[4, 1, 3, 3]);
    param("in.b", &[4]);
    param("down.w", &[4, 4, 3, 3]);
    param("norm.w", &[4]);
    param("norm.b", &[4]);
    param("out.w", &[1, 8, 1, 1]);
    let conv = |w: &str, b: Option<&str>, kernel, stride, pad| {
        Op::Conv(ops::Conv::square(w, b.map(str::to_string), kernel, stride, pad))
    };
    let build = |g: &mut Builder| -> Result<ValueId, crate::graph::GraphError> {
        let t = g.push(
            "t",
            ops::TimeProj {
                dim: 4,
                flip_sin_to_cos: true,
                freq_shift: 0.0,
                max_period: 1e4,
            },
            &[],
        )?;
        let t = g.push("t.linear", conv("t.w", None, 1, 1, [0; 4]), &[t])?;
        let c = g.push(
            "class",
            ops::ClassEmbed {
                weight: "table".to_string(),
            },
            &[],
        )?;
        let e = g.push("embedding", ops::Add { divisor: 2.0 }, &[t, c])?;
        let wide = g.push("wide", conv("wide.w", None, 1, 1, [0; 4]), &[e])?;
        let x = g.sample([1, 4, 4])?;
        let x = g.push(
            "affine",
            ops::Affine {
                scale: 2.0,
                shift: -1.0,
            },
            &[x],
        )?;
        let x = g.push("in", conv("in.w", Some("in.b"), 3, 1, [1; 4]), &[x])?;
        let h = g.push("down", conv("down.w", None, 3, 2, [0, 0, 1, 1]), &[x])?;
        let h = g.push("add", ops::AddChannel, &[h, e])?;
        let norm = ops::Norm::group(2, 1e-5, "norm.w".to_string(), "norm.b".to_string());
        let h = g.push("norm", norm, &[h])?;
        let h = g.push("shift", ops::ScaleShift, &[h, wide])?;
        let h = g.push("silu", ops::Silu, &[h])?;
        let h = g.push("attend", ops::Attention { heads: 2 }, &[h, h, h])?;
        let h = g.push("up", ops::Upsample2, &[h])?;
        let p = g.push("pool", ops::AvgPool2, &[x])?;
        let p = g.push("pool.up", ops::Upsample2, &[p])?;
        let h = g.push("concat", ops::Concat, &[h, p])?;
        g.push("out", conv("out.w", None, 1, 1, [0; 4]), &[h])
    };
    g.classes(3);
    let out = build(&mut g).unwrap();
    g.finish(out).unwrap()
}

#[test]
fn a_batch_is_its_samples_and_both_types_agree() {
    let graph = zoo();
    let x: Vec<f64> = (0..48).map(|i| (i as f64 * 0.61).sin()).collect();
    let (t, labels) = ([0, 500, 999], [2, 0, 1]);
    let executor = Executor::new(&graph, DType::F64).unwrap();
    let together: Vec<f64> = executor.run(&x, &t, &labels).unwrap();
    for i in 0..3 {
        let alone: Vec<f64> = executor
            .run(&x[16 * i..16 * (i + 1)], &t[i..=i], &labels[i..=i])
            .unwrap();
        assert!(
            alone
                .iter()
                .zip(&together[16 * i..])
                .all(|(a, b)| (a - b).abs() < 1e-13)
        );
    }
    let single: Vec<f64> = Executor::new(&graph, DType::F32).unwrap().run(&x, &t, &labels).unwrap();
    assert!(single.iter().zip(&together).all(|(a, b)| (a - b).abs() < 1e-4));
}

/// The graph that is trained is the graph that is deployed: a gradient reaches every parameter, and is the slope.
#[test]
fn gradients_reach_every_parameter() {
    let graph = zoo();
    let x: Vec<f64> = (0..32).map(|i| (i as f64 * 0.61).sin()).collect();
    let network = PreparedGraph::new(&graph).unwrap();
    let params: Vec<f64> = network.layout().values_of(&graph).into_iter().map(f64::from).collect();
    let call = Call {
        x: &x,
        timesteps: &[3, 800],
        labels: &[1, 2],
        condition: &[],
    };
    let squares = |_: Range<usize>, y: &[f64], slope: &mut [f64]| {
        y.iter().zip(slope).for_each(|(y, s)| *s = 2.0 * y);
        y.iter().map(|y| y * y).sum::<f64>()
    };
    let mut gradient = vec![f64::NAN; params.len()];
    let mut passes = Passes::default();
    passes
        .gradient(&network, &params, call, &squares, &mut gradient)
        .unwrap();
    let loss = |graph: &Graph| {
        let executor = Executor::new(graph, DType::F64).unwrap();
        let out = executor.run(&x, &[3, 800], &[1, 2]).unwrap();
        out.iter().map(|v| v * v).sum::<f64>()
    };
    for key in graph.params.keys() {
        let grad = &gradient[network.layout().range(key).unwrap()];
        let last = grad.len() - 1;
        let (mut up, mut down) = (graph.clone(), graph.clone());
        up.params.get_mut(key).unwrap().data[last] += 1.0 / 4096.0;
        down.params.get_mut(key).unwrap().data[last] -= 1.0 / 4096.0;
        let step = f64::from(up.params[key].data[last]) - f64::from(down.params[key].data[last]);
        let slope = (loss(&up) - loss(&down)) / step;
        assert!(
            (slope - grad[last]).abs() < 1e-4 * slope.abs().max(1.0),
            "{key}: {slope} {}",
            grad[last]
        );
    }
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let graph = zoo();
    let executor = Executor::new(&graph, DType::F32).unwrap();
    let x = [0.0f32; 16];
    for (x, t, labels) in [
        (&x[..15], vec![0], vec![0]),
        (&x[..], vec![0], vec![]),
        (&x[..], vec![0], vec![3]),
        (&[], vec![], vec![]),
    ] {
        assert!(matches!(executor.run(x, &t, &labels), Err(FloatError::Input { .. })));
    }
}

/// A condition is a term of its sample alone; what does not fit the graph is refused.
#[test]
fn a_condition_vector_is_given_a_sample() {
    let mut g = Builder::new();
    let x = g.sample([2, 1, 3]).unwrap();
    let given = g.condition("given", 2, Some([-1.0, 1.0])).unwrap();
    let out = g.push("sum", ops::AddChannel, &[x, given]).unwrap();
    let graph = g.finish(out).unwrap();
    let executor = Executor::new(&graph, DType::F64).unwrap();
    let x: Vec<f64> = (0..12).map(f64::from).collect();
    let run = |vectors: &[f64]| {
        let labels = &[];
        executor.run(&x, &[0, 1], Conditions { labels, vectors })
    };
    let found = run(&[0.5, -0.25, 1.0, 0.0]).unwrap();
    let expected: Vec<f64> = (0..12).map(|i| i as f64 + [0.5, -0.25, 1.0, 0.0][i / 3]).collect();
    assert_eq!(found, expected);
    for bad in [&[][..], &[0.0; 3], &[0.0; 5], &[0.0, f64::NAN, 0.0, 0.0]] {
        let error = run(bad).unwrap_err().to_string();
        assert!(error.contains("condition"), "{error}");
    }
    // Another length, another range, and two conditions.
    let changed = |change: &dyn Fn(&mut Graph)| {
        let mut graph = graph.clone();
        change(&mut graph);
        Executor::new(&graph, DType::F64).unwrap_err().to_string()
    };
    let null = None;
    let condition = |channels, range| Some(crate::graph::ConditionInput { channels, range, null });
    for error in [
        changed(&|graph| graph.condition = None),
        changed(&|graph| graph.condition = condition(3, None)),
        changed(&|graph| graph.condition = condition(2, Some([1.0, 1.0]))),
        changed(&|graph| graph.condition = condition(2, Some([0.0, f64::INFINITY]))),
    ] {
        assert!(error.contains("condition"), "{error}");
    }
    let mut g = Builder::new();
    let _ = g.sample([2, 1, 3]).unwrap();
    let first = g.condition("one", 2, None).unwrap();
    g.condition("two", 2, None).unwrap();
    assert!(g.finish(first).unwrap_err().to_string().contains("`two`"));
}
