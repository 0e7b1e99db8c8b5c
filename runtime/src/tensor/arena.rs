//! Memory that the caller owns, and bytes with the alignment that models and arenas need.

use crate::error::RunError;

/// Alignment of an arena and of a model file in memory, bytes.
pub const ALIGN: usize = 16;

/// Bytes at a multiple of 16: wrap a static array for an arena, or an included file for a model.
///
/// ```
/// static MODEL: mote_runtime::Aligned<[u8; 4]> = mote_runtime::Aligned(*b"MOTE");
/// assert_eq!(MODEL.0.as_ptr() as usize % 16, 0);
/// ```
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

impl<const N: usize> AsRef<[u8]> for Aligned<[u8; N]> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> AsMut<[u8]> for Aligned<[u8; N]> {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// All the memory that a run uses: sampler state, then the activations.
#[derive(Debug)]
pub struct Arena<'a> {
    pub(crate) bytes: &'a mut [u8],
}

impl<'a> Arena<'a> {
    /// Takes `bytes`, which must start at a multiple of 16; the size is checked when a run starts.
    pub fn new(bytes: &'a mut [u8]) -> Result<Self, RunError> {
        if (bytes.as_ptr() as usize).is_multiple_of(ALIGN) {
            Ok(Self { bytes })
        } else {
            Err(RunError::ArenaMisaligned(ALIGN as u32))
        }
    }
}
