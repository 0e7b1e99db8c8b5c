//! One run by both, compared.

use mote_host::memory::AlignedBytes;
use mote_host::oracle::trace::Recorder;
use mote_host::oracle::{Oracle, OracleOptions, OracleStep};
use mote_runtime::{Arena, Config, Model, Sampler, Start};

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
    let mut recorder = Recorder::default();
    while let Some(step) = run.step_observed(&mut recorder).expect("a valid run") {
        recorder.finish(&step);
    }
    (recorder.steps().to_vec(), run.state().to_vec())
}

/// An oracle that digests every operator.
pub fn oracle<'m>(model: &Model<'m>, broken_rounding: Option<&'static str>) -> Oracle<'m> {
    Oracle::with_options(
        model,
        OracleOptions {
            op_digests: true,
            broken_rounding,
        },
    )
    .expect("a checked model")
}

/// Fails with the first operator and step at which the two differ.
pub fn assert_equal(model: &Model<'_>, config: &Config, start: &Start<'_>, what: &str) {
    assert_equal_known(model, config, start, None, what);
}

/// The same with a known image.
pub fn assert_equal_known(model: &Model<'_>, config: &Config, start: &Start<'_>, known: Option<&[i32]>, what: &str) {
    let oracle = oracle(model, None);
    let (found, state) = runtime_steps_known(model, config, start, known);
    let mut expected = Vec::new();
    let last = oracle
        .run_known(config, start, known, &mut |step| expected.push(step.clone()))
        .expect("a valid run");
    if let Some(divergence) = oracle.first_divergence(&expected, &found) {
        panic!("{what}: the runtime leaves the oracle at {divergence}");
    }
    assert_eq!(last, state, "{what}: the final state");
}
