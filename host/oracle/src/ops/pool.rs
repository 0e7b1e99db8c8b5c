//! Means and maxima over windows.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::TensorId;
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "pool",
    read: |r, file| Some(Box::new(Pool::read(r, file)?)),
};

#[derive(Debug)]
struct Pool {
    src: TensorId,
    out: TensorId,
    /// Rows and columns of a window.
    window: [usize; 2],
    /// Rows and columns to the next.
    stride: [usize; 2],
    /// From a sum to the mean; `None` for the maximum.
    mean: Option<Factor>,
}

impl Pool {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let (src, out) = (r.tensor()?, r.tensor()?);
        let [window, stride] = [r.byte()?, r.byte()?].map(|pair| [usize::from(pair / 16), usize::from(pair % 16)]);
        let mean = r.option(Reader::factor)?;
        let [channels, rows, cols] = file.tensor(src)?.shape();
        let extent = |size: usize, i: usize| Some(size.checked_sub(window[i])?.checked_div(stride[i])? + 1);
        let fits = file.tensor(out)?.shape() == [channels, extent(rows, 0)?, extent(cols, 1)?];
        (fits && !window.contains(&0)).then_some(Self {
            src,
            out,
            window,
            stride,
            mean,
        })
    }

    /// The elements of a window, row by row.
    fn elements<T: Copy + Default>(&self, src: &Planes<T>, [c, y, x]: [usize; 3]) -> Vec<T> {
        let [down, across] = self.stride;
        let mut found = Vec::new();
        for dy in 0..self.window[0] {
            for dx in 0..self.window[1] {
                found.push(src.at(c, y * down + dy, x * across + dx));
            }
        }
        found
    }
}

impl Operator for Pool {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let src = at.get(self.src)?;
        Some(Planes::from_fn(at.shape(), |c, y, x| {
            let window = self.elements(src, [c, y, x]);
            at.store(match self.mean {
                Some(mean) => at.scaled(mean, window.iter().sum()),
                None => window.into_iter().fold(i64::MIN, i64::max),
            })
        }))
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let src = at.get_float(self.src)?;
        Some(Planes::from_fn(at.shape(), |c, y, x| {
            let window = self.elements(&src, [c, y, x]);
            at.store_float(match self.mean {
                Some(_) => window.iter().fold(0.0, |sum, v| sum + v) / window.len() as f32,
                None => window
                    .iter()
                    .fold(f32::NEG_INFINITY, |top, v| if *v > top { *v } else { top }),
            })
        }))
    }
}
