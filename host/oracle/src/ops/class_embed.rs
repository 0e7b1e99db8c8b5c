//! A row of the class table.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::header::Arithmetic;
use crate::file::reader::Reader;
use crate::file::tensor::TensorId;
use crate::file::weights;
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "class_embed",
    read: |r, file| Some(Box::new(ClassEmbed::read(r, file)?)),
};

#[derive(Debug)]
struct ClassEmbed {
    out: TensorId,
    /// `(class, channel)`: integers, or f16 bits.
    table: Vec<i64>,
}

impl ClassEmbed {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let (out, table) = (r.tensor()?, r.at()?);
        let [channels, 1, 1] = file.tensor(out)?.shape() else {
            return None;
        };
        let count = usize::from(file.header().classes) * channels;
        let table = match file.header().arithmetic {
            Arithmetic::Integer => weights::int16(file, table, count)?,
            Arithmetic::F16 => weights::f16_bits(file, table, count)?,
        };
        Some(Self { out, table })
    }

    fn row(&self, at: &Context<'_>) -> Option<&[i64]> {
        let [channels, ..] = at.shape();
        let first = usize::from(at.call.class) * channels;
        self.table.get(first..first + channels)
    }
}

impl Operator for ClassEmbed {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let row = self.row(at)?;
        Some(Planes::from_fn(at.shape(), |c, _, _| at.store(row[c])))
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let row = self.row(at)?;
        Some(Planes::from_fn(at.shape(), |c, _, _| row[c]))
    }
}
