//! A convolution with weights by timestep: the readout of a chain.

use crate::ops::{Call, Context};
use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::conv::{self, Rows};
use super::reader::Reader;
use super::{At, Conv, Operator};
use crate::error::Fault;
use crate::features::Feature;
use crate::tensor::Tensor;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};

/// A convolution that has weights for each group of timesteps: the tables of [`Conv::weights`] hold those of all groups, one group after
/// the other (multipliers of all groups, then shifts of all groups).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Readout {
    /// The convolution of one group.
    pub conv: Conv,
    /// u32 `(groups)`, ascending from 0: the first timestep of each group.
    pub first: At,
    /// Number of groups.
    pub groups: u16,
}

impl Readout {
    /// The tables' rows for the call's timestep.
    pub(crate) fn rows(&self, context: &Context<'_>, call: &Call<'_>) -> Option<Rows> {
        let groups = usize::from(self.groups);
        let first = context.table::<u32>(self.first, groups)?;
        let group = first
            .partition_point(|&first| first <= call.timestep())
            .checked_sub(1)?;
        Some(Rows { group, groups })
    }
}

impl Operator for Readout {
    const NAME: &'static str = "readout";
    const FEATURE: Option<Feature> = Some(Feature::Chain);

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            conv: Conv::read(r),
            first: r.at(),
            groups: r.u16(),
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        self.conv.slots(slots);
    }

    #[inline(never)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        checker.join(&self.conv.source)?;
        checker.ensure(self.groups > 0, Fault::Parameter)?;
        let first = checker.table::<u32>(self.first, self.groups.into())?;
        let ascending = first.windows(2).all(|w| w[0] < w[1]);
        checker.ensure(first[0] == 0 && ascending, Fault::Parameter)?;
        self.conv.check_joined(checker, self.groups)
    }

    #[inline(always)]
    fn scratch_bytes(&self, float: bool, tensors: &[Tensor; slot::COUNT]) -> usize {
        self.conv.scratch_bytes(float, tensors)
    }

    #[inline(always)]
    fn needs(&self, feature: Feature) -> bool {
        Self::FEATURE == Some(feature) || self.conv.needs(feature)
    }

    fn run_integer(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        conv::run_integer(context, &self.conv, self.rows(context, call)?, r)
    }

    fn run_f16(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        conv::run_float(context, &self.conv, self.rows(context, call)?, r)
    }

    #[inline(always)]
    fn conv(&self) -> Option<&Conv> {
        Some(&self.conv)
    }
}
