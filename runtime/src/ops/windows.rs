//! Means and maxima over windows of any extents.

use crate::numeric::float::{load, store};
use crate::ops::{Call, Context};
use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use crate::error::Fault;
use crate::features::Feature;
use crate::numeric::requant::Requant;
use crate::tensor::TensorId;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};

/// The largest element of each window, or the mean. No window reaches beyond the input; what no window reaches is left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Input.
    pub src: TensorId,
    /// Output, in the input's number format.
    pub out: TensorId,
    /// Rows (the high four bits) and columns of a window, 1 to 15 each.
    pub window: u8,
    /// Rows and columns from one window to the next, likewise.
    pub stride: u8,
    /// From a window's sum to its mean (integer models); `None` for the maximum.
    pub mean: Option<Requant>,
}

/// Rows and columns.
fn sides(pair: u8) -> [usize; 2] {
    [pair >> 4, pair & 15].map(usize::from)
}

impl Operator for Pool {
    const NAME: &'static str = "pool";
    const FEATURE: Option<Feature> = Some(Feature::Pool);

    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            src: r.tensor(),
            out: r.tensor(),
            window: r.u8(),
            stride: r.u8(),
            mean: if r.flag() { Some(r.requant()) } else { None },
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.unary(self.src, self.out);
    }

    #[inline(never)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let [out, _, _, src, ..] = &checker.tensors;
        checker.ensure((src.dtype, src.zero_point) == (out.dtype, out.zero_point), Fault::Dtype)?;
        checker.same(src.channels.into(), out.channels.into())?;
        let extents = [(src.rows, out.rows), (src.cols, out.cols)];
        for ((window, stride), (from, to)) in sides(self.window).into_iter().zip(sides(self.stride)).zip(extents) {
            checker.ensure(window > 0 && stride > 0, Fault::Parameter)?;
            checker.at_most(from.into(), window as u32)?;
            checker.same((usize::from(from) - window) as u32 / stride as u32 + 1, to.into())?;
        }
        self.mean.map_or(Some(()), |mean| checker.requant(mean))
    }

    #[inline(never)]
    fn run_integer(&self, _: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (src, mut out) = (r.view(slot::FIRST)?, r.output()?);
        self.each(r, |to, window| {
            let elements = window.map(|from| src.get(from));
            out.set(
                to,
                match self.mean {
                    Some(mean) => mean.times(elements.sum()),
                    None => elements.fold(i32::MIN, i32::max),
                },
            );
        });
        Some(())
    }

    #[inline(never)]
    fn run_f16(&self, _: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (src, mut out) = (r.view(slot::FIRST)?, r.output()?);
        let [rows, cols] = sides(self.window);
        let count = (rows * cols) as f32;
        self.each(r, |to, window| {
            let elements = window.map(|from| load(src.get(from) as u16));
            let value = match self.mean {
                Some(_) => elements.fold(0.0, |sum, v| sum + v) / count,
                None => elements.fold(f32::NEG_INFINITY, |top, v| if v > top { v } else { top }),
            };
            out.set(to, store(value));
        });
        Some(())
    }
}

impl Pool {
    /// Calls `f` with each output element's place, and those of its window, row by row.
    #[inline(always)]
    fn each(&self, r: &Regions<'_, '_>, mut f: impl FnMut(usize, &mut dyn Iterator<Item = usize>)) {
        let (src, out) = (r.tensor(slot::FIRST), r.out());
        let (width, channels) = (usize::from(src.cols), usize::from(src.channels));
        let ([rows, cols], [down, across]) = (sides(self.window), sides(self.stride));
        let mut to = 0;
        for y in 0..usize::from(out.rows) {
            for x in 0..usize::from(out.cols) {
                let first = (y * down * width + x * across) * channels;
                for c in 0..channels {
                    let row = |i: usize| (0..cols).map(move |j| first + c + (i * width + j) * channels);
                    f(to, &mut (0..rows).flat_map(row));
                    to += 1;
                }
            }
        }
    }
}
