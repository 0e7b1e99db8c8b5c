//! An NVIDIA GPU: many images at once.

use super::cpu::draw;
use super::{BackendError, OpenModel, Sampling, StepTrace, Trace};
use mote_cuda::driver::{Device, missing};
use mote_cuda::{CudaError, Executor, Gpu, Image, Launcher, Start};
use mote_runtime::internals::sampler::q24_to_pixel;
use std::ops::ControlFlow;

impl From<CudaError> for BackendError {
    fn from(error: CudaError) -> Self {
        match error {
            CudaError::Missing { what, how } => Self::Unavailable {
                name: "cuda".into(),
                what: format!("missing {what}"),
                how,
            },
            CudaError::Run(error) => Self::Run(error),
            error => Self::Cuda(error),
        }
    }
}

/// Whether there is a GPU that will do; otherwise what is missing and how to get it.
pub fn available() -> Result<(), BackendError> {
    missing().map_or(Ok(()), |(what, how)| Err(CudaError::Missing { what, how }.into()))
}

/// Makes the images of `sampling` on the first GPU and hands them on, in order, as they are finished.
pub fn stream(
    opened: OpenModel<'_>,
    sampling: &Sampling,
    executor: Option<Executor>,
    take: &mut dyn FnMut(Vec<Trace>) -> ControlFlow<()>,
) -> Result<(), BackendError> {
    stream_on(Device::open(0)?, opened, sampling, executor, None, take)
}

/// The same on any device, in batches of at most `batch` images.
pub fn stream_on(
    device: impl Launcher,
    opened: OpenModel<'_>,
    sampling: &Sampling,
    executor: Option<Executor>,
    batch: Option<usize>,
    take: &mut dyn FnMut(Vec<Trace>) -> ControlFlow<()>,
) -> Result<(), BackendError> {
    let mut gpu = Gpu::prepare(device, opened.model)?;
    let images: Vec<(u64, Start<'_>)> = sampling
        .images
        .iter()
        .map(|image| (image.seed, image.origin.start()))
        .collect();
    let sampling = mote_cuda::Sampling {
        config: sampling.config,
        images: &images,
        known: sampling.known.as_deref(),
        operators: sampling.operators,
        executor,
        batch,
        recorded: true,
    };
    // The decoder runs once an image: on this machine, with the same bits.
    let mut failed = None;
    gpu.run(&sampling, |images| {
        let mut traces: Vec<Trace> = images.into_iter().map(trace).collect();
        match draw(opened, &mut traces, sampling.operators) {
            Ok(()) => take(traces),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(()), Err)
}

fn trace(image: Image) -> Trace {
    let steps = image.steps.into_iter().map(|step| StepTrace {
        index: step.index,
        timestep: step.timestep,
        digest: step.digest,
        operators: step.operators,
    });
    Trace {
        seed: image.seed,
        steps: steps.collect(),
        pixels: image.state.iter().copied().map(q24_to_pixel).collect(),
        state: image.state,
        picture: None,
    }
}
