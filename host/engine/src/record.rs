//! Whole activations of some calls along sampling trajectories, for what statistics cannot tell.

use mote_runtime::internals::ops::Op;
use mote_runtime::internals::sampler::Predicted;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Config, Model, Observer, RunError, Sampler, Start, StepObserver};
use rayon::prelude::*;

use crate::memory::AlignedBytes;

/// One network call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    /// Every operator's output in order, f16 bits `(row, col, channel)`; the network's own, which is none, is left empty.
    pub outputs: Vec<Vec<u16>>,
}

struct Recorder {
    current: Recording,
    calls: Vec<Recording>,
    first: usize,
    every: usize,
}

impl Observer for Recorder {
    fn after(&mut self, _index: u16, _op: &Op, output: &View<'_>) {
        self.current.outputs.push(match output {
            View::F16(values) => values.to_vec(),
            _ => vec![],
        });
    }
}

impl StepObserver for Recorder {
    fn predicted(&mut self, p: &Predicted<'_>) {
        let call = std::mem::take(&mut self.current);
        if p.index as usize % self.every == self.first {
            self.calls.push(call);
        }
    }
}

/// Runs `configs`, each from its own seed and without guidance, on an f16 model; keeps one call of `every`, in each run other
/// ones than in the run before. The runs go in parallel; the result does not depend on how many at a time.
pub fn record(model: &Model<'_>, configs: &[Config], every: usize) -> Result<Vec<Recording>, RunError> {
    let every = every.max(1);
    let run = |(i, config): (usize, &Config)| {
        let mut recorder = Recorder {
            current: Recording::default(),
            calls: vec![],
            first: i % every,
            every,
        };
        let mut memory = AlignedBytes::for_run(model, config);
        let mut arena = Arena::new(memory.bytes_mut())?;
        let mut run = Sampler::new(model, &mut arena, config, &Start::Seed)?;
        while run.step_observed(&mut recorder)?.is_some() {}
        Ok(recorder.calls)
    };
    let runs: Result<Vec<Vec<Recording>>, RunError> = configs.par_iter().enumerate().map(run).collect();
    Ok(runs?.into_iter().flatten().collect())
}
