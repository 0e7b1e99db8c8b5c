//! Heap memory with the alignment that models and arenas need.

use mote_runtime::{Config, Model};

/// Bytes on the heap that start at a multiple of 16.
#[derive(Debug, Clone)]
pub struct AlignedBytes {
    /// A u128 is aligned to 16 on every host that is supported; `bytes` is the part in use.
    blocks: Vec<u128>,
    len: usize,
}

impl AlignedBytes {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        Self {
            blocks: vec![0; len.div_ceil(16)],
            len,
        }
    }

    /// A copy of `bytes`, such as a model file read from disk.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut memory = Self::zeroed(bytes.len());
        memory.bytes_mut().copy_from_slice(bytes);
        memory
    }

    /// An arena for one run of `model` under `config`.
    pub fn for_run(model: &Model<'_>, config: &Config) -> Self {
        Self::zeroed(mote_runtime::arena_bytes(model, config))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.blocks)[..self.len]
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[..self.len]
    }
}

// Since Rust 1.77 u128 is aligned to 16 on x86-64; this fails to compile where it is not.
const _: () = assert!(align_of::<u128>() >= 16);
