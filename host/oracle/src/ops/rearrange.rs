//! Elements in other places: blocks of positions and channels, repetition, other rows.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::Reader;
use crate::file::tensor::TensorId;
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "rearrange",
    read: |r, file| Some(Box::new(Rearrange::read(r, file)?)),
};

#[derive(Debug, Clone, Copy)]
enum Pattern {
    Channels,
    Phases,
    Depth,
    Repeat,
    Reshape,
}

#[derive(Debug)]
struct Rearrange {
    src: TensorId,
    out: TensorId,
    way: Pattern,
    block: [usize; 2],
    shape: [usize; 3],
}

impl Rearrange {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let (src, out) = (r.tensor()?, r.tensor()?);
        let way = r.one_of(&[
            Pattern::Channels,
            Pattern::Phases,
            Pattern::Depth,
            Pattern::Repeat,
            Pattern::Reshape,
        ])?;
        let block = r.byte()?;
        let [p, q] = [usize::from(block >> 4), usize::from(block & 15)];
        let ([ins, rows, cols], shape) = (file.tensor(src)?.shape(), file.tensor(out)?.shape());
        let [outs, out_rows, out_cols] = shape;
        let fits = match way {
            Pattern::Channels | Pattern::Phases => {
                shape == [ins / (p * q).max(1), rows * p, cols * q] && ins == outs * p * q
            }
            Pattern::Depth => [outs, rows, cols] == [ins * p * q, out_rows * p, out_cols * q],
            Pattern::Repeat => shape == [ins, rows * p, cols * q],
            Pattern::Reshape => ins == outs && rows * cols == out_rows * out_cols && [p, q] == [1, 1],
        };
        (fits && p * q > 0).then_some(Self {
            src,
            out,
            way,
            block: [p, q],
            shape,
        })
    }

    fn moved(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let x = at.get(self.src)?;
        let [p, q] = self.block;
        let outs = self.shape[0];
        Some(Planes::from_fn(self.shape, |c, row, col| {
            let (i, j, y, z) = (row % p, col % q, row / p, col / q);
            match self.way {
                Pattern::Channels => x.at((c * p + i) * q + j, y, z),
                Pattern::Phases => x.at((i * q + j) * outs + c, y, z),
                Pattern::Depth => {
                    let (phase, from) = (c / x.channels, c % x.channels);
                    x.at(from, row * p + phase / q, col * q + phase % q)
                }
                Pattern::Repeat => x.at(c, y, z),
                Pattern::Reshape => {
                    let position = row * self.shape[2] + col;
                    x.at(c, position / x.cols, position % x.cols)
                }
            }
        }))
    }
}

impl Operator for Rearrange {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        self.moved(at)
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        self.moved(at)
    }
}
