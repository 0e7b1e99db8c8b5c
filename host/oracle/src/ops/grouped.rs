//! A convolution in groups: every output sees the channels of its group, where they lie inside of the input.

use super::conv::{Filter, Record};
use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::Reader;
use crate::file::tensor::TensorId;
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "grouped_conv",
    read: |r, file| Some(Box::new(Grouped::read(r, file)?)),
};

#[derive(Debug)]
struct Grouped {
    record: Record,
    filter: Filter,
}

/// A term of a sum: channel, row and column of the input, and the tap `(row, col, in)`.
struct Term {
    at: [usize; 3],
    tap: usize,
}

impl Grouped {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let mut record = Record::read(r, file)?;
        let groups = usize::from(r.u16()?);
        let whole = groups > 0 && record.channels.iter().all(|channels| channels % groups == 0);
        if !whole || record.upsample || record.source.only().is_none() {
            return None;
        }
        record.channels[0] /= groups;
        Some(Self {
            filter: record.filters(file, 1)?.pop()?,
            record,
        })
    }

    /// The terms of an output, in the order (kernel row, kernel column, input channel); those outside of the input are none.
    fn terms(&self, [_, rows, cols]: [usize; 3], ins: usize, [out, y, x]: [usize; 3]) -> Vec<Term> {
        let Record {
            kernel,
            stride,
            pad,
            channels: [seen, outs],
            ..
        } = &self.record;
        let group = out * (ins / seen) / outs;
        let mut terms = Vec::new();
        for ky in 0..kernel[0] {
            for kx in 0..kernel[1] {
                let (row, col) = (
                    (y * stride[0] + ky).checked_sub(pad[0]),
                    (x * stride[1] + kx).checked_sub(pad[1]),
                );
                let (Some(row), Some(col)) = (row.filter(|row| *row < rows), col.filter(|col| *col < cols)) else {
                    continue;
                };
                for i in 0..*seen {
                    terms.push(Term {
                        at: [group * seen + i, row, col],
                        tap: (ky * kernel[1] + kx) * seen + i,
                    });
                }
            }
        }
        terms
    }

    /// Every output `(channel, row, col)`: a function of its channel and its terms.
    fn each<T>(&self, ins: [usize; 3], at: &Context<'_>, f: impl Fn(usize, Vec<Term>) -> T) -> Vec<T> {
        let [outs, rows, cols] = at.shape();
        let places = (0..outs * rows * cols).map(|i| [i / (rows * cols), i / cols % rows, i % cols]);
        places
            .map(|place| f(place[0], self.terms(ins, ins[0], place)))
            .collect()
    }
}

impl Operator for Grouped {
    fn out(&self) -> TensorId {
        self.record.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let input = self.record.source.integer(at)?;
        let Filter::Integer { weights, bias, factors } = &self.filter else {
            return None;
        };
        let row = weights.len() / bias.len();
        let values = self.each(input.shape(), at, |out, terms| {
            let products = terms.iter().map(|term| {
                let [c, y, x] = term.at;
                weights[out * row + term.tap] * input.at(c, y, x)
            });
            at.scaled(factors[out], bias[out] + products.sum::<i64>())
        });
        self.record.ended(values, at)
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let input = self.record.source.float(at)?;
        let Filter::Float { weights, bias } = &self.filter else {
            return None;
        };
        let values = self.each(input.shape(), at, |out, terms| {
            terms.iter().fold(bias[out], |acc, term| {
                let [c, y, x] = term.at;
                acc + input.at(c, y, x) * weights[term.tap * bias.len() + out]
            })
        });
        self.record.ended_float(values, at)
    }
}
