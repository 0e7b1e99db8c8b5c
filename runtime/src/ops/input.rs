//! The sampler's x_t, Q24, brought to the network's input format.

use crate::numeric::float::{from_q24, store};
use crate::ops::{Call, Context};
use crate::tensor::view::ViewMut;
use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use crate::numeric::requant::Requant;
use crate::tensor::TensorId;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};

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
    const SMALL: bool = true;

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
        let [rows, cols, channels] = checker.sample;
        checker.same(rows.into(), out.rows.into());
        checker.same(cols.into(), out.cols.into());
        checker.same(channels.into(), out.channels.into());
        checker.finite(self.scale);
        checker.finite(self.shift);
        checker.requant(self.requant)
    }

    #[inline(always)]
    fn write_integer(
        &self,
        _: &Context<'_>,
        call: &Call<'_>,
        _: &mut Regions<'_, '_>,
        out: &mut ViewMut<'_>,
    ) -> Option<()> {
        integer(call.input(), self.requant, self.offset, out);
        Some(())
    }

    fn run_f16(&self, _: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        float(call.input(), self.scale, self.shift, &mut r.output()?);
        Some(())
    }
}

/// x_t in Q24 to the network's input: `requantize(x) + offset`.
fn integer(x_q24: impl Iterator<Item = i32>, requant: Requant, offset: i32, out: &mut ViewMut<'_>) {
    for (i, x) in x_q24.enumerate() {
        out.put(i, requant.times(x).saturating_add(offset));
    }
}

/// `scale * x + shift`.
fn float(x_q24: impl Iterator<Item = i32>, scale: f32, shift: f32, out: &mut ViewMut<'_>) {
    for (i, x) in x_q24.enumerate() {
        out.set(i, store(from_q24(x) * scale + shift));
    }
}
