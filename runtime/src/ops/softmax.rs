//! Softmax over the channels of each position.

use crate::numeric::exp2::exp2_neg_q16;
use crate::numeric::float::{exp_f32, load, store};
use crate::ops::{Call, Context};
use crate::tensor::view::{View, ViewMut};
use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use crate::error::Fault;
use crate::features::Feature;
use crate::numeric::requant::Requant;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::{Dtype, TensorId};

/// Softmax over the channels of each position, Q15 or f16.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Softmax {
    /// Input.
    pub src: TensorId,
    /// Output.
    pub out: TensorId,
    /// From the input's unit to Q16 in units of log2 (integer models).
    pub in_requant: Requant,
}

impl Operator for Softmax {
    const NAME: &'static str = "softmax";
    const FEATURE: Option<Feature> = Some(Feature::Chain);
    const SMALL: bool = true;

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            src: r.tensor(),
            out: r.tensor(),
            in_requant: r.requant(),
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.unary(self.src, self.out);
    }

    #[inline(always)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let [out, _, _, src, ..] = &checker.tensors;
        checker.alike(src, out);
        let dtype = if checker.context.is_float() {
            Dtype::F16
        } else {
            Dtype::I16
        };
        checker.ensure(out.dtype == dtype, Fault::Dtype);
        checker.requant(self.in_requant)
    }

    #[inline(always)]
    fn write_integer(
        &self,
        _: &Context<'_>,
        _: &Call<'_>,
        r: &mut Regions<'_, '_>,
        out: &mut ViewMut<'_>,
    ) -> Option<()> {
        integer(&r.view(slot::FIRST)?, r.out().channels.into(), self.in_requant, out);
        Some(())
    }

    fn run_f16(&self, _: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (mut out, src, channels) = (r.output()?, r.view(slot::FIRST)?, r.out().channels.into());
        float(&src, channels, &mut out);
        Some(())
    }
}

/// Softmax over `channels` of each position, Q15: as in [attention](super::attention), with powers computed twice instead of held.
fn integer(src: &View<'_>, channels: usize, in_requant: Requant, out: &mut ViewMut<'_>) {
    let score = |i| in_requant.apply(src.get(i));
    for from in (0..out.len()).step_by(channels.max(1)) {
        let row = from..from + channels;
        let top = row.clone().map(score).fold(i32::MIN, i32::max);
        let power = |i| exp2_neg_q16(top.abs_diff(score(i)));
        let total: u64 = row.clone().map(|i| u64::from(power(i))).sum();
        let reciprocal = (1u64 << 46) / total.max(1 << 16);
        for i in row {
            out.set(i, ((u64::from(power(i)) * reciprocal + (1 << 30)) >> 31) as i32);
        }
    }
}

/// Softmax over `channels` of each position, in order.
fn float(src: &View<'_>, channels: usize, out: &mut ViewMut<'_>) {
    let score = |i| load(src.get(i) as u16);
    for from in (0..out.len()).step_by(channels.max(1)) {
        let row = from..from + channels;
        let mut top = f32::NEG_INFINITY;
        for i in row.clone() {
            top = if score(i) > top { score(i) } else { top };
        }
        let mut total = 0.0;
        for i in row.clone() {
            total += exp_f32(score(i) - top);
        }
        for i in row {
            out.set(i, store(exp_f32(score(i) - top) / total));
        }
    }
}
