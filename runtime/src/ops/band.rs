//! Some rows of an activation, or of two that follow each other: what a decoder that makes its picture in bands keeps of one band for
//! the next.

use crate::ops::{Call, Context};
use crate::tensor::view::{View, ViewMut};
use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use crate::error::Fault;
use crate::features::Feature;
use crate::tensor::TensorId;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};

/// Row `i` of the output is row `from + i` of the first input's rows with the second's below them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Band above.
    pub first: TensorId,
    /// Band below, if there are any.
    pub second: Option<TensorId>,
    /// Output.
    pub out: TensorId,
    /// The first row that is taken.
    pub from: u16,
}

impl Operator for Band {
    const NAME: &'static str = "band";
    const FEATURE: Option<Feature> = Some(Feature::Decoder);

    fn read(r: &mut Reader<'_>) -> Self {
        let first = r.tensor();
        let second = if r.flag() { Some(r.tensor()) } else { None };
        Self {
            first,
            second,
            out: r.tensor(),
            from: r.u16(),
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.unary(self.first, self.out);
        slots.tensors[slot::SECOND] = self.second;
    }

    #[inline(never)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let [out, _, _, first, second, _] = &checker.tensors;
        let mut rows = u32::from(first.rows);
        for src in [Some(first), self.second.map(|_| second)].into_iter().flatten() {
            checker.ensure((src.dtype, src.zero_point) == (out.dtype, out.zero_point), Fault::Dtype)?;
            checker.same(out.cols.into(), src.cols.into())?;
            checker.same(out.channels.into(), src.channels.into())?;
        }
        if self.second.is_some() {
            rows += u32::from(second.rows);
        }
        checker.at_most(rows, u32::from(self.from) + u32::from(out.rows))
    }

    #[inline(never)]
    fn run_integer(&self, _: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let out = r.out();
        let from = usize::from(self.from) * usize::from(out.cols) * usize::from(out.channels);
        let first = r.view(slot::FIRST)?;
        let second = self.second.and_then(|_| r.view(slot::SECOND));
        match (first, second, r.output()?) {
            (View::I8(first, _), None, ViewMut::I8(out, _)) => copy(first, &[], from, out),
            (View::I8(first, _), Some(View::I8(second, _)), ViewMut::I8(out, _)) => copy(first, second, from, out),
            (View::I16(first), None, ViewMut::I16(out)) => copy(first, &[], from, out),
            (View::I16(first), Some(View::I16(second)), ViewMut::I16(out)) => copy(first, second, from, out),
            (View::F16(first), None, ViewMut::F16(out)) => copy(first, &[], from, out),
            (View::F16(first), Some(View::F16(second)), ViewMut::F16(out)) => copy(first, second, from, out),
            _ => return None,
        }
        Some(())
    }

    /// The numbers are moved, whatever they are.
    fn run_f16(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        self.run_integer(context, call, r)
    }
}

/// The elements from `from` on of the first with the second behind it.
fn copy<T: Copy>(first: &[T], second: &[T], from: usize, out: &mut [T]) {
    let above = first.get(from..).unwrap_or_default();
    let below = second.get(from.saturating_sub(first.len())..).unwrap_or_default();
    let mut out = out.iter_mut();
    // The shorter ends first: what is left of the output is filled from below.
    out.by_ref().take(above.len()).zip(above).for_each(|(to, q)| *to = *q);
    out.zip(below).for_each(|(to, q)| *to = *q);
}

#[cfg(test)]
mod tests {
    #[test]
    fn rows_are_those_of_both_one_below_the_other() {
        let (first, second) = ([0, 1, 2, 3], [4, 5, 6]);
        let taken = |from: usize, len: usize| {
            let mut out = [9; 7];
            super::copy(&first, &second, from, &mut out[..len]);
            out[..len].to_vec()
        };
        for from in 0..7 {
            for len in 0..=7 - from {
                let expected: std::vec::Vec<i8> = (from as i8..(from + len) as i8).collect();
                assert_eq!(taken(from, len), expected, "{len} from {from}");
            }
        }
    }
}
