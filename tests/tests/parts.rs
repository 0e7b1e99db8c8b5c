//! A firmware that leaves parts of the runtime out makes the same images, and refuses by name a model that needs more.

use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::{Image, ImageOptions, Parts, RunRequest, SimError};
use mote_runtime::{Config, Feature, Method, Model, Start};
use mote_tests::boards::board;
use mote_tests::checkpoints::{converted, digits};
use mote_tests::running::finish;
use mote_tests::synthetic::{Form, model};
use mote_tools::emit::planned::planned;
use mote_tools::quantize::scheme::Scheme;

/// Parts that runs need, whatever the model.
const OF_RUNS: [Feature; 6] = [
    Feature::Ddpm,
    Feature::DpmSolver,
    Feature::Heun,
    Feature::Consistency,
    Feature::Inpaint,
    Feature::Interpolate,
];

type Digests = Vec<u64>;

/// Digests of two steps on the board, or why there are none; the same of this machine.
fn run(bytes: &[u8], parts: Parts) -> Option<(Result<Digests, SimError>, Digests)> {
    let memory = AlignedBytes::copy_of(bytes);
    let header = *Model::parse(memory.bytes()).expect("the model is valid").header();
    let config = Config {
        class: (header.classes > 0).then_some(1),
        ..Config::of(&header, 2)
    };
    run_of(bytes, &config, parts)
}

/// The same of the steps of `config`.
fn run_of(bytes: &[u8], config: &Config, parts: Parts) -> Option<(Result<Digests, SimError>, Digests)> {
    let board = board("mps2-an386")?;
    let memory = AlignedBytes::copy_of(bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let config = *config;
    let here = finish(&model, &config, &Start::Seed).expect("it runs here").steps;
    let options = ImageOptions {
        parts: Some(parts),
        ..ImageOptions::default()
    };
    let report =
        Image::link(board, bytes, &options).and_then(|image| image.run(&RunRequest::new(config, [config.seed])));
    let there = report.map(|report| report.images[0].steps.iter().map(|step| step.digest).collect());
    Some((there, here.iter().map(|step| step.digest).collect()))
}

/// The parts that a model names suffice, for every operator there is.
#[test]
fn what_a_model_needs_is_enough() {
    let bytes = model(Form::Mixed);
    let memory = AlignedBytes::copy_of(&bytes);
    let parts = Parts::needed_by(&Model::parse(memory.bytes()).expect("the model is valid"));
    assert_eq!(
        parts,
        Parts::of(Feature::ALL.into_iter().filter(|f| {
            ![
                Feature::F16,
                Feature::W4,
                Feature::CrossAttention,
                Feature::LinearAttention,
                Feature::Chain,
                Feature::Condition,
                Feature::Continuous,
                Feature::Edm,
                Feature::Norm,
                Feature::Pointwise,
                Feature::Pool,
                Feature::Rearrange,
                Feature::Rectangles,
                Feature::Constant,
                Feature::Decoder,
                Feature::Posterior,
                Feature::LearnedVariance,
                Feature::Grouped,
                Feature::Streamed,
            ]
            .contains(f)
                && !OF_RUNS.contains(f)
        }))
    );
    let Some((there, here)) = run(&bytes, parts) else {
        return;
    };
    assert_eq!(there.unwrap_or_else(|error| panic!("{error}")), here);
}

/// A file that plans its run needs no schedule, and no other file does without.
#[test]
fn a_planned_run_needs_no_schedule() {
    let small = || Parts::of([Feature::Integer, Feature::W16]);
    let file = converted(&digits(), Scheme::W8A8).emitted.bytes;
    let memory = AlignedBytes::copy_of(&file);
    let config = Config::of(Model::parse(memory.bytes()).expect("the model is valid").header(), 2);
    for method in [Method::Ddim, Method::Heun] {
        let config = Config { method, ..config };
        let planned = planned(&file, &config).expect("the run can be planned");
        let Some((there, here)) = run(&planned, small().with(method.feature())) else {
            return;
        };
        assert_eq!(there.unwrap_or_else(|error| panic!("{error}")), here, "{method:?}");
        let there = run_of(&file, &config, small().with(method.feature())).expect("the board is here");
        assert_eq!(here, there.1, "{method:?}, with a schedule");
        let error = there.0.expect_err("a part is missing").to_string();
        assert!(error.contains("NotBuilt(Schedule)"), "{error}");
    }
}

/// A firmware without attention, classes and floats: what `digits8-micro` needs.
#[test]
fn what_is_left_out_is_refused_by_name() {
    let small = || Parts::of([Feature::Integer, Feature::W16, Feature::Schedule]);
    let fits = converted(&digits(), Scheme::W8A8).emitted.bytes;
    let Some((there, here)) = run(&fits, small()) else {
        return;
    };
    assert_eq!(there.unwrap_or_else(|error| panic!("{error}")), here);
    for (form, named) in [(Form::F16, "F16"), (Form::Mixed, "Class")] {
        let (there, _) = run(&model(form), small()).expect("the board is here");
        let error = there.expect_err("a part is missing").to_string();
        assert!(error.contains(&format!("NotBuilt({named})")), "{error}");
    }
}
