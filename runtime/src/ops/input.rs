//! The sampler's x_t, Q24, brought to the network's input format.

use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use super::slots::{Slots, slot};
use crate::blob::model::Model;
use crate::blob::tensor::TensorId;
use crate::exec::Call;
use crate::exec::regions::Regions;
use crate::kernels::{embed, f16};
use crate::numeric::requant::Requant;

/// The sampler's x_t (Q24) brought to the network's input format.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Output.
    pub out: TensorId,
    /// From Q24 to the output's unit (integer models).
    pub requant: Requant,
    /// Added after it, output units (integer models).
    pub offset: i32,
    /// `scale * x + shift` (f16 models).
    pub scale: f32,
    /// See `scale`.
    pub shift: f32,
}

impl Operator for Input {
    const NAME: &'static str = "input";

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            out: r.tensor(),
            requant: r.requant(),
            offset: r.i32(),
            scale: r.f32(),
            shift: r.f32(),
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.write(self.out);
    }

    #[inline(always)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let out = &checker.tensors[slot::OUT];
        let header = checker.model.header();
        checker.same(header.rows.into(), out.rows.into());
        checker.same(header.cols.into(), out.cols.into());
        checker.same(header.channels.into(), out.channels.into());
        checker.finite(self.scale);
        checker.finite(self.shift);
        checker.requant(self.requant)
    }

    fn run_integer(&self, _: &Model<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        embed::input(call.x_q24, self.requant, self.offset, &mut r.output()?);
        Some(())
    }

    fn run_f16(&self, _: &Model<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        f16::pointwise::input(call.x_q24, self.scale, self.shift, &mut r.output()?);
        Some(())
    }
}
