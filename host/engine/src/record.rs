//! Whole activations of some calls along sampling trajectories, for what statistics cannot tell.

use mote_runtime::internals::ops::Op;
use mote_runtime::internals::sampler::Predicted;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Model, Observer, RunError, StepObserver};
use rayon::prelude::*;

use crate::Engine;
use crate::calibrate::Run;
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

/// Makes `runs`, without guidance, on an f16 model; keeps one call of `every`, in each run other
/// ones than in the run before. The runs go in parallel; the result does not depend on how many at a time.
pub fn record(model: &Model<'_>, runs: &[impl Into<Run> + Clone], every: usize) -> Result<Vec<Recording>, RunError> {
    let (every, engine) = (every.max(1), Engine::prepare(model));
    let one = |(i, run): (usize, &Run)| {
        let mut recorder = Recorder {
            current: Recording::default(),
            calls: vec![],
            first: i % every,
            every,
        };
        let mut memory = AlignedBytes::for_run(model, &run.config);
        let mut arena = Arena::new(memory.bytes_mut())?;
        let mut run = run.begin(model, &mut arena)?;
        let mut worker = engine.worker();
        while run.step_by(&mut worker, &mut recorder)?.is_some() {}
        Ok(recorder.calls)
    };
    let all: Vec<Run> = runs.iter().cloned().map(Into::into).collect();
    let made: Result<Vec<Vec<Recording>>, RunError> = all.par_iter().enumerate().map(one).collect();
    Ok(made?.into_iter().flatten().collect())
}
