//! A row of a class embedding table.

use crate::ops::{Call, Context};
use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::reader::Reader;
use super::{At, Operator};
use crate::error::Fault;
use crate::features::Feature;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::view::ViewMut;
use crate::tensor::{Dtype, TensorId};

/// Row `class` of an embedding table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassEmbed {
    /// Output.
    pub out: TensorId,
    /// i16 or f16 `(classes, dim)`.
    pub table: At,
}

impl ClassEmbed {
    /// Copies the call's row of `dim`, whose numbers are `T` as they are stored.
    #[inline(always)]
    fn row<T: bytemuck::AnyBitPattern + Into<i32>>(
        &self,
        context: &Context<'_>,
        call: &Call<'_>,
        dim: usize,
        out: &mut ViewMut<'_>,
    ) -> Option<()> {
        // Parsing has checked that the table has a row for every class, and the run that there is such a class.
        let skipped = usize::from(call.class) * dim * size_of::<T>();
        let row = context.table::<T>(At(self.table.0.checked_add(skipped as u32)?), dim)?;
        row.iter().enumerate().for_each(|(i, &v)| out.put(i, v.into()));
        Some(())
    }
}

impl Operator for ClassEmbed {
    const NAME: &'static str = "class_embed";
    const FEATURE: Option<Feature> = Some(Feature::Class);
    const SMALL: bool = true;

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            out: r.tensor(),
            table: r.at(),
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
        let count = usize::from(checker.classes) * usize::from(out.channels);
        checker.ensure(count > 0, Fault::Parameter)?;
        match out.dtype {
            Dtype::F16 => checker.finite_f16(checker.table(self.table, count)?),
            _ => checker.table::<i16>(self.table, count).map(drop),
        }
    }

    #[inline(always)]
    fn write_integer(
        &self,
        context: &Context<'_>,
        call: &Call<'_>,
        r: &mut Regions<'_, '_>,
        out: &mut ViewMut<'_>,
    ) -> Option<()> {
        self.row::<i16>(context, call, r.out().channels.into(), out)
    }

    fn run_f16(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        self.row::<u16>(context, call, r.out().channels.into(), &mut r.output()?)
    }
}
