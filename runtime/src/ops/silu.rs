//! SiLU alone, for the timestep's vectors.

use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use super::slots::{Slots, slot};
use crate::blob::model::Model;
use crate::blob::tensor::TensorId;
use crate::exec::Call;
use crate::exec::regions::Regions;
use crate::kernels::{f16, pointwise};
use crate::numeric::requant::Requant;

/// SiLU alone, for the timestep's vectors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Silu {
    /// Input.
    pub src: TensorId,
    /// Output.
    pub out: TensorId,
    /// From the input's unit to Q16 (integer models).
    pub in_requant: Requant,
    /// From Q16 to the output's unit (integer models).
    pub out_requant: Requant,
}

impl Operator for Silu {
    const NAME: &'static str = "silu";

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            src: r.tensor(),
            out: r.tensor(),
            in_requant: r.requant(),
            out_requant: r.requant(),
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.unary(self.src, self.out);
        slots.in_place = slot::FIRST;
    }

    #[inline(always)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let [out, _, _, src, ..] = &checker.tensors;
        checker.alike(src, out);
        checker.requant(self.in_requant);
        checker.requant(self.out_requant)
    }

    fn run_integer(&self, _: &Model<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (mut out, src) = (r.output()?, r.operand(slot::FIRST)?);
        pointwise::silu(&src, self.in_requant, self.out_requant, &mut out);
        Some(())
    }

    fn run_f16(&self, _: &Model<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (mut out, src) = (r.output()?, r.operand(slot::FIRST)?);
        f16::pointwise::silu(&src, &mut out);
        Some(())
    }
}
