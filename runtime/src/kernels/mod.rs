//! The operators' arithmetic: the portable definition that every faster kernel must equal bit for bit.
//!
//! Integer kernels first; `f16` holds the float scheme's. A kernel takes typed views and plain parameters, knows nothing of
//! the model file, and cannot fail: `Model::parse` has checked what it needs.

pub mod attention;
pub mod conv;
pub mod embed;
pub mod f16;
pub mod group_norm;
pub mod pointwise;
pub mod view;

use crate::blob::header::Arithmetic;
use crate::blob::model::Model;
use crate::blob::op::{Conv, GroupNorm, Op};

/// Scratch bytes that an operator needs: one im2col column, per-channel factors, or a row of scores. `None` when the
/// operator names tensors that do not exist.
pub fn scratch_bytes(model: &Model<'_>, op: &Op) -> Option<usize> {
    let channels = |id| model.tensor(id).map(|t| usize::from(t.channels));
    let joined = |source: &crate::blob::op::Source| {
        let second = source.second.map_or(Some(0), |(id, _)| channels(id))?;
        Some(channels(source.first)? + second)
    };
    let float = model.header().arithmetic == Arithmetic::F16;
    Some(match op {
        Op::Conv(c @ Conv { kernel, .. }) => {
            conv_scratch_bytes(float, usize::from(*kernel), joined(&c.source)?, channels(c.out)?)
        }
        Op::GroupNorm(n @ GroupNorm { groups, .. }) => {
            group_norm_scratch_bytes(float, joined(&n.source)?, usize::from(*groups))
        }
        Op::Attention(a) => attention_scratch_bytes(model.tensor(a.k)?.positions()),
        _ => 0,
    })
}

/// One column of `kernel * kernel * channels` int16 (or f32, with an f32 accumulator an output channel).
pub fn conv_scratch_bytes(float: bool, kernel: usize, channels: usize, outs: usize) -> usize {
    let taps = kernel * kernel * channels;
    if float { (taps + outs) * 4 } else { taps * 2 }
}

/// Three words a channel of one group (or two f32 a channel).
pub fn group_norm_scratch_bytes(float: bool, channels: usize, groups: usize) -> usize {
    if float {
        channels * 8
    } else {
        channels / groups.max(1) * 12
    }
}

/// One 32-bit score a position.
pub fn attention_scratch_bytes(positions: usize) -> usize {
    positions * 4
}
