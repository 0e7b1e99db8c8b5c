//! Each position four times.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::Reader;
use crate::file::tensor::TensorId;
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "upsample",
    read: |r, file| Some(Box::new(Upsample::read(r, file)?)),
};

#[derive(Debug)]
struct Upsample {
    src: TensorId,
    out: TensorId,
}

impl Upsample {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let (src, out) = (r.tensor()?, r.tensor()?);
        let [channels, rows, cols] = file.tensor(src)?.shape();
        (file.tensor(out)?.shape() == [channels, 2 * rows, 2 * cols]).then_some(Self { src, out })
    }
}

impl Operator for Upsample {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        Some(at.get(self.src)?.doubled())
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        Some(at.get(self.src)?.doubled())
    }
}
