//! Sees every operator of a step: which it was, and the range of what it wrote.
//!
//! ```text
//! cargo run --release -p mote-runtime --example observer -- model.mote
//! ```

use std::error::Error;

use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Config, Model, Observer, RunError, Sampler, Start, StepObserver, arena_bytes};

/// What an operator wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub index: u16,
    /// Elements of its output.
    pub elements: usize,
}

/// Notes operators; a firmware takes a cycle counter's value in `before` and in `after`.
#[derive(Debug, Default)]
pub struct Notes(pub Vec<Seen>);

impl Observer for Notes {
    fn after(&mut self, index: u16, _: &Op, output: &View<'_>) {
        let elements = output.len();
        self.0.push(Seen { index, elements });
    }
}

impl StepObserver for Notes {}

/// The operators of a run's first step.
pub fn first_step(model: &Model<'_>, config: &Config) -> Result<Vec<Seen>, RunError> {
    let mut memory = vec![0u128; arena_bytes(model, config).div_ceil(16)];
    let mut arena = Arena::new(bytemuck::cast_slice_mut(&mut memory))?;
    let mut run = Sampler::new(model, &mut arena, config, &Start::Seed)?;
    let mut notes = Notes::default();
    run.step_observed(&mut notes)?;
    Ok(notes.0)
}

#[allow(dead_code, reason = "a test runs the function above")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("give a model file: observer model.mote")?;
    let file = std::fs::read(path)?;
    let mut memory = vec![0u128; file.len().div_ceil(16)];
    let bytes: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut memory)[..file.len()];
    bytes.copy_from_slice(&file);
    let model = Model::parse(bytes)?;
    for seen in first_step(&model, &Config::of(model.header(), 20))? {
        println!("operator {}: {} elements", seen.index, seen.elements);
    }
    Ok(())
}
