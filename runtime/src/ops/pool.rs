//! The mean over 2x2 windows.

use crate::numeric::float::{load, store};
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
        checker.halved(src, out, !1)?;
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
        let size = [r.out().rows.into(), r.out().cols.into()];
        integer(&src, size, t.cols.into(), t.channels.into(), out);
        Some(())
    }

    fn run_f16(&self, _: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (mut out, src, t) = (r.output()?, r.view(slot::FIRST)?, r.tensor(slot::FIRST));
        let size = [r.out().rows.into(), r.out().cols.into()];
        float(&src, size, t.cols.into(), t.channels.into(), &mut out);
        Some(())
    }
}

/// `(a + b + c + d + 2) >> 2` over 2x2 windows. `size` is the output's rows and columns, `width` the input's columns.
fn integer(src: &View<'_>, size: [usize; 2], width: usize, channels: usize, out: &mut ViewMut<'_>) {
    for y in 0..size[0] {
        for x in 0..size[1] {
            let from = (2 * y * width + 2 * x) * channels;
            let to = (y * size[1] + x) * channels;
            for c in 0..channels {
                let window = [0, channels, width * channels, (width + 1) * channels];
                let sum: i32 = window.iter().map(|step| src.get(from + c + step)).sum();
                out.set(to + c, (sum + 2) >> 2);
            }
        }
    }
}

/// `(((a + b) + c) + d) * 0.25` over 2x2 windows, row by row.
fn float(src: &View<'_>, size: [usize; 2], width: usize, channels: usize, out: &mut ViewMut<'_>) {
    for y in 0..size[0] {
        for x in 0..size[1] {
            let from = (2 * y * width + 2 * x) * channels;
            for c in 0..channels {
                let at = |step: usize| load(src.get(from + c + step) as u16);
                let sum = ((at(0) + at(channels)) + at(width * channels)) + at((width + 1) * channels);
                out.set((y * size[1] + x) * channels + c, store(sum * 0.25));
            }
        }
    }
}
