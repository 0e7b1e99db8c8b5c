//! Attention: `softmax(q k^T / sqrt(d)) v`.

use crate::ops::{Call, Context};
pub mod cross;
pub mod float;
pub mod integer;
pub mod linear;
mod linear_float;
mod linear_integer;
pub mod rows;

pub use cross::CrossAttention;
pub use linear::LinearAttention;
pub use rows::Rows;

use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::conv::halves::Join;
use super::reader::Reader;
use crate::error::Fault;
use crate::features::Feature;
use crate::numeric::requant::{Requant, WideRequant};
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::{Tensor, TensorId};

/// `softmax(q k^T / sqrt(d)) v`, a row of scores at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// Queries.
    pub q: TensorId,
    /// Keys.
    pub k: TensorId,
    /// Values.
    pub v: TensorId,
    /// Output; may be the queries' own memory.
    pub out: TensorId,
    /// Scratch: one row of scores.
    pub scratch: TensorId,
    /// Divides the channels.
    pub heads: u16,
    /// From the dot product to Q16 in units of log2 (integer models).
    pub score: WideRequant,
    /// From Q15 probabilities times v to the output's scale.
    pub out_requant: Requant,
    /// `1 / sqrt(d)` (f16 models).
    pub scale: f32,
}

impl Attention {
    /// Runs it in two halves of the queries; `spare` is the scores' memory of the one that is there. As [`crate::ops::conv::halves::run`].
    pub(crate) fn run_halves(&self, r: &mut Regions<'_, '_>, spare: &mut [u8], join: &mut impl Join) -> Option<()> {
        let q = r.operand(slot::FIRST)?;
        let (k, v) = (&r.view(slot::SECOND)?, &r.view(slot::THIRD)?);
        let (positions, channels) = (r.out().positions(), usize::from(r.out().channels));
        let middle = positions.div_ceil(2);
        let heads = |positions| integer::Heads {
            heads: self.heads.into(),
            channels,
            positions,
            score: self.score,
            out_requant: self.out_requant,
        };
        let scores = r.scratch()?.get_mut(..positions)?;
        let own = spare.get_mut(..attention_scratch_bytes(positions))?;
        let own: &mut [i32] = bytemuck::try_cast_slice_mut(own).ok()?;
        let (mut above, mut below) = r.output()?.split(middle * channels)?;
        let upper = q.cut(0..middle * channels)?;
        let lower = q.cut(middle * channels..positions * channels)?;
        join.join(
            || integer::attention(&upper, k, v, &heads(middle), scores, &mut above),
            || integer::attention(&lower, k, v, &heads(positions - middle), own, &mut below),
        );
        Some(())
    }
}

/// Scratch bytes of an attention over `positions`: one 32-bit score each.
pub fn attention_scratch_bytes(positions: usize) -> usize {
    positions * 4
}

#[inline(never)]
fn read(r: &mut Reader<'_>) -> Attention {
    Attention {
        q: r.tensor(),
        k: r.tensor(),
        v: r.tensor(),
        out: r.tensor(),
        scratch: r.tensor(),
        heads: r.u16(),
        score: r.wide_requant(),
        out_requant: r.requant(),
        scale: r.f32(),
    }
}

impl Operator for Attention {
    const NAME: &'static str = "attention";
    const FEATURE: Option<Feature> = Some(Feature::Attention);

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        read(r)
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.tensors = [
            Some(self.out),
            Some(self.scratch),
            None,
            Some(self.q),
            Some(self.k),
            Some(self.v),
        ];
        slots.in_place = slot::FIRST;
    }

    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let [out, _, _, inputs @ ..] = &checker.tensors;
        let [q, ..] = inputs;
        for t in inputs.iter().chain([out]) {
            checker.alike(q, t)?;
        }
        checker.ensure(inputs.iter().all(|t| t.zero_point == 0), Fault::ZeroPoint)?;
        checker.ensure(
            self.heads > 0 && q.channels.is_multiple_of(self.heads),
            Fault::Parameter,
        )?;
        checker.ensure(q.positions() <= 1 << 15, Fault::Parameter)?;
        checker.finite(self.scale)?;
        // |q k^T| <= head_dim * 2^30 stays below the 2^40 that a wide factor takes.
        checker.ensure(q.channels / self.heads < 1 << 10, Fault::Accumulator(0))?;
        checker.ensure(self.score.is_valid(), Fault::Requant)?;
        checker.requant(self.out_requant)
    }

    #[inline(always)]
    fn scratch_bytes(&self, _: bool, tensors: &[Tensor; slot::COUNT]) -> usize {
        attention_scratch_bytes(tensors[slot::SECOND].positions())
    }

    fn run_integer(&self, _: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let q = r.operand(slot::FIRST)?;
        let (k, v) = (r.view(slot::SECOND)?, r.view(slot::THIRD)?);
        let positions = r.out().positions();
        let heads = integer::Heads {
            heads: self.heads.into(),
            channels: r.out().channels.into(),
            positions,
            score: self.score,
            out_requant: self.out_requant,
        };
        let scores = r.scratch()?.get_mut(..positions)?;
        integer::attention(&q, &k, &v, &heads, scores, &mut r.output()?);
        Some(())
    }

    fn run_f16(&self, _: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let q = r.operand(slot::FIRST)?;
        let (k, v) = (r.view(slot::SECOND)?, r.view(slot::THIRD)?);
        let positions = r.out().positions();
        let heads = float::Heads {
            heads: self.heads.into(),
            channels: r.out().channels.into(),
            positions,
            scale: self.scale,
        };
        let scores = r.scratch()?.get_mut(..positions)?;
        float::attention(&q, &k, &v, &heads, scores, &mut r.output()?);
        Some(())
    }
}
