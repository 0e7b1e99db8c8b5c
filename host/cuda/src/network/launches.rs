//! How an evaluation is cut into launches, and how many samples one can have.

use super::program::Program;
use crate::CudaError;
use crate::launch::{Launch, Limits};

/// Threads of a block; the convolution in f32 is written for so many.
const THREADS: u32 = 128;
/// Shared memory of the convolution in f32: 16 taps of 68 rows and of 32 columns, and 64 rows of 16 bytes (network_conv.cuh).
const CONV_SHARED: u32 = 16 * (68 + 32) * 4 + 64 * 16;
/// Rows and columns of its tiles, and of the tensor cores' kernel's.
const TILE: [u64; 2] = [64, 32];
const TENSOR_TILE: [u64; 2] = [16, 32];
/// Blocks of a kernel that a multiprocessor is given at most; every thread goes on until all work is done.
const BLOCKS_A_PROCESSOR: u32 = 16;
/// Elements and threads that kernels count in 32 bits.
const ELEMENTS: u64 = 1 << 31;
/// Which kernel runs an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// A thread an element, so many a sample.
    Pointwise(u64),
    /// A block a tile of rows, so many a sample, by so many tiles of columns.
    Conv(u64, u64),
    /// A warp a tile.
    TensorConv(u64, u64),
    /// A warp a group.
    Norm(u64),
    /// A warp a query of a head, with as many scores as there are positions.
    Attention { queries: u64, positions: u32 },
}

impl Kernel {
    fn name(&self) -> &'static str {
        match self {
            Self::Pointwise(_) => "network_pointwise",
            Self::Conv(..) => "network_conv",
            Self::TensorConv(..) => "network_tensor_conv",
            Self::Norm(_) => "network_norm",
            Self::Attention { .. } => "network_attention",
        }
    }

    /// Threads that have work for `samples`.
    fn threads(&self, samples: u64) -> u64 {
        let tiles = |positions: u64, outs: u64, tile: [u64; 2]| {
            (samples * positions).div_ceil(tile[0]) * outs.div_ceil(tile[1])
        };
        match *self {
            Self::Pointwise(elements) => samples * elements,
            Self::Conv(positions, outs) => tiles(positions, outs, TILE) * u64::from(THREADS),
            Self::TensorConv(positions, outs) => tiles(positions, outs, TENSOR_TILE) * 32,
            Self::Norm(items) | Self::Attention { queries: items, .. } => samples * items * 32,
        }
    }
}

/// The launches of an evaluation of `samples`, whose [`super::layout::NetworkRun`] is at `at`.
pub(super) fn launches(program: &Program, limits: &Limits, at: u64, samples: u64) -> Result<Vec<Launch>, CudaError> {
    let launch = |(i, kernel): (usize, &Kernel)| {
        let (name, mut threads, mut shared) = (kernel.name(), THREADS, 0);
        if let Kernel::Attention { positions, .. } = kernel {
            let bytes = |threads: u32| u64::from(threads / 32) * u64::from(*positions) * 4;
            let fits = |threads: &u32| bytes(*threads) <= limits.shared.into();
            threads = [THREADS, THREADS / 2, THREADS / 4]
                .into_iter()
                .find(fits)
                .ok_or(CudaError::Shared {
                    what: "an attention",
                    needed: bytes(32),
                    found: limits.shared,
                })?;
            shared = bytes(threads) as u32;
        }
        if matches!(kernel, Kernel::Conv(..)) {
            shared = CONV_SHARED;
        }
        let blocks = kernel.threads(samples).div_ceil(threads.into());
        let most = u64::from(limits.processors.max(1) * BLOCKS_A_PROCESSOR);
        Ok(Launch {
            kernel: name,
            blocks: blocks.clamp(1, most) as u32,
            threads,
            shared,
            args: [at, i as u64, 0],
        })
    };
    program.kernels.iter().enumerate().map(launch).collect()
}

/// Samples of a batch: what was asked for, as far as memory and the kernels' counters go.
pub(super) fn fitting(program: &Program, limits: &Limits, asked: usize) -> Result<usize, CudaError> {
    let words = program.sample_len() + program.output_len() + program.feature_len() + 1;
    let each = program.stride + 4 * words as u64;
    // A part is left to the driver and to others.
    let room = (limits.memory / 10 * 9).saturating_sub(program.constants.len() as u64) / each;
    let widest = program
        .kernels
        .iter()
        .map(|kernel| kernel.threads(1))
        .max()
        .unwrap_or(1);
    let longest = program
        .ops
        .iter()
        .map(|op| op.out.len().max(op.first.len()))
        .max()
        .unwrap_or(1);
    let counted = ELEMENTS / widest.max(longest).max(1);
    if room == 0 || counted == 0 {
        return Err(CudaError::Memory {
            needed: each,
            found: limits.memory,
        });
    }
    Ok((asked.max(1) as u64).min(room).min(counted) as usize)
}
