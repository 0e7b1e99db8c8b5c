//! The runtime's face for products: runs that live in a struct, steps in pieces, slots of flash.

#[path = "../oracle/builder.rs"]
#[allow(dead_code)]
mod builder;
mod cooperative;
mod examples;
mod flash;
mod living;
mod pair;
mod pair_board;
#[path = "../engine/programs.rs"]
#[allow(dead_code)]
mod programs;
mod store;
mod streamed;
mod streamed_board;

use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Method, Model};
use mote_tests::synthetic::{self, Form};

/// Steps of a run.
const STEPS: u32 = 5;

/// Calls `check` with the synthetic model in every number format.
fn each(check: impl Fn(&Model<'_>)) {
    for form in Form::ALL {
        let memory = AlignedBytes::copy_of(&synthetic::model(form));
        check(&Model::parse(memory.bytes()).expect("the model is valid"));
    }
}

/// A run that draws noise and is guided.
fn guided(model: &Model<'_>) -> Config {
    Config {
        seed: 3,
        class: Some(0),
        guidance_q16: Some(2 << 16),
        eta_q16: 1 << 15,
        ..Config::of(model.header(), STEPS)
    }
}

/// Every sampler, guided and not.
fn configs(model: &Model<'_>) -> Vec<Config> {
    let of = |method, guidance_q16| Config {
        method,
        guidance_q16,
        eta_q16: 0,
        ..guided(model)
    };
    let mut all: Vec<Config> = mote_tests::running::METHODS
        .into_iter()
        .flat_map(|method: Method| [of(method, None), of(method, Some(3 << 15))])
        .collect();
    all.push(guided(model));
    all
}

/// The synthetic model for as long as the process runs.
fn forever(form: Form) -> Model<'static> {
    let memory = Box::leak(Box::new(AlignedBytes::copy_of(&synthetic::model(form))));
    Model::parse(memory.bytes()).expect("the model is valid")
}
