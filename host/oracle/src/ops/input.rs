//! The sampler's state, brought to the network's input format.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::TensorId;
use crate::planes::Planes;
use crate::scalar::half::from_q24;
use crate::scalar::rounding::saturate;

pub const KIND: Kind = Kind {
    name: "input",
    read: |r, file| Some(Box::new(Input::read(r, file)?)),
};

#[derive(Debug)]
struct Input {
    out: TensorId,
    /// From Q24 to the output's unit.
    factor: Factor,
    /// Added after it.
    offset: i32,
    /// `scale * x + shift` of f16 models.
    scale: f32,
    shift: f32,
}

impl Input {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let input = Self {
            out: r.tensor()?,
            factor: r.factor()?,
            offset: r.i32()?,
            scale: r.f32()?,
            shift: r.f32()?,
        };
        let h = file.header();
        let sample = [h.channels, h.rows, h.cols].map(usize::from);
        (file.tensor(input.out)?.shape() == sample).then_some(input)
    }
}

impl Operator for Input {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let x = Planes::from_channels_last(at.shape(), at.call.x_q24);
        let moved = |x: i32| at.scaled(self.factor, x.into()) + i64::from(self.offset);
        Some(x.map(|x| at.store(saturate(moved(x).into(), 32))))
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let x = Planes::from_channels_last(at.shape(), at.call.x_q24);
        Some(x.map(|x| at.store_float(from_q24(x.into()) * self.scale + self.shift)))
    }
}
