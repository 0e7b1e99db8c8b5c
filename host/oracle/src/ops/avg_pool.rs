//! Means over windows of two rows and two columns.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::Reader;
use crate::file::tensor::TensorId;
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "avg_pool",
    read: |r, file| Some(Box::new(AvgPool::read(r, file)?)),
};

#[derive(Debug)]
struct AvgPool {
    src: TensorId,
    out: TensorId,
}

impl AvgPool {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let (src, out) = (r.tensor()?, r.tensor()?);
        let [channels, rows, cols] = file.tensor(src)?.shape();
        (file.tensor(out)?.shape() == [channels, rows / 2, cols / 2]).then_some(Self { src, out })
    }
}

impl Operator for AvgPool {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let src = at.get(self.src)?;
        Some(Planes::from_fn(at.shape(), |c, y, x| {
            let window = [(0, 0), (0, 1), (1, 0), (1, 1)];
            let sum: i64 = window.iter().map(|(dy, dx)| src.at(c, 2 * y + dy, 2 * x + dx)).sum();
            at.store(at.r.shift(sum.into(), 2) as i64)
        }))
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let src = at.get_float(self.src)?;
        Some(Planes::from_fn(at.shape(), |c, y, x| {
            let near = |dy, dx| src.at(c, 2 * y + dy, 2 * x + dx);
            at.store_float((((near(0, 0) + near(0, 1)) + near(1, 0)) + near(1, 1)) * 0.25)
        }))
    }
}
