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
use crate::blob::op::Op;
use crate::features::Feature;

/// Scratch bytes without which an operator cannot run; a convolution runs faster with a block of columns
/// ([`conv_scratch_bytes`]). `None` when the operator names tensors that do not exist.
pub fn scratch_bytes(model: &Model<'_>, op: &Op) -> Option<usize> {
    let channels = |id| model.tensor(id).map(|t| usize::from(t.channels));
    let joined = |source: &crate::blob::op::Source| {
        let second = source.second.map_or(Some(0), |(id, _)| channels(id))?;
        Some(channels(source.first)? + second)
    };
    let float = Feature::F16.is_built() && model.header().arithmetic == Arithmetic::F16;
    let norm = op
        .norm()
        .map_or(Some(0), |n| Some(group_norm_scratch_bytes(float, joined(&n.source)?)))?;
    let conv = op.conv().map_or(Some(0), |c| {
        let (kernel, outs) = (usize::from(c.kernel), channels(c.out)?);
        Some(conv_scratch_bytes(float, kernel, joined(&c.source)?, outs, 1))
    })?;
    Some(match op {
        Op::Conv(_) | Op::GroupNorm(_) | Op::NormConv(_) | Op::Readout(_) => norm + conv,
        Op::Attention(a) if Feature::Attention.is_built() => attention_scratch_bytes(model.tensor(a.k)?.positions()),
        _ => 0,
    })
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
