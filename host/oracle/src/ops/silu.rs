//! SiLU alone.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::TensorId;
use crate::planes::Planes;
use crate::scalar::half::silu;
use crate::scalar::sigmoid::silu_q16;

pub const KIND: Kind = Kind {
    name: "silu",
    read: |r, file| Some(Box::new(Silu::read(r, file)?)),
};

#[derive(Debug)]
struct Silu {
    src: TensorId,
    out: TensorId,
    /// From the input's unit to Q16.
    to_q16: Factor,
    /// From Q16 to the output's unit.
    from_q16: Factor,
}

impl Silu {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let silu = Self {
            src: r.tensor()?,
            out: r.tensor()?,
            to_q16: r.factor()?,
            from_q16: r.factor()?,
        };
        (file.tensor(silu.src)?.shape() == file.tensor(silu.out)?.shape()).then_some(silu)
    }
}

impl Operator for Silu {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let value = |v| at.scaled(self.from_q16, silu_q16(at.scaled(self.to_q16, v)));
        Some(at.get(self.src)?.map(|v| at.store(value(v))))
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        Some(at.get_float(self.src)?.map(|v| at.store_float(silu(v))))
    }
}
