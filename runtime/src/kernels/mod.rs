//! The operators' arithmetic: the portable definition that every faster kernel must equal bit for bit.
//!
//! Integer kernels first; `f16` holds the float scheme's. A kernel takes typed views and plain parameters, knows nothing of
//! the model file, and cannot fail: `Model::parse` has checked what it needs.

pub mod attention;
pub mod conv;
pub mod embed;
pub mod f16;
pub mod family;
pub mod group_norm;
pub mod norm_conv;
pub mod pointwise;
pub mod view;

use crate::blob::header::Arithmetic;
use crate::blob::model::Model;
use crate::blob::op::{Op, Source};
use crate::features::Feature;

/// Scratch bytes without which an operator, whose tensors are there, cannot run; a convolution runs faster with a block of columns
/// ([`conv_scratch_bytes`]).
pub fn scratch_bytes(model: &Model<'_>, op: &Op) -> usize {
    let channels = |id| usize::from(model.known(id).channels);
    let joined = |source: &Source| channels(source.first) + source.second.map_or(0, |(id, _)| channels(id));
    let float = Feature::F16.is_built() && model.header().arithmetic == Arithmetic::F16;
    if let (Op::Attention(a), true) = (op, Feature::Attention.is_built()) {
        return attention_scratch_bytes(model.known(a.k).positions());
    }
    let norm = op
        .norm()
        .map_or(0, |n| group_norm_scratch_bytes(float, joined(&n.source)));
    let conv = op.conv().map_or(0, |c| {
        let (kernel, outs) = (usize::from(c.kernel), channels(c.out));
        conv_scratch_bytes(float, kernel, joined(&c.source), outs, 1)
    });
    norm + conv
}

/// `columns` (1, or a block of [`family::COLUMNS`]) of `kernel * kernel * channels` int16, padded; or one of f32, with an f32
/// accumulator an output channel.
pub fn conv_scratch_bytes(float: bool, kernel: usize, channels: usize, outs: usize, columns: usize) -> usize {
    let taps = kernel * kernel * channels;
    if float {
        (taps + outs) * 4
    } else {
        family::Layout::elements(columns, taps) * 2
    }
}

/// Three words a channel (or two f32).
pub fn group_norm_scratch_bytes(float: bool, channels: usize) -> usize {
    channels * if float { 8 } else { group_norm::FACTOR_WORDS * 4 }
}

/// One 32-bit score a position.
pub fn attention_scratch_bytes(positions: usize) -> usize {
    positions * 4
}
