//! A normalization inside the convolution that reads it: the first leaves every row behind the arena, where the second reads them.

use super::conv::Conv;
use super::group_norm::Norm;
use super::{Accelerated, Loops, Workspace};
use crate::Family;
use crate::source::Source;
use mote_runtime::Model;
use mote_runtime::internals::ops;
use mote_runtime::internals::tensor::{TENSOR_ALIGN, Tensor};

/// The two operators.
#[derive(Debug)]
pub(crate) struct NormConv {
    norm: Norm,
    conv: Conv,
    /// End of what lies behind the arena.
    end: usize,
}

impl Accelerated for NormConv {
    type Record = ops::NormConv;

    fn prepare(model: &Model<'_>, both: &ops::NormConv, family: Family) -> Option<Self> {
        // A device keeps a window of a few rows. Here memory is not what is short: all rows are kept.
        let whole = Tensor {
            rows: model.tensor(both.norm.source.first)?.rows,
            offset: model.header().arena_bytes.next_multiple_of(TENSOR_ALIGN),
            ..model.tensor(both.norm.out)?
        };
        Some(Self {
            norm: Norm::writing(model, &both.norm, whole)?,
            conv: Conv::reading(model, &both.conv, Source::one(whole), family.multiplies_bytes())?,
            end: whole.range().end,
        })
    }

    fn memory_bytes(&self) -> usize {
        self.end
    }

    fn run(&self, simd: impl Loops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        self.norm.run(simd, arena, work)?;
        self.conv.run(simd, arena, work)
    }
}
