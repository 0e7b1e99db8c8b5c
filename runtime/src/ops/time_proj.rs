//! Sinusoidal timestep features.

use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::reader::Reader;
use super::slots::{Slots, slot};
use super::{At, Operator};
use crate::blob::model::Model;
use crate::blob::tensor::TensorId;
use crate::error::Fault;
use crate::exec::Call;
use crate::exec::regions::Regions;
use crate::kernels::{embed, f16};

/// Sinusoidal timestep features, Q15 or f16.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TimeProj {
    /// Output `(2 * half)`.
    pub out: TensorId,
    /// u32 `(half)`: turns a timestep, Q32.
    pub phases: At,
    /// Cosines first.
    pub cos_first: bool,
}

impl TimeProj {
    /// Gives every feature, Q15, to `put` with its place.
    #[inline(always)]
    fn features(&self, model: &Model<'_>, call: &Call<'_>, channels: u16, put: impl FnMut(usize, i32)) -> Option<()> {
        let phases = model.table::<u32>(self.phases, usize::from(channels) / 2)?;
        embed::time_proj(call.timestep, phases, self.cos_first, put);
        Some(())
    }
}

impl Operator for TimeProj {
    const NAME: &'static str = "time_proj";

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            out: r.tensor(),
            phases: r.at(),
            cos_first: r.flag(),
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.write(self.out);
    }

    #[inline(always)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let out = &checker.tensors[slot::OUT];
        checker.vector(out);
        checker.ensure(out.channels.is_multiple_of(2), Fault::Parameter)?;
        checker
            .table::<i32>(self.phases, usize::from(out.channels) / 2)
            .map(drop)
    }

    fn run_integer(&self, model: &Model<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (channels, mut out) = (r.out().channels, r.output()?);
        self.features(model, call, channels, |i, v| out.put(i, v))
    }

    fn run_f16(&self, model: &Model<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (channels, mut out) = (r.out().channels, r.output()?);
        self.features(model, call, channels, |i, v| out.set(i, f16::pointwise::feature(v)))
    }
}
