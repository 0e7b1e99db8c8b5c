//! Softmax over the channels of each position.

use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use super::slots::{Slots, slot};
use crate::blob::model::Model;
use crate::blob::tensor::{Dtype, TensorId};
use crate::error::Fault;
use crate::exec::Call;
use crate::exec::regions::Regions;
use crate::features::Feature;
use crate::kernels::{f16, pointwise};
use crate::numeric::requant::Requant;

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
        let dtype = if checker.model.is_float() {
            Dtype::F16
        } else {
            Dtype::I16
        };
        checker.ensure(out.dtype == dtype, Fault::Dtype);
        checker.requant(self.in_requant)
    }

    fn run_integer(&self, _: &Model<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (mut out, src, channels) = (r.output()?, r.view(slot::FIRST)?, r.out().channels.into());
        pointwise::softmax(&src, channels, self.in_requant, &mut out);
        Some(())
    }

    fn run_f16(&self, _: &Model<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (mut out, src, channels) = (r.output()?, r.view(slot::FIRST)?, r.out().channels.into());
        f16::pointwise::softmax(&src, channels, &mut out);
        Some(())
    }
}
