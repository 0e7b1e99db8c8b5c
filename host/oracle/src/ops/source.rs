//! What an operator reads: one activation, or two whose channels follow each other.

use super::Context;
use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::TensorId;
use crate::planes::Planes;
use crate::scalar::rounding::saturate;

/// One activation, or two with the factors that bring both to one scale.
#[derive(Debug)]
pub struct Source {
    first: TensorId,
    second: Option<(TensorId, [Factor; 2])>,
}

impl Source {
    /// The fields of a record.
    pub fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            first: r.tensor()?,
            second: r.option(|r| Some((r.tensor()?, [r.factor()?, r.factor()?])))?,
        })
    }

    /// `(channel, row, col)` of what is read; `None` where two parts do not fit each other.
    pub fn shape(&self, file: &File<'_>) -> Option<[usize; 3]> {
        let [channels, rows, cols] = file.tensor(self.first)?.shape();
        let Some((second, _)) = self.second else {
            return Some([channels, rows, cols]);
        };
        let [more, rows_too, cols_too] = file.tensor(second)?.shape();
        ([rows, cols] == [rows_too, cols_too]).then_some([channels + more, rows, cols])
    }

    /// The only activation that is read.
    pub fn only(&self) -> Option<TensorId> {
        self.second.is_none().then_some(self.first)
    }

    /// The elements of an integer model: two parts are brought to their common scale in 16 bits.
    pub fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let first = at.get(self.first)?;
        let Some((second, factors)) = self.second else {
            return Some(first.clone());
        };
        let common = |part: &Planes<i64>, f: Factor| part.map(|v| saturate(at.scaled(f, v).into(), 16));
        Some(common(first, factors[0]).concat(common(at.get(second)?, factors[1])))
    }

    /// The elements of an f16 model.
    pub fn float(&self, at: &Context<'_>) -> Option<Planes<f32>> {
        let first = at.get_float(self.first)?;
        match self.second {
            None => Some(first),
            Some((second, _)) => Some(first.concat(at.get_float(second)?)),
        }
    }
}
