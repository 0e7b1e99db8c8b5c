//! One rounding broken in the oracle: the comparison finds it and names the first operator of that kind, in the first step.

use mote_engine::memory::AlignedBytes;
use mote_oracle::trace::Divergence;
use mote_runtime::{Config, Model, Start};
use mote_tests::synthetic::Form;
use mote_tests::wider;
use mote_tools::backend::oracle::{request, start};

use crate::checkpoints::FILES;
use crate::compare::{oracle, runtime_steps};
use crate::synthetic::synthetic;

/// Where the comparison points when operators of `kind` truncate.
pub fn found(file: &AlignedBytes, kind: &'static str) -> Option<Divergence> {
    let model = Model::parse(file.bytes()).expect("a converted model");
    let config = Config {
        seed: 3,
        ..Config::of(model.header(), 2)
    };
    let broken = oracle(file.bytes(), Some(kind));
    let expected = broken
        .trace(&request(&config), &start(&Start::Seed))
        .expect("a valid run");
    broken.first_divergence(&expected, &runtime_steps(&model, &config, &Start::Seed).0)
}

#[test]
fn a_wrong_rounding_is_found_and_named() {
    let synthetic = (0..5).map(|widths| (format!("synthetic, widths {widths}"), synthetic(1, widths)));
    let converted = FILES.iter().map(|file| (file.name.clone(), file.memory.clone()));
    let wider = Form::ALL.map(|form| {
        (
            format!("wider, {form:?}"),
            AlignedBytes::copy_of(&wider::model(0, form)),
        )
    });
    let attentions = Form::ALL.map(|form| {
        let file = wider::attentions_model(1, form);
        (format!("attentions, {form:?}"), AlignedBytes::copy_of(&file))
    });
    let groups = Form::ALL.map(|form| {
        let file = wider::groups_model(1, form);
        (format!("groups, {form:?}"), AlignedBytes::copy_of(&file))
    });
    for (name, memory) in converted.chain(synthetic).chain(wider).chain(attentions).chain(groups) {
        let kinds = oracle(memory.bytes(), None).kinds();
        for kind in [
            "norm",
            "input",
            "time_proj",
            "silu",
            "conv",
            "group_norm",
            "attention",
            "cross_attention",
            "linear_attention",
            "pool",
            "constant",
            "avg_pool",
            "grouped_conv",
        ] {
            let Some(first) = kinds.iter().position(|k| *k == kind) else {
                continue;
            };
            let divergence = found(&memory, kind).unwrap_or_else(|| panic!("{name}: '{kind}' goes unseen"));
            assert_eq!(divergence.step, 0, "{name}: {divergence}");
            let op = divergence.op.unwrap_or_else(|| panic!("{name}: no operator named"));
            assert_eq!((op.index, op.kind), (first, kind), "{name}: {divergence}");
        }
    }
}

#[test]
fn a_wrong_rounding_of_the_sampler_shows_in_the_state_alone() {
    assert_eq!(
        found(&FILES[0].memory, "sampler"),
        Some(Divergence { step: 0, op: None })
    );
}
