//! A whole run on a tiny network.

use super::augment::Augment;
use super::dataset::{Dataset, Images};
use super::gradient::PreparedGraph;
use super::objective::Objective;
use super::rate::Rate;
use super::trainer::{Settings, State, Trainer};
use mote_graph::graph::{Builder, Graph, Op, Param, ops};
use mote_graph::schedule::{Precision, Prediction, Schedule, SchedulerConfig};

/// Three convolutions on 1 x 4 x 4 samples, with labels.
fn network() -> Graph {
    let mut b = Builder::new();
    let weight = |b: &mut Builder, key: &str, shape: &[usize]| {
        let len: usize = shape.iter().product();
        let data = (0..len).map(|i| ((i * 37 % 19) as f32 - 9.0) / 30.0).collect();
        let shape = shape.to_vec();
        b.param(key, Param { shape, data });
        key.to_owned()
    };
    let x = b.sample([1, 4, 4]).unwrap();
    let conv = |weight: String, bias: String| Op::Conv(ops::Conv::square(weight, Some(bias), 3, 1, [1; 4]));
    let (w, v) = (weight(&mut b, "a.w", &[4, 1, 3, 3]), weight(&mut b, "a.b", &[4]));
    let h = b.push("a", conv(w, v), &[x]).unwrap();
    let table = weight(&mut b, "classes", &[3, 4]);
    b.classes(3);
    let class = b.push("class", ops::ClassEmbed { weight: table }, &[]).unwrap();
    let h = b.push("labelled", ops::AddChannel, &[h, class]).unwrap();
    let h = b.push("act", ops::Silu, &[h]).unwrap();
    let (w, v) = (weight(&mut b, "b.w", &[1, 4, 3, 3]), weight(&mut b, "b.b", &[1]));
    let y = b.push("b", conv(w, v), &[h]).unwrap();
    b.finish(y).unwrap()
}

fn data() -> Dataset {
    let images = |n: usize, phase: usize| Images {
        pixels: (0..n * 16)
            .map(|i| {
                if (i + i / 16 + phase).is_multiple_of(3) {
                    1.0
                } else {
                    -1.0
                }
            })
            .collect(),
        labels: (0..n).map(|i| i % 2).collect(),
    };
    Dataset {
        shape: [1, 4, 4],
        train: images(21, 0),
        held_out: images(5, 1),
        classes: 2,
    }
}

fn trainer<'d>(graph: &Graph, data: &'d Dataset, state: Option<State>) -> Trainer<'d> {
    let config = SchedulerConfig::parse("test", r#"{"_class_name": "DDPMScheduler"}"#).unwrap();
    let schedule = Schedule::new(&config, Precision::F64).unwrap();
    let settings = Settings {
        batch: 20,
        rate: Rate {
            peak: 1e-2,
            warmup: 5,
            steps: 120,
        },
        average: 0.9,
        decay: 0.01,
        seed: 3,
        augment: Augment { flip: true, shift: 1 },
        label_dropout: 0.2,
    };
    let network = PreparedGraph::new(graph).unwrap();
    let state = state.unwrap_or_else(|| State::new(network.layout().values_of(graph)));
    Trainer::new(
        network,
        Objective::new(&schedule, Prediction::Epsilon, false),
        settings,
        data,
        state,
    )
}

#[test]
fn a_run_that_was_stopped_ends_with_the_same_bits() {
    let (graph, data) = (network(), data());
    let mut whole = trainer(&graph, &data, None);
    (0..7).for_each(|_| {
        whole.step().unwrap();
    });
    let mut first = trainer(&graph, &data, None);
    (0..3).for_each(|_| {
        first.step().unwrap();
    });
    let mut second = trainer(&graph, &data, Some(first.state().clone()));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    pool.install(|| {
        (0..4).for_each(|_| {
            second.step().unwrap();
        })
    });
    assert_eq!(whole.state(), second.state());
}

#[test]
fn a_run_learns() {
    let (graph, data) = (network(), data());
    let mut trainer = trainer(&graph, &data, None);
    let before = trainer.held_out(&trainer.deployed(), 8).unwrap();
    (0..120).for_each(|_| {
        trainer.step().unwrap();
    });
    let after = trainer.held_out(&trainer.deployed(), 8).unwrap();
    assert!(after < 0.5 * before, "{before} before, {after} after");
}
