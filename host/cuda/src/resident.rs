//! The resident executor: a block of threads a sample, the whole network and all its moves in one launch.

use mote_runtime::Config;

use super::CudaError;
use super::launch::Launch;
use super::memory::tensors;
use super::run::Gpu;

/// Threads of a block where shared memory has room for the scores of so many warps.
const THREADS: u32 = 256;

/// A block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Block {
    /// Its threads.
    pub threads: u32,
    /// Bytes of its shared memory: the arena, the state and what is held beside it, the warps' scores.
    pub shared: u32,
}

impl Block {
    /// One that holds a sample of the model under `config`.
    pub fn of<L>(gpu: &Gpu<'_, L>, config: &Config) -> Result<Self, CudaError> {
        let held = gpu.stride() + gpu.model.header().sample_len() as u64 * 4 * tensors(config);
        let bytes = |threads: u32| held + u64::from(threads / 32) * u64::from(gpu.program.scores()) * 4;
        let sizes = [THREADS, THREADS / 2, THREADS / 4];
        let fitting = sizes
            .into_iter()
            .find(|threads| bytes(*threads) <= gpu.limits.shared.into());
        match fitting {
            Some(threads) => Ok(Self {
                threads,
                shared: bytes(threads) as u32,
            }),
            None => Err(CudaError::Shared {
                what: "a sample of this model",
                needed: bytes(THREADS / 4),
                found: gpu.limits.shared,
            }),
        }
    }

    /// All moves of `samples` samples of the run at address `at`.
    pub fn launch(self, at: u64, samples: usize) -> Launch {
        Launch {
            kernel: "resident",
            blocks: samples as u32,
            threads: self.threads,
            shared: self.shared,
            args: [at, 0, 0],
        }
    }
}
