//! Training that knows of integers: the forward pass is the integer model's.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::sampler::Predicted;
use mote_runtime::{Arena, Config, Model, Observer, Sampler, Start, StepObserver};
use mote_tests::checkpoints::{checkpoint, digits, fashion};
use mote_tools::convert::{Options, convert};
use mote_tools::import::Checkpoint;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::train::qat::qat;
use mote_train::gradient::{Call, Passes};

/// Steps of the trajectory that is compared.
const STEPS: u32 = 10;

/// Inputs, timesteps and outputs of an integer model along a trajectory.
#[derive(Default)]
struct Seen {
    x: Vec<f32>,
    timesteps: Vec<usize>,
    out: Vec<f32>,
}

impl Observer for Seen {}

impl StepObserver for Seen {
    fn predicted(&mut self, p: &Predicted<'_>) {
        let real = |q: &i32| *q as f32 / 16_777_216.0;
        self.x.extend(p.x_q24.iter().map(real));
        self.timesteps.push(p.row.timestep() as usize);
        self.out.extend(p.out_q24.iter().map(real));
    }
}

fn trajectory(bytes: &[u8]) -> Seen {
    let memory = AlignedBytes::copy_of(bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let config = Config::of(model.header(), STEPS);
    let mut arena = AlignedBytes::for_run(&model, &config);
    let mut arena = Arena::new(arena.bytes_mut()).expect("the arena is large enough");
    let mut run = Sampler::new(&model, &mut arena, &config, &Start::Seed).expect("the run is valid");
    let mut seen = Seen::default();
    while run.step_observed(&mut seen).expect("the run is valid").is_some() {}
    seen
}

fn sqnr_db(found: &[f32], reference: &[f32]) -> f64 {
    let power = |v: f64| v * v;
    let noise: f64 = found.iter().zip(reference).map(|(a, b)| power(f64::from(a - b))).sum();
    10.0 * (reference.iter().map(|v| power((*v).into())).sum::<f64>() / noise).log10()
}

/// SQNR against the integer model's outputs, dB: of the network that is trained, and of the float network.
fn distances(checkpoint: &Checkpoint, scheme: Scheme) -> (f64, f64) {
    let qat = qat(checkpoint, scheme, &|_| {}).expect("the checkpoint converts");
    let layout = qat.network.layout();
    let float = layout.values_of(&checkpoint.graph);
    let mut params = vec![];
    qat.rounding.apply(&float, &mut params);
    let mut deployed = checkpoint.clone();
    layout.store(&params, &mut deployed.graph);
    deployed.trained = Some(qat.trained.clone());
    let converted = convert(&deployed, &Options::of(scheme), &|_| {}).expect("it converts");
    assert_eq!(
        converted.chosen, deployed.trained,
        "the formats are those that were trained for"
    );
    let seen = trajectory(&converted.emitted.bytes);
    let call = Call {
        x: &seen.x,
        timesteps: &seen.timesteps,
        labels: &[],
        condition: &[],
    };
    let fake = Passes::default().forward(&qat.network, &params, call).expect("it runs");
    let plain = mote_train::gradient::PreparedGraph::new(&checkpoint.graph).expect("the graph is sound");
    let plain = Passes::default().forward(&plain, &float, call).expect("it runs");
    (sqnr_db(&fake, &seen.out), sqnr_db(&plain, &seen.out))
}

/// The two differ by what the integer model rounds inside its operators, a small part of a unit. Where that moves a value over the middle
/// between two units the rounded values differ by a whole one, and so do those that follow: the outputs come close, and no closer. (In
/// `digits8-micro` as w8a8, where a late activation of coarse units decides, they are as far from each other as from float.)
const CLOSER_DB: f64 = 2.0;

#[test]
#[cfg_attr(debug_assertions, ignore = "rounding takes minutes without optimization")]
fn the_trained_forward_pass_is_the_integer_model_s() {
    for (checkpoint, scheme) in [
        (checkpoint(&digits()), Scheme::W8A16),
        (checkpoint(&fashion()), Scheme::W8A8),
        (checkpoint(&digits()), Scheme::W4A8),
    ] {
        let (fake, float) = distances(&checkpoint, scheme);
        println!(
            "{} {scheme}: {fake:.1} dB from the integer model, float {float:.1} dB",
            checkpoint.name
        );
        assert!(
            fake > float + CLOSER_DB,
            "{} {scheme}: {fake:.1} dB, float {float:.1} dB",
            checkpoint.name
        );
    }
}
