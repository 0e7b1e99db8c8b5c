//! Which tensors an operator reads and writes.

use super::op::{Conv, GroupNorm, NormConv, Op, Readout, Source};
use super::tensor::TensorId;
use crate::features::Feature;

/// Part that a tensor has in an operator: its place in [`Io::tensors`].
pub mod slot {
    /// Tensor written.
    pub const OUT: usize = 0;
    /// Scratch used.
    pub const SCRATCH: usize = 1;
    /// Window between the two halves of a [`NormConv`](super::super::op::NormConv).
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
pub struct Io {
    /// Tensors by [`slot`].
    pub tensors: [Option<TensorId>; slot::COUNT],
    /// Slot of the input whose memory the output may take over, element by element; [`slot::OUT`] where there is none.
    pub in_place: usize,
}

impl Io {
    #[inline(always)]
    fn source(&mut self, source: &Source) {
        self.tensors[slot::FIRST] = Some(source.first);
        self.tensors[slot::SECOND] = source.second.map(|(id, _)| id);
    }

    #[inline(always)]
    fn conv(&mut self, conv: &Conv) {
        self.source(&conv.source);
        self.tensors[slot::OUT] = Some(conv.out);
        self.tensors[slot::SCRATCH] = Some(conv.scratch);
        self.tensors[slot::THIRD] = conv.addend.map(|addend| addend.tensor);
        self.in_place = slot::THIRD;
    }

    #[inline(always)]
    fn norm(&mut self, norm: &GroupNorm) {
        self.source(&norm.source);
        self.tensors[slot::OUT] = Some(norm.out);
        self.tensors[slot::SCRATCH] = Some(norm.scratch);
        self.tensors[slot::THIRD] = norm.scale_shift.map(|(id, _)| id);
        if norm.source.second.is_none() {
            self.in_place = slot::FIRST;
        }
    }

    /// Tensor written.
    pub fn out(&self) -> TensorId {
        self.tensors[slot::OUT].unwrap_or(TensorId(u16::MAX))
    }
}

impl Op {
    /// What it reads and writes.
    #[inline(never)]
    pub fn io(&self) -> Io {
        let mut io = Io {
            tensors: [None; slot::COUNT],
            in_place: slot::OUT,
        };
        self.touched(&mut io);
        io
    }

    /// Apart, so that each is stored where it belongs and no other is looked at.
    #[inline(never)]
    fn touched(&self, io: &mut Io) {
        let tensors = &mut io.tensors;
        match self {
            Self::Input { out, .. } | Self::TimeProj { out, .. } => tensors[slot::OUT] = Some(*out),
            Self::ClassEmbed { out, .. } if Feature::Class.is_built() => tensors[slot::OUT] = Some(*out),
            Self::Silu { src, out, .. } => {
                (tensors[slot::OUT], tensors[slot::FIRST]) = (Some(*out), Some(*src));
                io.in_place = slot::FIRST;
            }
            Self::Upsample { src, out } | Self::AvgPool { src, out } if Feature::Resample.is_built() => {
                (tensors[slot::OUT], tensors[slot::FIRST]) = (Some(*out), Some(*src));
            }
            Self::Softmax { src, out, .. } if Feature::Chain.is_built() => {
                (tensors[slot::OUT], tensors[slot::FIRST]) = (Some(*out), Some(*src));
            }
            Self::Conv(conv) => io.conv(conv),
            Self::Readout(Readout { conv, .. }) if Feature::Chain.is_built() => io.conv(conv),
            Self::GroupNorm(norm) => io.norm(norm),
            Self::Attention(a) if Feature::Attention.is_built() => {
                *tensors = [Some(a.out), Some(a.scratch), None, Some(a.q), Some(a.k), Some(a.v)];
                io.in_place = slot::FIRST;
            }
            Self::NormConv(NormConv { norm, conv }) if Feature::NormConv.is_built() => {
                io.conv(conv);
                io.source(&norm.source);
                io.tensors[slot::WINDOW] = Some(norm.out);
            }
            // Of what is not built, no operator is decoded.
            _ => {}
        }
    }
}
