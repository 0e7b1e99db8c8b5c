//! Sinusoidal timestep features.

use crate::features::Feature;
use crate::numeric::float::store;
use crate::numeric::sine::{cos_q15, sin_q15};
use crate::ops::{Call, Context};
use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::reader::Reader;
use super::{At, Operator};
use crate::error::Fault;
use crate::tensor::TensorId;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::view::ViewMut;

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
    fn features(
        &self,
        context: &Context<'_>,
        call: &Call<'_>,
        channels: u16,
        put: impl FnMut(usize, i32),
    ) -> Option<()> {
        let phases = context.table::<u32>(self.phases, usize::from(channels) / 2)?;
        features(call.time_q16, phases, self.cos_first, put);
        Some(())
    }
}

impl Operator for TimeProj {
    const NAME: &'static str = "time_proj";
    const SMALL: bool = true;

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

    #[inline(always)]
    fn write_integer(
        &self,
        context: &Context<'_>,
        call: &Call<'_>,
        r: &mut Regions<'_, '_>,
        out: &mut ViewMut<'_>,
    ) -> Option<()> {
        self.features(context, call, r.out().channels, |i, v| out.put(i, v))
    }

    fn run_f16(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (channels, mut out) = (r.out().channels, r.output()?);
        self.features(context, call, channels, |i, v| out.set(i, to_f16(v)))
    }
}

/// Sinusoidal timestep features (Ho et al. 2020, section 3.3 of their appendix B, after Vaswani et al. 2017) in Q15: `phases`
/// are turns a timestep in Q32, so the angle is `phase * t` modulo one turn, rounded half up where t (Q16) is no whole number.
/// `put(i, value)` takes each feature.
fn features(time_q16: u32, phases: &[u32], cos_first: bool, mut put: impl FnMut(usize, i32)) {
    let half = phases.len();
    for (i, phase) in phases.iter().enumerate() {
        let angle = if Feature::Continuous.is_built() {
            ((u64::from(*phase) * u64::from(time_q16) + (1 << 15)) >> 16) as u32
        } else {
            phase.wrapping_mul(time_q16 >> 16)
        };
        let (at_sin, at_cos) = if cos_first { (half + i, i) } else { (i, half + i) };
        put(at_sin, sin_q15(angle));
        put(at_cos, cos_q15(angle));
    }
}

/// A Q15 timestep feature as f16.
fn to_f16(v_q15: i32) -> i32 {
    store(v_q15 as f32 * (1.0 / 32768.0))
}
