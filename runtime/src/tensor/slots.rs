//! The tensors of an operator: a slot for each part that one can have.

use super::TensorId;

/// Part that a tensor has in an operator: its place in [`Slots::tensors`].
pub mod slot {
    /// Tensor written.
    pub const OUT: usize = 0;
    /// Scratch used.
    pub const SCRATCH: usize = 1;
    /// Window between the two halves of a [`NormConv`](crate::ops::NormConv).
    pub const WINDOW: usize = 2;
    /// First channels read, queries, or all that is read.
    pub const FIRST: usize = 3;
    /// Channels after the first, or keys.
    pub const SECOND: usize = 4;
    /// Addend, vector of scales and shifts, or values.
    pub const THIRD: usize = 5;
    /// Number of slots.
    pub const COUNT: usize = 6;
}

/// What an operator reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// Tensors by [`slot`].
    pub tensors: [Option<TensorId>; slot::COUNT],
    /// Slot of the input whose memory the output may take over, element by element; [`slot::OUT`] where there is none.
    pub in_place: usize,
}

impl Slots {
    /// Nothing.
    pub(crate) const NONE: Self = Self {
        tensors: [None; slot::COUNT],
        in_place: slot::OUT,
    };

    /// A tensor written.
    #[inline(always)]
    pub(crate) fn write(&mut self, out: TensorId) {
        self.tensors[slot::OUT] = Some(out);
    }

    /// A tensor written from one that is read.
    #[inline(always)]
    pub(crate) fn unary(&mut self, src: TensorId, out: TensorId) {
        (self.tensors[slot::OUT], self.tensors[slot::FIRST]) = (Some(out), Some(src));
    }

    /// Tensor written.
    pub fn out(&self) -> TensorId {
        self.tensors[slot::OUT].unwrap_or(TensorId(u16::MAX))
    }
}
