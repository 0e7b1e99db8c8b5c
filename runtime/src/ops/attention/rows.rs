//! Constant keys and values that an attention has before those of its inputs: the memory keys and values of lucidrains' networks.

use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::numeric::requant::WideRequant;
use crate::ops::check::{Check, Checker};
use crate::ops::reader::Reader;
use crate::ops::{At, Context};
use crate::tensor::view::View;

/// Rows of the file that stand before the keys and values, in units of their own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// How many, at least 1.
    pub count: u16,
    /// i16 or f16 `(row, channel)`.
    pub keys: At,
    /// i16 or f16 `(row, channel)`.
    pub values: At,
    /// From the rows' scores (attention) or keys (linear attention) to Q16 in units of log2.
    pub score: WideRequant,
    /// From the sum of the rows' values to the unit of the values' sum (attention) or of the context (linear attention).
    pub unit: WideRequant,
}

/// The rows as they are read.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    /// Keys.
    pub keys: View<'a>,
    /// Values.
    pub values: View<'a>,
}

impl Rows {
    /// How many there are.
    pub fn count(rows: Option<&Self>) -> usize {
        rows.map_or(0, |rows| rows.count.into())
    }

    #[inline(never)]
    pub(super) fn read(r: &mut Reader<'_>) -> Option<Self> {
        r.flag().then(|| Self {
            count: r.u16(),
            keys: r.at(),
            values: r.at(),
            score: r.wide_requant(),
            unit: r.wide_requant(),
        })
    }

    #[inline(never)]
    pub(super) fn check(&self, channels: usize, checker: &Checker<'_, '_>) -> Check {
        checker.ensure(self.count > 0, Fault::Parameter)?;
        checker.ensure(self.score.is_valid() && self.unit.is_valid(), Fault::Requant)?;
        for at in [self.keys, self.values] {
            let count = usize::from(self.count) * channels;
            if checker.context.is_float() {
                checker.finite_f16(checker.table(at, count)?)?;
            } else {
                checker.table::<i16>(at, count)?;
            }
        }
        Some(())
    }

    pub(super) fn table<'a>(&self, channels: usize, context: &Context<'a>) -> Option<Table<'a>> {
        let count = usize::from(self.count) * channels;
        let view = |at| {
            Some(if context.is_float() {
                View::F16(context.table(at, count)?)
            } else {
                View::I16(context.table(at, count)?)
            })
        };
        Some(Table {
            keys: view(self.keys)?,
            values: view(self.values)?,
        })
    }
}
