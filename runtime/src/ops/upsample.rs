//! Nearest-neighbour x2, where no convolution absorbs it.

use crate::ops::{Call, Context};
use crate::tensor::view::{View, ViewMut};
use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use crate::features::Feature;
use crate::tensor::TensorId;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};

/// Nearest-neighbour x2, where no convolution absorbs it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Upsample {
    /// Input.
    pub src: TensorId,
    /// Output.
    pub out: TensorId,
}

impl Operator for Upsample {
    const NAME: &'static str = "upsample";
    const FEATURE: Option<Feature> = Some(Feature::Resample);
    const SMALL: bool = true;

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            src: r.tensor(),
            out: r.tensor(),
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.unary(self.src, self.out);
    }

    #[inline(always)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let [out, _, _, src, ..] = &checker.tensors;
        checker.halved(out, src, u16::MAX)?;
        checker.same(src.channels.into(), out.channels.into())
    }

    #[inline(always)]
    fn write_integer(
        &self,
        _: &Context<'_>,
        _: &Call<'_>,
        r: &mut Regions<'_, '_>,
        out: &mut ViewMut<'_>,
    ) -> Option<()> {
        let (src, t) = (r.view(slot::FIRST)?, r.tensor(slot::FIRST));
        double(&src, [t.rows.into(), t.cols.into()], t.channels.into(), out);
        Some(())
    }

    /// The numbers are moved, whatever they are.
    fn run_f16(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        self.run_integer(context, call, r)
    }
}

/// Each position four times. `size` is the input's rows and columns. Any number format.
fn double(src: &View<'_>, size: [usize; 2], channels: usize, out: &mut ViewMut<'_>) {
    for y in 0..2 * size[0] {
        for x in 0..2 * size[1] {
            let from = ((y / 2) * size[1] + x / 2) * channels;
            let to = (y * 2 * size[1] + x) * channels;
            for c in 0..channels {
                out.set(to + c, src.get(from + c));
            }
        }
    }
}
