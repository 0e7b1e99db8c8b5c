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

use crate::blob::io::slot;
use crate::blob::model::Model;
use crate::blob::op::Op;
use crate::blob::tensor::Tensor;
use crate::features::Feature;

/// Scratch bytes without which an operator cannot run; a convolution runs faster with a block of columns ([`conv_scratch_bytes`]).
pub fn scratch_bytes(model: &Model<'_>, op: &Op) -> usize {
    let tensors = op
        .io()
        .tensors
        .map(|id| Tensor::known(model.record(id).unwrap_or(&Tensor::NONE)));
    scratch_needed(model.is_float(), op, &tensors)
}

/// [`scratch_bytes`] of an operator whose tensors by slot these are.
#[inline(always)]
pub(crate) fn scratch_needed(float: bool, op: &Op, tensors: &[Tensor; slot::COUNT]) -> usize {
    let [out, _, _, first, second, _] = tensors;
    if let (Op::Attention(_), true) = (op, Feature::Attention.is_built()) {
        return attention_scratch_bytes(second.positions());
    }
    // A normalization inside a convolution has as many channels.
    let joined = usize::from(first.channels) + usize::from(second.channels);
    let norm = op.norm().map_or(0, |_| group_norm_scratch_bytes(float, joined));
    let conv = op.conv().map_or(0, |c| {
        conv_scratch_bytes(float, c.kernel.into(), joined, out.channels.into(), 1)
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
