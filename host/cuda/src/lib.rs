//! Models on an NVIDIA GPU: thousands of samples at once, to the same bytes as on the device.
//!
//! The kernels are CUDA C++ in `host/cuda/kernels`, built into this crate as PTX; the driver is looked for at run time, so that nothing
//! here needs CUDA to be installed. [`driver::missing`] says what is not there.
//!
//! - [`program`], [`pack`]: a model as the kernels read it, weights in the order of the tensor cores' fragments.
//! - [`launch`]: what a device must be able to do. [`driver`]: a GPU. The tests have another: the kernels' source on the CPU.
//! - [`run`]: images by one of two executors, [`layered`] and [`resident`]; [`moves`]: the sampler's coefficients; [`memory`]: batches.
//! - [`network`]: the float network of a checkpoint, which has nothing to do with the exact modes.
//!
//! The arena of every sample is laid out as the model file says, so a GPU holds what a microcontroller does, many times.

mod builder;
pub mod driver;
pub mod launch;
pub mod layered;
pub mod memory;
pub mod moves;
pub mod network;
pub mod ops;
pub mod pack;
pub mod program;
pub mod records;
pub mod resident;
pub mod run;

pub use launch::{Launcher, Limits};
pub use run::{Executor, Gpu, Image, Sampling, Start};

use mote_graph::float::FloatError;
use mote_runtime::RunError;

/// The kernels for compute capability 8.0 and later, made by `host/cuda/kernels/build`. The first line is the hash of their source.
pub const PTX: &str = include_str!("../kernels/mote.ptx");

/// Why a GPU made no images.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// There is none, or none that will do.
    #[error("missing {what}")]
    Missing {
        /// What is not here.
        what: String,
        /// How to get it.
        how: String,
    },
    /// The driver refused.
    #[error("the GPU's driver: {0}")]
    Driver(String),
    /// The sampler refused the run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A block needs more shared memory than the GPU has.
    #[error("{what} needs {needed} bytes of shared memory, and a block can have {found}")]
    Shared {
        /// What needs it.
        what: &'static str,
        /// Bytes.
        needed: u64,
        /// Bytes.
        found: u32,
    },
    /// Not even one sample fits the GPU's memory.
    #[error("a sample needs {needed} bytes of the GPU's memory, of which {found} are free")]
    Memory {
        /// Bytes.
        needed: u64,
        /// Bytes.
        found: u64,
    },
    /// The model names what it does not hold.
    #[error("the model names memory that it does not have")]
    Model,
    /// A model with an operator that has no kernel.
    #[error("the operator '{0}' has no kernel for a GPU: choose another backend")]
    Operator(&'static str),
    /// A float network beyond what its kernels count.
    #[error("{0} does not run on a GPU: choose another backend")]
    Unsupported(&'static str),
    /// A number that f16 does not hold.
    #[error("the float network has numbers beyond f16's range: run it in f32")]
    Range,
    /// The float network refused the batch.
    #[error(transparent)]
    Float(Box<FloatError>),
    /// A copy went past the end of a buffer, or to one that is no more.
    #[error("a copy from or to memory of the GPU that is not there")]
    Buffer,
}

impl From<FloatError> for CudaError {
    fn from(error: FloatError) -> Self {
        Self::Float(Box::new(error))
    }
}

/// Memory that holds `bytes`.
fn filled(launcher: &mut impl Launcher, bytes: &[u8]) -> Result<launch::Buffer, CudaError> {
    let buffer = launcher.alloc(bytes.len())?;
    launcher.write(&buffer, 0, bytes)?;
    Ok(buffer)
}
