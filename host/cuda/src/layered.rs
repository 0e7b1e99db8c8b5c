//! The layered executor: a kernel an operator over all samples of a batch; the launches of a move are recorded once and repeated.

use super::CudaError;
use super::launch::{Launch, Launcher, Limits, Recording};
use super::memory::{GroupRun, Memory};
use super::ops::Layer;
use super::run::Gpu;

/// Threads of a block.
const THREADS: u32 = 128;
/// Blocks of a kernel that a multiprocessor is given at most; every thread goes on until all work is done.
const BLOCKS_A_PROCESSOR: u32 = 16;

/// The launches of a move, for the batch size that was last run.
#[derive(Debug, Default)]
pub struct Layered {
    launches: Vec<Launch>,
    recording: Option<(usize, Recording)>,
}

impl Layered {
    /// All moves of `samples` samples.
    pub fn run<L: Launcher>(
        &mut self,
        gpu: &mut Gpu<'_, L>,
        memory: &Memory,
        plan: &GroupRun<'_>,
        samples: usize,
    ) -> Result<(), CudaError> {
        if !matches!(&self.recording, Some((of, _)) if *of == samples) || !plan.recorded {
            self.launches = launches(gpu, memory, plan, samples as u64)?;
            self.recording = None;
            if plan.recorded {
                self.recording = Some((samples, gpu.launcher.record(&self.launches)?));
            }
        }
        for _ in &plan.moves.device {
            match self.recording {
                Some((_, recording)) => gpu.launcher.replay(recording)?,
                None => self
                    .launches
                    .iter()
                    .try_for_each(|launch| gpu.launcher.launch(launch))?,
            }
        }
        Ok(())
    }
}

/// The launches of one move.
fn launches<L>(gpu: &Gpu<'_, L>, memory: &Memory, plan: &GroupRun<'_>, samples: u64) -> Result<Vec<Launch>, CudaError> {
    let (limits, at) = (&gpu.limits, memory.at());
    let sample = gpu.model.header().sample_len() as u64;
    let mut launches = Vec::new();
    for call in 0..plan.calls() {
        for (i, (layer, op)) in gpu.program.layers.iter().zip(&gpu.program.ops).enumerate() {
            let args = [at, i as u64, call];
            let Layer {
                kernel,
                threads,
                scores,
            } = *layer;
            let held = if scores > 0 { gpu.program.scores() } else { 0 };
            launches.push(grid(limits, kernel.name(), threads * samples, held, args)?);
            if plan.operators {
                let threads = op.out.len().next_multiple_of(32) * samples;
                launches.push(grid(limits, "digest_layer", threads, 0, args)?);
            }
        }
        if call + 1 < plan.calls() {
            launches.push(grid(limits, "hold_layer", sample * samples, 0, [at, 0, call])?);
        }
    }
    let threads = sample.next_multiple_of(32) * samples;
    launches.push(grid(limits, "advance_layer", threads, 0, [at, 0, 0])?);
    launches.push(Launch {
        kernel: "next_layer",
        blocks: 1,
        threads: 32,
        shared: 0,
        args: [at, 0, 0],
    });
    Ok(launches)
}

/// A launch over `threads` threads, of which every warp holds `scores` words of shared memory.
pub fn grid(
    limits: &Limits,
    kernel: &'static str,
    threads: u64,
    scores: u32,
    args: [u64; 3],
) -> Result<Launch, CudaError> {
    let shared = |block: u32| u64::from(block / 32) * u64::from(scores) * 4;
    let sizes = [THREADS, THREADS / 2, THREADS / 4];
    let block = sizes.into_iter().find(|block| shared(*block) <= limits.shared.into());
    let block = block.ok_or(CudaError::Shared {
        what: "an attention",
        needed: shared(32),
        found: limits.shared,
    })?;
    let most = u64::from(limits.processors.max(1) * BLOCKS_A_PROCESSOR);
    Ok(Launch {
        kernel,
        blocks: threads.div_ceil(block.into()).clamp(1, most) as u32,
        threads: block,
        shared: shared(block) as u32,
        args,
    })
}
