//! Families of instructions, and the inner loops that a family supplies.

use super::attention::{GROUP, Rows};
use super::conv::{Finish, Tile};
use super::norm::Normalize;
use super::source::{Columns, Stored, join};
use super::split::Split;
use bytemuck::{Pod, Zeroable};

/// Output channels of a block: the 32-bit lanes of a 512-bit register.
pub(super) const LANES: usize = 16;

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
            Self::Amx => super::avx512::Avx512::found_with_tiles().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => super::avx512::Avx512::found().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => super::avx2::Avx2::found().is_some(),
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
    pub(super) fn multiplies_bytes(self) -> bool {
        matches!(self, Self::Amx | Self::Avx512)
    }
}

/// Weights of [`LANES`] output channels for four bytes of input: `[out][4]` as i8, or `[out][2]` as i16.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line(pub [u8; 64]);

/// The inner loops of a family. A value of it is a proof that this processor has the instructions.
pub(super) trait Simd: Copy + Send + Sync {
    /// Runs `work` compiled with the family's instructions, as far as `work` is inlined.
    fn vectorize<R>(self, work: impl FnOnce() -> R) -> R;

    /// Dot products of `P` windows with `B` blocks of output channels.
    fn dots<const P: usize, const B: usize>(self, tile: &Tile<'_>, at: &[u32; P], sums: &mut [[[i32; LANES]; P]; B]);

    /// Tiles for dot products of bytes, where the family has them.
    #[cfg(target_arch = "x86_64")]
    fn tiles(self) -> Option<super::amx::Amx> {
        None
    }

    /// From sums to outputs: one block of channels at consecutive positions.
    fn finish(self, sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]);

    /// The same for int16 weights: from sums of the high and of the low halves.
    fn finish_wide(self, high: &[[i32; LANES]], low: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]);

    /// The same where one block holds high and low halves: at most 16 positions of few channels. `false` where the family has no
    /// such loop for `to`.
    fn finish_column(self, sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) -> bool {
        let _ = (sums, to, first, out);
        false
    }

    /// Probabilities of queries, Q15, a lane a position, blocks of positions a query; `keys` has in each block a line a channel.
    fn probabilities(self, rows: &Rows<'_>, keys: &[[i32; LANES]], weights: &mut [[i32; LANES]]);

    /// Sum over positions of a probability times a group of channels.
    fn weighted(self, weights: &[i32], values: &[[i32; GROUP]]) -> [i32; GROUP];

    /// Sums and sums of squares by lane of every `period`-th chunk, of which there are at most 2^16.
    fn moments<Q: Stored>(self, chunks: &[[Q; LANES]], period: usize) -> ([i32; LANES], [i64; LANES]);

    /// The second pass of a group normalization over elements in order.
    fn normalize<Q: Stored>(self, input: &[Q], to: &Normalize<'_>, out: &mut [u8]);

    /// A part of a concatenation, brought to the common scale and put in its columns of `to`.
    fn join(self, from: &[i8], factor: &Split, to: &mut [i16], columns: Columns) {
        self.vectorize(
            #[inline(always)]
            || join(from, factor, to, columns),
        );
    }
}
