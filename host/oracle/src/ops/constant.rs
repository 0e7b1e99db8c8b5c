//! A table that has an element for each of the output, alone or added to an activation.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::header::Arithmetic;
use crate::file::reader::Reader;
use crate::file::tensor::{Dtype, TensorId};
use crate::file::weights;
use crate::planes::Planes;
use crate::scalar::half::load;
use crate::scalar::rounding::saturate;

pub const KIND: Kind = Kind {
    name: "constant",
    read: |r, file| Some(Box::new(Constant::read(r, file)?)),
};

#[derive(Debug)]
struct Constant {
    out: TensorId,
    /// What stands in the file: stored integers, or f16 bits.
    table: Planes<i64>,
    sum: Option<Sum>,
}

#[derive(Debug)]
struct Sum {
    src: TensorId,
    mult: i64,
    table_mult: i64,
    shift: u32,
}

impl Constant {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let (out, at) = (r.tensor()?, r.at()?);
        let sum = r.option(|r| {
            Some(Sum {
                src: r.tensor()?,
                mult: r.i32()?.into(),
                table_mult: r.i32()?.into(),
                shift: r.byte()?.into(),
            })
        })?;
        let tensor = file.tensor(out)?;
        let count = tensor.shape().iter().product();
        let integers = file.header().arithmetic == Arithmetic::Integer;
        if let Some(of) = &sum {
            let fits = !integers || (1..=62).contains(&of.shift);
            if !fits || file.tensor(of.src)?.shape() != tensor.shape() {
                return None;
            }
        }
        let values = match (integers, tensor.dtype) {
            (false, _) => weights::f16_bits(file, at, count)?,
            (true, Dtype::I8) if sum.is_none() => weights::int8(file, at, count)?,
            (true, _) => weights::int16(file, at, count)?,
        };
        let table = Planes::from_channels_last(tensor.shape(), &values);
        Some(Self { out, table, sum })
    }
}

impl Operator for Constant {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let Some(sum) = &self.sum else {
            // As it is stored.
            let zero = i64::from(at.out.zero_point);
            return Some(self.table.map(|stored| stored - zero));
        };
        let src = at.get(sum.src)?;
        Some(Planes::from_fn(at.shape(), |c, y, x| {
            let own = i128::from(src.at(c, y, x)) * i128::from(sum.mult);
            let table = i128::from(self.table.at(c, y, x)) * i128::from(sum.table_mult);
            at.store(saturate(at.r.shift(own + table, sum.shift), 32))
        }))
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let Some(sum) = &self.sum else {
            return Some(self.table.clone());
        };
        let src = at.get(sum.src)?;
        Some(Planes::from_fn(at.shape(), |c, y, x| {
            at.store_float(load(src.at(c, y, x)) + load(self.table.at(c, y, x)))
        }))
    }
}
