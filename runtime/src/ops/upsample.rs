//! Nearest-neighbour x2, where no convolution absorbs it.

use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use super::slots::{Slots, slot};
use crate::blob::model::Model;
use crate::blob::tensor::TensorId;
use crate::exec::Call;
use crate::exec::regions::Regions;
use crate::features::Feature;
use crate::kernels::pointwise;

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

    fn run_integer(&self, _: &Model<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (mut out, src, t) = (r.output()?, r.view(slot::FIRST)?, r.tensor(slot::FIRST));
        pointwise::upsample(&src, [t.rows.into(), t.cols.into()], t.channels.into(), &mut out);
        Some(())
    }

    /// The numbers are moved, whatever they are.
    fn run_f16(&self, model: &Model<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        self.run_integer(model, call, r)
    }
}
