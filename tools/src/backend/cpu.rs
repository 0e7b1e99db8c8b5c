//! This machine: the engine's kernels for its processor, or the runtime's own.

use super::{BackendError, ImageRequest, OpenModel, Sampling, StepTrace, Trace};
use mote_engine::memory::AlignedBytes;
use mote_engine::picture::picture;
use mote_engine::{Engine, Steps};
use mote_runtime::internals::digest::Digest;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::sampler::q24_to_pixel;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Model, Observer, Portable, Sampler, StepObserver};
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// Every image on a thread of its own, in the engine.
pub fn run(
    opened: OpenModel<'_>,
    sampling: &Sampling,
    on_step: &(dyn Fn() + Sync),
) -> Result<Vec<Trace>, BackendError> {
    let engine = Engine::prepare(opened.model);
    let decoder = opened.model.decoder();
    let drawing = decoder.as_ref().map(Engine::prepare);
    let networks = || (engine.worker(), drawing.as_ref().map(Engine::worker));
    run_by(networks, decoder.as_ref(), opened, sampling, on_step)
}

/// Makes the pictures of traces that have none yet, where the model has a decoder.
pub fn draw(opened: OpenModel<'_>, traces: &mut [Trace], operators: bool) -> Result<(), BackendError> {
    let Some(decoder) = opened.model.decoder() else {
        return Ok(());
    };
    let engine = Engine::prepare(&decoder);
    traces.par_iter_mut().try_for_each(|trace| {
        let mut watch = OpDigests::new(operators);
        let picture = picture(&decoder, &trace.state, &mut engine.worker(), |output| watch.see(output))?;
        show(trace, &picture, watch.digests);
        Ok(())
    })
}

/// Puts a picture in the trace of the run that it ends.
pub(super) fn show(trace: &mut Trace, picture: &[i32], operators: Vec<u64>) {
    trace.pixels = picture.iter().copied().map(q24_to_pixel).collect();
    trace.picture = Some(StepTrace {
        index: trace.steps.last().map_or(0, |step| step.index + 1),
        timestep: 0,
        digest: Digest::of(picture.iter().copied()).0,
        operators,
    });
}

/// The same in the runtime's own kernels, which are the device's.
pub fn run_portable(
    opened: OpenModel<'_>,
    sampling: &Sampling,
    on_step: &(dyn Fn() + Sync),
) -> Result<Vec<Trace>, BackendError> {
    let decoder = opened.model.decoder();
    run_by(
        || (Portable, Some(Portable)),
        decoder.as_ref(),
        opened,
        sampling,
        on_step,
    )
}

/// Every image on a thread of its own; `networks` makes what a thread needs, for the network and for the decoder.
fn run_by<N: Steps>(
    networks: impl Fn() -> (N, Option<N>) + Sync + Send,
    decoder: Option<&Model<'_>>,
    opened: OpenModel<'_>,
    sampling: &Sampling,
    on_step: &(dyn Fn() + Sync),
) -> Result<Vec<Trace>, BackendError> {
    let thread = || (AlignedBytes::for_run(opened.model, &sampling.config), networks());
    sampling
        .images
        .par_iter()
        .map_init(thread, |(memory, (network, drawing)), image| {
            let drawing = decoder.zip(drawing.as_mut());
            one(opened, sampling, image, memory, (network, drawing), on_step)
        })
        .collect()
}

fn one<N: Steps>(
    opened: OpenModel<'_>,
    sampling: &Sampling,
    image: &ImageRequest,
    memory: &mut AlignedBytes,
    (network, drawing): (&mut N, Option<(&Model<'_>, &mut N)>),
    on_step: &(dyn Fn() + Sync),
) -> Result<Trace, BackendError> {
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut sampler = Sampler::new(
        opened.model,
        &mut arena,
        &sampling.config_of(image),
        &image.origin.start(),
    )?;
    match &sampling.known {
        Some(seen) if opened.model.header().prediction.is_chain() => sampler.posterior(seen, sampling.known_noise)?,
        Some(known) => sampler.inpaint(known)?,
        None => {}
    }
    if let Some(condition) = &image.condition {
        sampler.condition(condition)?;
    }
    let mut trace = Trace {
        seed: image.seed,
        ..Trace::default()
    };
    let mut watch = OpDigests::new(sampling.operators);
    while let Some(step) = network.step(
        &mut sampler,
        sampling.operators.then_some(&mut watch as &mut dyn StepObserver),
    )? {
        let operators = std::mem::take(&mut watch.digests);
        trace.steps.push(StepTrace {
            index: step.index,
            timestep: step.timestep,
            digest: step.digest,
            operators,
        });
        on_step();
    }
    trace.state = sampler.state().to_vec();
    let Some((decoder, network)) = drawing else {
        trace.pixels = vec![0; opened.model.header().sample_len()];
        sampler.image(&mut trace.pixels)?;
        return Ok(trace);
    };
    // In the run's own arena, as a device makes it.
    sampler.decode_by(decoder, network, &mut watch)?;
    let picture = std::mem::take(&mut watch.picture);
    show(&mut trace, &picture, watch.digests);
    Ok(trace)
}

/// Digests every operator's output as the firmware does.
#[derive(Default)]
struct OpDigests {
    enabled: bool,
    digests: Vec<u64>,
    /// Outputs in Q24 since it was last taken: a network's output, or the bands of a picture.
    picture: Vec<i32>,
}

impl OpDigests {
    fn new(enabled: bool) -> Self {
        Self {
            enabled,
            ..Self::default()
        }
    }

    fn see(&mut self, output: &View<'_>) {
        if self.enabled {
            self.digests
                .push(Digest::of((0..output.len()).map(|i| output.get(i))).0);
        }
    }
}

impl Observer for OpDigests {
    fn after(&mut self, index: u16, _op: &Op, output: &View<'_>) {
        if index == 0 {
            self.picture.clear();
        }
        if let View::Q24(rows) = output {
            self.picture.extend_from_slice(rows);
        }
        self.see(output);
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
