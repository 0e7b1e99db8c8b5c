//! This machine: the engine's kernels for its processor, or the runtime's own.

use super::{BackendError, Job, StepTrace, Target, Trace, Wanted};
use mote_engine::Engine;
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::digest::Digest;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Network, Observer, Portable, Sampler, StepObserver};
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// Every image on a thread of its own, in the engine.
pub fn run(target: Target<'_>, job: &Job, on_step: &(dyn Fn() + Sync)) -> Result<Vec<Trace>, BackendError> {
    let engine = Engine::prepare(target.model);
    run_by(|| engine.worker(), target, job, on_step)
}

/// The same in the runtime's own kernels, which are the device's.
pub fn run_portable(target: Target<'_>, job: &Job, on_step: &(dyn Fn() + Sync)) -> Result<Vec<Trace>, BackendError> {
    run_by(|| Portable, target, job, on_step)
}

/// Every image on a thread of its own; `network` makes what a thread needs.
fn run_by<N: Network>(
    network: impl Fn() -> N + Sync + Send,
    target: Target<'_>,
    job: &Job,
    on_step: &(dyn Fn() + Sync),
) -> Result<Vec<Trace>, BackendError> {
    let thread = || (AlignedBytes::for_run(target.model, &job.config), network());
    job.images
        .par_iter()
        .map_init(thread, |(memory, network), image| {
            one(target, job, image, memory, network, on_step)
        })
        .collect()
}

fn one(
    target: Target<'_>,
    job: &Job,
    image: &Wanted,
    memory: &mut AlignedBytes,
    network: &mut impl Network,
    on_step: &(dyn Fn() + Sync),
) -> Result<Trace, BackendError> {
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut sampler = Sampler::new(target.model, &mut arena, &job.config_of(image), &image.origin.start())?;
    if let Some(known) = &job.known {
        sampler.inpaint(known)?;
    }
    if let Some(condition) = &image.condition {
        sampler.condition(condition)?;
    }
    let mut trace = Trace {
        seed: image.seed,
        ..Trace::default()
    };
    let mut watch = OpDigests {
        enabled: job.operators,
        digests: vec![],
    };
    while let Some(step) = sampler.step_by(network, &mut watch)? {
        let operators = std::mem::take(&mut watch.digests);
        trace.steps.push(StepTrace {
            index: step.index,
            timestep: step.timestep,
            digest: step.digest,
            operators,
        });
        on_step();
    }
    trace.pixels = vec![0; target.model.header().sample_len()];
    sampler.image(&mut trace.pixels)?;
    trace.state = sampler.state().to_vec();
    Ok(trace)
}

/// Digests every operator's output as the firmware does.
struct OpDigests {
    enabled: bool,
    digests: Vec<u64>,
}

impl Observer for OpDigests {
    fn after(&mut self, _index: u16, _op: &Op, output: &View<'_>) {
        if self.enabled {
            self.digests
                .push(Digest::of((0..output.len()).map(|i| output.get(i))).0);
        }
    }
}

impl StepObserver for OpDigests {}

/// Time spent in each operator, over all calls.
#[derive(Debug, Clone)]
pub struct OpTimer {
    began: Instant,
    /// By operator.
    pub spent: Vec<Duration>,
}

impl OpTimer {
    /// For a model of `operators` operators.
    pub fn new(operators: usize) -> Self {
        Self {
            began: Instant::now(),
            spent: vec![Duration::ZERO; operators],
        }
    }
}

impl Observer for OpTimer {
    fn before(&mut self, _index: u16, _op: &Op) {
        self.began = Instant::now();
    }

    fn after(&mut self, index: u16, _op: &Op, _output: &View<'_>) {
        if let Some(spent) = self.spent.get_mut(usize::from(index)) {
            *spent += self.began.elapsed();
        }
    }
}

impl StepObserver for OpTimer {}
