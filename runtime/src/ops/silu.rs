//! SiLU alone, for the timestep's vectors.

use crate::numeric::float::{load, silu_f32, store};
use crate::numeric::sigmoid::silu_q16;
use crate::ops::{Call, Context};
use crate::tensor::view::{Operand, ViewMut};
use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use crate::numeric::requant::Requant;
use crate::tensor::TensorId;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};

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
    const SMALL: bool = true;

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

    #[inline(always)]
    fn write_integer(
        &self,
        _: &Context<'_>,
        _: &Call<'_>,
        r: &mut Regions<'_, '_>,
        out: &mut ViewMut<'_>,
    ) -> Option<()> {
        integer(&r.operand(slot::FIRST)?, self.in_requant, self.out_requant, out);
        Some(())
    }

    fn run_f16(&self, _: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (mut out, src) = (r.output()?, r.operand(slot::FIRST)?);
        float(&src, &mut out);
        Some(())
    }
}

/// `out = requantize(silu(requantize(in)))` through Q16.
fn integer(src: &Operand<'_>, in_requant: Requant, out_requant: Requant, out: &mut ViewMut<'_>) {
    for i in 0..out.len() {
        let x_q16 = in_requant.times(src.at(out, i));
        out.put(i, out_requant.times(silu_q16(x_q16)));
    }
}

/// SiLU alone.
fn float(src: &Operand<'_>, out: &mut ViewMut<'_>) {
    for i in 0..out.len() {
        let x = load(src.get(out, i) as u16);
        out.set(i, store(silu_f32(x)));
    }
}
