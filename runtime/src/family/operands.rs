//! What kernels are given: channels of an input, weights, a term to be added.

use super::{Family, Native};
use crate::numeric::requant::{SmallRequant, saturate_i16};
#[cfg(doc)]
use crate::tensor::int4;
use crate::tensor::view::{Operand, View};

/// A channel range of the input: its data, its channels, and the factor to the common int16 scale of a concatenation.
#[derive(Debug, Clone, Copy)]
pub struct InputPart<'a> {
    /// `(row, col, channel)`.
    pub view: View<'a>,
    /// Channels of this part.
    pub channels: usize,
    /// Only for a concatenation.
    pub requant: Option<SmallRequant>,
}

impl InputPart<'_> {
    /// Element `i` on the common scale of a concatenation.
    #[inline(always)]
    pub fn joined(&self, i: usize) -> i16 {
        let q = self.view.get(i);
        saturate_i16(self.requant.as_ref().map_or(q, |r| r.apply(q)))
    }

    /// Adds all elements on the common scale to their channels' sums and sums of squares, three words a channel.
    pub fn add_sums(&self, sums: &mut [i32]) {
        let Some(requant) = &self.requant else { return };
        match self.view {
            View::I8(data, zero) => Native::joined_sums8(data, zero, requant, self.channels, sums),
            View::I16(data) => Native::joined_sums16(data, requant, self.channels, sums),
            View::F16(_) | View::Q24(_) => {}
        }
    }
}

/// Weights `(out, row, col, in)`, each output channel's row padded to whole words of taps; biases and factors.
#[derive(Debug, Clone, Copy)]
pub enum Filter<'a> {
    /// int8, int32 accumulator.
    W8 {
        /// Weights.
        data: &'a [i8],
        /// A channel.
        bias: &'a [i32],
        /// A channel.
        mult: &'a [i32],
        /// A channel.
        shift: &'a [u8],
    },
    /// int4, int32 accumulator.
    W4 {
        /// Words of eight taps, see [`int4`]; each row is padded to whole words.
        data: &'a [u32],
        /// A channel.
        bias: &'a [i32],
        /// A channel.
        mult: &'a [i32],
        /// A channel.
        shift: &'a [u8],
    },
    /// int16, int64 accumulator.
    W16 {
        /// Weights.
        data: &'a [i16],
        /// A channel: low word, high word.
        bias: &'a [[i32; 2]],
        /// A channel.
        mult: &'a [i32],
        /// A channel.
        shift: &'a [u8],
    },
}

/// A term added before the rounding.
#[derive(Debug, Clone, Copy)]
pub struct Addition<'a> {
    /// The other term.
    pub operand: Operand<'a>,
    /// Its factor, guard bits included.
    pub requant: SmallRequant,
    /// One value a channel, not one a position and channel.
    pub broadcast: bool,
}

/// Elements of a concatenation that are brought to the common scale at once.
pub const CHUNK: usize = 32;
