//! Pointwise operators in every form, as converted and with factors at random.

use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Model, Start};
use mote_tests::pointwise;
use mote_tests::random::Random;
use mote_tests::synthetic::Form;

use crate::compare::assert_equal;
use crate::mutations::found;
use crate::programs::factors_at_random;

#[test]
fn every_form_runs_as_the_oracle_says() {
    for seed in 0..24 {
        for form in Form::ALL {
            let memory = AlignedBytes::copy_of(&pointwise::model(form, seed));
            let model = Model::parse(memory.bytes()).expect("a valid model");
            let config = Config {
                seed,
                ..Config::of(model.header(), 2)
            };
            assert_equal(
                &memory,
                &config,
                &Start::Seed,
                &format!("pointwise program {seed}, {form:?}"),
            );
            if form == Form::F16 {
                continue;
            }
            let memory = factors_at_random(&memory, &mut Random(seed));
            assert_equal(
                &memory,
                &config,
                &Start::Seed,
                &format!("program {seed}, {form:?}, any factors"),
            );
        }
    }
}

#[test]
fn a_wrong_rounding_is_found() {
    for form in Form::ALL {
        let memory = AlignedBytes::copy_of(&pointwise::model(form, 2));
        let divergence = found(&memory, "pointwise").unwrap_or_else(|| panic!("{form:?}: it goes unseen"));
        assert_eq!(
            (divergence.step, divergence.op.map(|op| op.kind)),
            (0, Some("pointwise")),
            "{form:?}"
        );
    }
}
