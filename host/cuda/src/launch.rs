//! What a device must be able to do, whatever it is: memory, launches, recorded launches.

use super::CudaError;

/// Memory of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Address on the device.
    pub address: u64,
    /// Bytes.
    pub len: usize,
}

/// One launch of a kernel; every kernel takes three words (`host/cuda/kernels/mote.cu`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Name in the PTX.
    pub kernel: &'static str,
    /// Blocks.
    pub blocks: u32,
    /// Threads of a block, whole warps.
    pub threads: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared: u32,
    /// Address of the run, operator, call.
    pub args: [u64; 3],
}

/// What a device has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Its name.
    pub name: String,
    /// Multiprocessors.
    pub processors: u32,
    /// Bytes of shared memory that one block can have.
    pub shared: u32,
    /// Bytes of memory that are free.
    pub memory: u64,
}

/// A number of recorded launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recording(pub usize);

/// Runs kernels: a GPU, or the stand-in of the tests.
pub trait Launcher {
    /// What the device has.
    fn limits(&self) -> Limits;

    /// Memory with undefined contents, kept until [`Launcher::free_all`].
    fn alloc(&mut self, len: usize) -> Result<Buffer, CudaError>;

    /// Gives back all memory and all recordings.
    fn free_all(&mut self);

    /// Copies to the device, from `offset` on.
    fn write(&mut self, to: &Buffer, offset: usize, bytes: &[u8]) -> Result<(), CudaError>;

    /// Copies from the device, from its first byte on, after everything that was launched.
    fn read(&mut self, from: &Buffer, bytes: &mut [u8]) -> Result<(), CudaError>;

    /// Launches a kernel behind those before it.
    fn launch(&mut self, launch: &Launch) -> Result<(), CudaError>;

    /// Records launches, to be repeated as one.
    fn record(&mut self, launches: &[Launch]) -> Result<Recording, CudaError>;

    /// Launches what was recorded.
    fn replay(&mut self, recording: Recording) -> Result<(), CudaError>;
}

impl<L: Launcher> Launcher for &mut L {
    fn limits(&self) -> Limits {
        (**self).limits()
    }

    fn alloc(&mut self, len: usize) -> Result<Buffer, CudaError> {
        (**self).alloc(len)
    }

    fn free_all(&mut self) {
        (**self).free_all();
    }

    fn write(&mut self, to: &Buffer, offset: usize, bytes: &[u8]) -> Result<(), CudaError> {
        (**self).write(to, offset, bytes)
    }

    fn read(&mut self, from: &Buffer, bytes: &mut [u8]) -> Result<(), CudaError> {
        (**self).read(from, bytes)
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), CudaError> {
        (**self).launch(launch)
    }

    fn record(&mut self, launches: &[Launch]) -> Result<Recording, CudaError> {
        (**self).record(launches)
    }

    fn replay(&mut self, recording: Recording) -> Result<(), CudaError> {
        (**self).replay(recording)
    }
}
