//! Families of instructions.
//!
//! A family is a value of a type that implements `Simd` and, for each operator that has inner loops, that operator's own trait
//! (`ops`): what a family does not write itself is the plain form, compiled with its instructions.

use bytemuck::{Pod, Zeroable};

/// Output channels of a block: the 32-bit lanes of a 512-bit register.
pub(crate) const LANES: usize = 16;

/// A set of instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// [`Family::Avx512`] with AMX for int8: Intel since Sapphire Rapids' servers, on Linux.
    Amx,
    /// AVX-512 F, BW, DQ, VL and VNNI: Intel since Ice Lake's servers, AMD since Zen 4.
    Avx512,
    /// AVX2: nearly every x86-64 since 2013.
    Avx2,
    /// The runtime's own kernels.
    Portable,
}

impl Family {
    /// Every family, the fastest first.
    pub const ALL: [Self; 4] = [Self::Amx, Self::Avx512, Self::Avx2, Self::Portable];

    /// Whether this processor has it.
    pub fn is_here(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Amx => crate::x86::avx512::Avx512::found_with_tiles().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => crate::x86::avx512::Avx512::found().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => crate::x86::avx2::Avx2::found().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The fastest one of this processor.
    pub fn best() -> Self {
        Self::ALL
            .into_iter()
            .find(|family| family.is_here())
            .unwrap_or(Self::Portable)
    }

    /// Whether int8 inputs are multiplied as bytes; otherwise they are widened to int16.
    pub(crate) fn multiplies_bytes(self) -> bool {
        matches!(self, Self::Amx | Self::Avx512)
    }
}

/// Weights of [`LANES`] output channels for four bytes of input: `[out][4]` as i8, or `[out][2]` as i16.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line(pub [u8; 64]);

impl Default for Line {
    fn default() -> Self {
        Self([0; 64])
    }
}

/// A family. A value of it is a proof that this processor has the instructions.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Runs `work` compiled with the family's instructions, as far as `work` is inlined.
    fn vectorize<R>(self, work: impl FnOnce() -> R) -> R;
}
