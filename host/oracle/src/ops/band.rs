//! Some rows of an activation, or of two that follow each other.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::Reader;
use crate::file::tensor::TensorId;
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "band",
    read: |r, file| Some(Box::new(Band::read(r, file)?)),
};

#[derive(Debug)]
struct Band {
    inputs: Vec<TensorId>,
    out: TensorId,
    from: usize,
    shape: [usize; 3],
}

impl Band {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let first = r.tensor()?;
        let second = r.option(Reader::tensor)?;
        let (out, from) = (r.tensor()?, usize::from(r.u16()?));
        let made = file.tensor(out)?;
        let inputs: Vec<TensorId> = std::iter::once(first).chain(second).collect();
        let mut rows = 0;
        for id in &inputs {
            let read = file.tensor(*id)?;
            let same = (read.channels, read.cols, read.dtype, read.zero_point)
                == (made.channels, made.cols, made.dtype, made.zero_point);
            rows += same.then_some(usize::from(read.rows))?;
        }
        let shape = made.shape();
        (from + shape[1] <= rows).then_some(Self {
            inputs,
            out,
            from,
            shape,
        })
    }

    fn taken(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let inputs: Option<Vec<&Planes<i64>>> = self.inputs.iter().map(|id| at.get(*id)).collect();
        let inputs = inputs?;
        let above = inputs.first()?;
        Some(Planes::from_fn(self.shape, |channel, row, col| {
            match (row + self.from).checked_sub(above.rows) {
                None => above.at(channel, row + self.from, col),
                Some(row) => inputs[1].at(channel, row, col),
            }
        }))
    }
}

impl Operator for Band {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        self.taken(at)
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        self.taken(at)
    }
}
