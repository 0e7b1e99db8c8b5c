//! One run by both, compared.

use mote_engine::memory::AlignedBytes;
use mote_oracle::scalar::digest::digest;
use mote_oracle::{Oracle, OracleOptions, OracleStep};
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Config, Model, Observer, Sampler, Start, StepObserver};
use mote_tools::backend::oracle::{request, start as start_of};

/// Digests every operator's output of the runtime, with the oracle's own digest.
#[derive(Default)]
struct Recorder(Vec<u64>);

impl Observer for Recorder {
    fn after(&mut self, _index: u16, _op: &Op, output: &View<'_>) {
        self.0.push(digest((0..output.len()).map(|i| output.get(i))));
    }
}

impl StepObserver for Recorder {}

/// The runtime's run, every operator digested.
pub fn runtime_steps(model: &Model<'_>, config: &Config, start: &Start<'_>) -> (Vec<OracleStep>, Vec<i32>) {
    runtime_steps_known(model, config, start, None)
}

/// The same with a known image.
fn runtime_steps_known(
    model: &Model<'_>,
    config: &Config,
    start: &Start<'_>,
    known: Option<&[i32]>,
) -> (Vec<OracleStep>, Vec<i32>) {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut()).expect("aligned");
    let mut run = Sampler::new(model, &mut arena, config, start).expect("a valid configuration");
    if let Some(known) = known {
        run.inpaint(known).expect("of the sample's length");
    }
    let (mut recorder, mut steps) = (Recorder::default(), Vec::new());
    while let Some(step) = run.step_observed(&mut recorder).expect("a valid run") {
        steps.push(OracleStep {
            index: step.index,
            timestep: step.timestep,
            digest: step.digest,
            op_digests: Some(std::mem::take(&mut recorder.0)),
        });
    }
    (steps, run.state().to_vec())
}

/// An oracle that digests every operator.
pub fn oracle<'f>(file: &'f [u8], broken_rounding: Option<&'static str>) -> Oracle<'f> {
    Oracle::with_options(
        file,
        OracleOptions {
            op_digests: true,
            broken_rounding,
        },
    )
    .expect("a checked model")
}

/// Fails with the first operator and step at which the two differ.
pub fn assert_equal(file: &AlignedBytes, config: &Config, start: &Start<'_>, what: &str) {
    assert_equal_known(file, config, start, None, what);
}

/// The same with a known image.
pub fn assert_equal_known(file: &AlignedBytes, config: &Config, start: &Start<'_>, known: Option<&[i32]>, what: &str) {
    let oracle = oracle(file.bytes(), None);
    let model = Model::parse(file.bytes()).expect("a valid model");
    let (found, state) = runtime_steps_known(&model, config, start, known);
    let mut expected = Vec::new();
    let last = oracle
        .run_known(&request(config), &start_of(start), known, &mut |step| {
            expected.push(step.clone())
        })
        .expect("a valid run");
    if let Some(divergence) = oracle.first_divergence(&expected, &found) {
        panic!("{what}: the runtime leaves the oracle at {divergence}");
    }
    assert_eq!(last, state, "{what}: the final state");
}
