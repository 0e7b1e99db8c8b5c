//! A network call on two cores: output rows of each convolution in two halves, positions of normalizations and queries of attentions;
//! everything else on one.

use super::Model;
use super::exec::{Call, Network, Observer, by_rows, class_exists, failed, run_op, show};
use crate::error::RunError;
use crate::features::Feature;
use crate::ops::Op;
use crate::ops::conv::halves;
pub use crate::ops::conv::halves::Join;
use crate::tensor::arena::{ALIGN, Arena};
use crate::tensor::regions::Regions;
use crate::tensor::{Tensor, TensorId};

/// A [`Network`] of two cores ([`Sampler::step_by`](crate::Sampler::step_by)): the bits of one. Networks in f16 run on one core.
#[derive(Debug)]
pub struct Pair<'s, J> {
    join: J,
    /// Scratch of the other core.
    spare: &'s mut [u8],
}

/// Bytes of the second core's scratch: the most that a convolution has, with the window of a normalization inside it, or an attention.
pub fn pair_bytes(model: &Model<'_>) -> usize {
    let bytes = |id: TensorId| model.known(id).bytes();
    let of = |op: Op| match op {
        Op::Conv(conv) => bytes(conv.scratch),
        Op::NormConv(both) if Feature::NormConv.is_built() => {
            bytes(both.conv.scratch).next_multiple_of(ALIGN) + bytes(both.norm.out)
        }
        Op::Attention(attention) if Feature::Attention.is_built() => bytes(attention.scratch),
        _ => 0,
    };
    model.ops().map(of).max().unwrap_or(0)
}

impl<'s, J: Join> Pair<'s, J> {
    /// `spare` has [`pair_bytes`] or more, and is the other core's: in its own memory where it has one.
    ///
    /// # Errors
    /// `ArenaTooSmall`.
    pub fn new(model: &Model<'_>, join: J, spare: &'s mut Arena<'_>) -> Result<Self, RunError> {
        let (needed, found) = (pair_bytes(model), spare.bytes.len());
        if found < needed {
            return Err(RunError::ArenaTooSmall {
                needed: needed as u32,
                found: found as u32,
            });
        }
        Ok(Self {
            join,
            spare: spare.bytes,
        })
    }

    /// Gives back what joins.
    pub fn into_join(self) -> J {
        self.join
    }

    /// Runs an operator in two halves; `None` where its memory does not fit.
    fn halves(&mut self, model: &Model<'_>, op: &Op, middle: usize, activations: &mut [u8]) -> Option<Tensor> {
        let mut regions = Regions::NONE;
        let regions = &mut regions;
        let context = &model.context;
        regions.find(context.tensors, &op.slots(), activations);
        match op {
            Op::Conv(conv) => halves::run(context, conv, middle, regions, self.spare, &mut self.join)?,
            Op::NormConv(both) if Feature::NormConv.is_built() => {
                both.run_halves(context, middle, regions, self.spare, &mut self.join)?;
            }
            Op::GroupNorm(norm) => norm.run_halves(context, regions, &mut self.join)?,
            Op::Attention(attention) if Feature::Attention.is_built() => {
                attention.run_halves(regions, self.spare, &mut self.join)?;
            }
            _ => return None,
        }
        Some(regions.out())
    }
}

/// The first row of a convolution's lower half, or the first position of another operator's; `None` of what runs on one core.
fn middle(model: &Model<'_>, op: &Op) -> Option<usize> {
    let out = match op {
        Op::GroupNorm(norm) => norm.out,
        Op::Attention(attention) if Feature::Attention.is_built() => attention.out,
        _ => {
            let conv = by_rows(model, op)?;
            return halves::middle(conv, model.known(conv.out).rows.into());
        }
    };
    let middle = model.known(out).positions().div_ceil(2);
    (!model.context.is_float() && middle < model.known(out).positions()).then_some(middle)
}

impl<J: Join> Network for Pair<'_, J> {
    fn forward(
        &mut self,
        model: &Model<'_>,
        call: &Call<'_>,
        activations: &mut [u8],
        observer: &mut impl Observer,
    ) -> Result<(), RunError> {
        class_exists(model, call)?;
        for (index, op) in (0..model.header().op_count).zip(model.ops()) {
            observer.before(index, &op);
            let output = match middle(model, &op) {
                Some(middle) => self.halves(model, &op, middle, activations),
                None => run_op(model, call, &op, activations),
            };
            let output = output.ok_or_else(|| failed(model, call, &op, index))?;
            show(observer, index, &op, &output, activations);
        }
        Ok(())
    }
}
