//! What a model needs: parts of the runtime, scratch memory.

use super::Model;
use super::header::Arithmetic;
use super::sampling::Schedule;
use crate::features::Feature;
use crate::ops::Op;
use crate::tensor::Tensor;

impl Feature {
    /// Whether models of this arithmetic need it.
    pub fn needed_by_arithmetic(self, arithmetic: Arithmetic) -> bool {
        match arithmetic {
            Arithmetic::Integer => self == Self::Integer,
            Arithmetic::F16 => self == Self::F16,
        }
    }

    /// Whether a model needs it. What samplers need, [`Entry::feature`](crate::model::sampling::Entry) says: a model can be
    /// sampled with any, unless its file plans its run.
    pub fn needed_by(self, model: &Model<'_>) -> bool {
        let predicted = model.header().prediction.feature() == Some(self);
        let own = model.header().schedule;
        let sampled = model.header().prediction.picture().is_none();
        let schedule = sampled && self == Self::Schedule && own.plan().is_none()
            || self == Self::Edm && matches!(own, Schedule::Edm { .. });
        #[cfg(feature = "decoder")]
        if let Some(decoder) = model.decoder()
            && self.needed_by(&decoder)
        {
            return true;
        }
        #[cfg(feature = "learned-variance")]
        if self == Self::LearnedVariance && model.has_variances() {
            return true;
        }
        let planned = model.header().schedule.plan().and_then(|plan| plan.method().feature());
        #[cfg(feature = "streamed")]
        if self == Self::Streamed {
            return model.context.apart;
        }
        predicted
            || schedule
            || planned == Some(self)
            || self.needed_by_arithmetic(model.header().arithmetic)
            || model.ops().any(|op| op.needs(self))
    }
}

/// Scratch bytes without which an operator cannot run; a convolution runs faster with a block of columns
/// ([`conv_scratch_bytes`](crate::ops::conv::conv_scratch_bytes)).
pub fn scratch_bytes(model: &Model<'_>, op: &Op) -> usize {
    let tensors = op
        .slots()
        .tensors
        .map(|id| Tensor::known(model.record(id).unwrap_or(&Tensor::NONE)));
    op.scratch_needed(model.context.is_float(), &tensors)
}
