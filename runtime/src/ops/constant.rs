//! A table of the file that has an element for each of the output, alone or added to an activation: positions.

use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::reader::Reader;
use super::{At, Call, Context, Operator};
use crate::error::Fault;
use crate::features::Feature;
use crate::numeric::float::{load, store};
use crate::numeric::product::product;
use crate::numeric::requant::saturate_i32;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::view::ViewMut;
use crate::tensor::{Dtype, TensorId};

/// A table, which is read where it lies: none of it is copied but where it stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Constant {
    /// Output.
    pub out: TensorId,
    /// `(row, col, channel)`: alone as the output is stored, in a sum int16, or f16.
    pub table: At,
    /// What it is added to.
    pub sum: Option<Sum>,
}

/// `(q * mult + table * table_mult) * 2^-shift`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    /// An activation of the output's shape.
    pub src: TensorId,
    /// Its factor (integer models).
    pub mult: i32,
    /// The table's.
    pub table_mult: i32,
    /// Right shift of the sum, 1 to 62.
    pub shift: u8,
}

impl Operator for Constant {
    const NAME: &'static str = "constant";
    const FEATURE: Option<Feature> = Some(Feature::Constant);

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            out: r.tensor(),
            table: r.at(),
            sum: r.flag().then(|| Sum {
                src: r.tensor(),
                mult: r.i32(),
                table_mult: r.i32(),
                shift: r.u8(),
            }),
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.write(self.out);
        if let Some(sum) = self.sum {
            slots.unary(sum.src, self.out);
            slots.in_place = slot::FIRST;
        }
    }

    #[inline(never)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let [out, _, _, src, ..] = &checker.tensors;
        let count = out.len();
        if let Some(sum) = self.sum {
            checker.alike(out, src)?;
            let shifted = checker.context.is_float() || (1..=62).contains(&sum.shift);
            checker.ensure(shifted, Fault::Requant)?;
        }
        match out.dtype {
            Dtype::F16 => checker.finite_f16(checker.table(self.table, count)?),
            Dtype::I8 if self.sum.is_none() => checker.table::<i8>(self.table, count).map(drop),
            _ => checker.table::<i16>(self.table, count).map(drop),
        }
    }

    #[inline(never)]
    fn run_integer(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let mut out = r.output()?;
        let count = out.len();
        let Some(sum) = self.sum else {
            return match &mut out {
                ViewMut::I8(to, _) => copy(context.table(self.table, count)?, to),
                ViewMut::I16(to) => copy(context.table(self.table, count)?, to),
                ViewMut::F16(_) | ViewMut::Q24(_) => None,
            };
        };
        let (src, half) = (r.operand(slot::FIRST)?, 1 << (sum.shift - 1));
        for (i, t) in context.table::<i16>(self.table, count)?.iter().enumerate() {
            let terms = product(src.get(&out, i), sum.mult) + product((*t).into(), sum.table_mult);
            out.set(i, saturate_i32((terms + half) >> sum.shift));
        }
        Some(())
    }

    fn run_f16(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let mut out = r.output()?;
        let table = context.table::<u16>(self.table, out.len())?;
        if self.sum.is_none() {
            table.iter().enumerate().for_each(|(i, t)| out.set(i, (*t).into()));
            return Some(());
        }
        let src = r.operand(slot::FIRST)?;
        for (i, t) in table.iter().enumerate() {
            let x = load(src.get(&out, i) as u16);
            out.set(i, store(x + load(*t)));
        }
        Some(())
    }
}

/// All of a table, as it is.
fn copy<T: Copy>(from: &[T], to: &mut [T]) -> Option<()> {
    to.iter_mut().zip(from).for_each(|(to, t)| *to = *t);
    Some(())
}
