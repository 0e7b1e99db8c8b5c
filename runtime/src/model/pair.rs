//! A network call on two cores: each convolution's output rows in two halves, everything else on one.

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

/// Bytes of the second core's scratch: the most that a convolution has, with the window of a normalization inside it.
pub fn pair_bytes(model: &Model<'_>) -> usize {
    let bytes = |id: TensorId| model.known(id).bytes();
    let of = |op: Op| match op {
        Op::Conv(conv) => bytes(conv.scratch),
        Op::NormConv(both) if Feature::NormConv.is_built() => {
            bytes(both.conv.scratch).next_multiple_of(ALIGN) + bytes(both.norm.out)
        }
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
            _ => return None,
        }
        Some(regions.out())
    }
}

/// The first row of an operator's lower half; `None` of what runs on one core.
fn middle(model: &Model<'_>, op: &Op) -> Option<usize> {
    let conv = by_rows(model, op)?;
    halves::middle(conv, model.known(conv.out).rows.into())
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
