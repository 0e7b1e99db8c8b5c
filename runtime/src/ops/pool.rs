//! The mean over 2x2 windows.

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
use crate::kernels::{f16, pointwise};

/// The mean over 2x2 windows. An odd row or column at the end is left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AvgPool {
    /// Input.
    pub src: TensorId,
    /// Output.
    pub out: TensorId,
}

impl Operator for AvgPool {
    const NAME: &'static str = "avg_pool";
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
        checker.halved(src, out, !1)?;
        checker.same(src.channels.into(), out.channels.into())
    }

    fn run_integer(&self, _: &Model<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (mut out, src, t) = (r.output()?, r.view(slot::FIRST)?, r.tensor(slot::FIRST));
        let size = [r.out().rows.into(), r.out().cols.into()];
        pointwise::avg_pool(&src, size, t.cols.into(), t.channels.into(), &mut out);
        Some(())
    }

    fn run_f16(&self, _: &Model<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (mut out, src, t) = (r.output()?, r.view(slot::FIRST)?, r.tensor(slot::FIRST));
        let size = [r.out().rows.into(), r.out().cols.into()];
        f16::pointwise::avg_pool(&src, size, t.cols.into(), t.channels.into(), &mut out);
        Some(())
    }
}
