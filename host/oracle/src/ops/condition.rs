//! The vector that a run is given.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::TensorId;
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "condition",
    read: |r, file| Some(Box::new(Condition::read(r, file)?)),
};

/// What a run must know of the vector that it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConditionShape {
    /// Numbers.
    pub len: usize,
    /// Whether it can be dropped, for guidance.
    pub has_null: bool,
}

#[derive(Debug)]
struct Condition {
    out: TensorId,
    /// From a number to the output's unit.
    factor: Factor,
    /// Fractional bits of a number.
    bits: u8,
    low: i64,
    high: i64,
    /// What stands for every number where the vector is dropped.
    null: Option<i64>,
    len: usize,
}

impl Condition {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let out = r.tensor()?;
        let [len, 1, 1] = file.tensor(out)?.shape() else {
            return None;
        };
        let condition = Self {
            out,
            factor: r.factor()?,
            bits: r.byte()?,
            low: r.i32()?.into(),
            high: r.i32()?.into(),
            null: r.option(Reader::i32)?.map(i64::from),
            len,
        };
        let within = condition
            .null
            .is_none_or(|null| (condition.low..=condition.high).contains(&null));
        (condition.bits <= 30 && condition.low < condition.high && within).then_some(condition)
    }

    /// The numbers, each in its range.
    fn numbers(&self, at: &Context<'_>) -> Option<Vec<i64>> {
        let given: Vec<i64> = match at.call.condition {
            Some(vector) => vector.iter().map(|v| i64::from(*v)).collect(),
            None => vec![self.null?; self.len],
        };
        let within = |v: i64| v.clamp(self.low, self.high);
        (given.len() == self.len).then(|| given.into_iter().map(within).collect())
    }
}

impl Operator for Condition {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let numbers = self.numbers(at)?;
        let one = |c: usize| at.store(at.scaled(self.factor, numbers[c]));
        Some(Planes::from_fn(at.shape(), |c, _, _| one(c)))
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let numbers = self.numbers(at)?;
        let unit = 2f32.powi(-i32::from(self.bits));
        Some(Planes::from_fn(at.shape(), |c, _, _| {
            at.store_float(numbers[c] as f32 * unit)
        }))
    }

    fn condition(&self) -> Option<ConditionShape> {
        Some(ConditionShape {
            len: self.len,
            has_null: self.null.is_some(),
        })
    }
}
