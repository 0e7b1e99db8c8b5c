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

use crate::blob::model::Model;
use crate::blob::tensor::Tensor;
use crate::ops::Op;
pub use crate::ops::attention::attention_scratch_bytes;
pub use crate::ops::conv::conv_scratch_bytes;
pub use crate::ops::norm::group_norm_scratch_bytes;

/// Scratch bytes without which an operator cannot run; a convolution runs faster with a block of columns ([`conv_scratch_bytes`]).
pub fn scratch_bytes(model: &Model<'_>, op: &Op) -> usize {
    let tensors = op
        .slots()
        .tensors
        .map(|id| Tensor::known(model.record(id).unwrap_or(&Tensor::NONE)));
    op.scratch_needed(model.is_float(), &tensors)
}
