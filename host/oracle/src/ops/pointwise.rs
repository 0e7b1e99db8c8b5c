//! A function of every element from a table, then a factor and an addend.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::header::Arithmetic;
use crate::file::reader::{At, Factor, Reader};
use crate::file::tensor::{Dtype, TensorId};
use crate::file::weights;
use crate::planes::Planes;
use crate::scalar::half::{load, to_q24};
use crate::scalar::rounding::{Rounding, saturate};

pub const KIND: Kind = Kind {
    name: "pointwise",
    read: |r, file| Some(Box::new(Pointwise::read(r, file)?)),
};

#[derive(Debug)]
struct Pointwise {
    src: TensorId,
    out: TensorId,
    /// Zero point of the input.
    zero: i64,
    function: Function,
    affine: Option<Affine>,
}

/// The function, with its values.
#[derive(Debug)]
enum Function {
    /// The element itself.
    Identity,
    /// By the stored byte: what the integer is afterwards.
    Bytes(Vec<i64>),
    /// By the stored byte: the byte that is stored.
    Stored(Vec<i64>),
    /// Ends of segments of so many inputs.
    Segments(Vec<i64>, u32),
    /// The same of positive and of negative f16 numbers.
    Float([Vec<f32>; 2], u32),
}

#[derive(Debug)]
struct Affine {
    one: i64,
    one_float: f32,
    shift: u32,
    factor: Option<(TensorId, Factor)>,
    addend: Option<Addend>,
}

#[derive(Debug)]
struct Addend {
    /// Nothing where the factor's vector has it in its second half.
    tensor: Option<TensorId>,
    mult: i64,
    mult_float: f32,
}

impl Pointwise {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let (src, out) = (r.tensor()?, r.tensor()?);
        let table = r.option(|r| Some((r.at()?, u32::from(r.byte()?))))?;
        let affine = r.option(|r| {
            Some(Affine {
                one: r.i32()?.into(),
                one_float: r.f32()?,
                shift: r.byte()?.into(),
                factor: r.option(|r| Some((r.tensor()?, r.factor()?)))?,
                addend: r.option(|r| {
                    Some(Addend {
                        tensor: r.option(Reader::tensor)?,
                        mult: r.i32()?.into(),
                        mult_float: r.f32()?,
                    })
                })?,
            })
        })?;
        let (from, to) = (file.tensor(src)?, file.tensor(out)?);
        let stored = affine.is_none() && to.dtype == Dtype::I8;
        let function = match table {
            None => Function::Identity,
            Some((at, bits)) => Function::read(file, at, bits, from.dtype, stored)?,
        };
        let integers = file.header().arithmetic == Arithmetic::Integer;
        let fits = affine.as_ref().is_none_or(|a| !integers || (1..=62).contains(&a.shift));
        (fits && from.shape() == to.shape()).then_some(Self {
            src,
            out,
            zero: from.zero_point.into(),
            function,
            affine,
        })
    }

    /// The element of `other` that stands beside `(c, y, x)`: repeated over what it has one of.
    fn beside<T: Copy + Default>(other: &Planes<T>, [c, y, x]: [usize; 3]) -> T {
        let of = |extent: usize, i: usize| if extent == 1 { 0 } else { i };
        other.at(of(other.channels, c), of(other.rows, y), of(other.cols, x))
    }
}

impl Function {
    fn read(file: &File<'_>, at: At, bits: u32, src: Dtype, stored: bool) -> Option<Self> {
        if src == Dtype::I8 {
            return match (bits, stored) {
                (0, true) => Some(Self::Stored(weights::int8(file, at, 256)?)),
                (0, false) => Some(Self::Bytes(weights::int16(file, at, 256)?)),
                _ => None,
            };
        }
        if !(1..=15).contains(&bits) {
            return None;
        }
        if src == Dtype::I16 {
            let ends = weights::int16(file, at, (65536 >> bits) + 1)?;
            return Some(Self::Segments(ends, bits));
        }
        let mut positive = weights::f32s(file, at, 2 * ((32768 >> bits) + 1))?;
        let negative = positive.split_off(positive.len() / 2);
        Some(Self::Float([positive, negative], bits))
    }

    /// Of an integer whose zero point is `zero`.
    fn integer(&self, q: i64, zero: i64, r: Rounding) -> i64 {
        match self {
            Self::Bytes(table) | Self::Stored(table) => table[(q + zero).rem_euclid(256) as usize],
            Self::Segments(ends, bits) => {
                let input = q + 32768;
                let (i, within) = ((input >> bits) as usize, input & ((1 << bits) - 1));
                let sum = (ends[i] << bits) + (ends[i + 1] - ends[i]) * within;
                r.shift(sum.into(), *bits) as i64
            }
            Self::Identity | Self::Float(..) => q,
        }
    }

    /// Of an f16 number.
    fn float(&self, bits_of: i64) -> f32 {
        let Self::Float(halves, bits) = self else {
            return load(bits_of);
        };
        let ends = &halves[(bits_of >> 15 & 1) as usize];
        let magnitude = bits_of & 0x7FFF;
        let i = (magnitude >> bits) as usize;
        let part = (magnitude & ((1 << bits) - 1)) as f32 / (1u32 << bits) as f32;
        ends[i] + (ends[i + 1] - ends[i]) * part
    }
}

impl Operator for Pointwise {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let src = at.get(self.src)?;
        let Some(affine) = &self.affine else {
            let stored = matches!(self.function, Function::Stored(_));
            let zero = i64::from(at.out.zero_point);
            return Some(src.map(|q| {
                let t = self.function.integer(q, self.zero, at.r);
                if stored { t - zero } else { at.store(t) }
            }));
        };
        let factor = match affine.factor {
            Some((id, f)) => Some((at.get(id)?, f)),
            None => None,
        };
        let addend = match &affine.addend {
            Some(Addend { tensor: Some(id), .. }) => Some(at.get(*id)?),
            _ => None,
        };
        let channels = src.channels;
        Some(Planes::from_fn(src.shape(), |c, y, x| {
            let t = self.function.integer(src.at(c, y, x), self.zero, at.r);
            let a = match factor {
                Some((other, f)) => {
                    let u = Self::beside(other, [c, y, x]);
                    saturate(i128::from(affine.one) + i128::from(at.scaled(f, u)), 32)
                }
                None => affine.one,
            };
            let term = match (&affine.addend, addend, factor) {
                (None, ..) => 0,
                (Some(of), Some(other), _) => Self::beside(other, [c, y, x]) * of.mult,
                (Some(of), None, Some((vector, _))) => vector.at(channels + c, 0, 0) * of.mult,
                (Some(_), None, None) => 0,
            };
            let sum = i128::from(t) * i128::from(a) + i128::from(term);
            at.store(saturate(at.r.shift(sum, affine.shift), 32))
        }))
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let src = at.get(self.src)?;
        let end = |v: f32| match at.out.dtype {
            Dtype::Q24 => to_q24(v, at.r.broken),
            _ => at.store_float(v),
        };
        let Some(affine) = &self.affine else {
            return Some(src.map(|bits| end(self.function.float(bits))));
        };
        let factor = match affine.factor {
            Some((id, _)) => Some(at.get_float(id)?),
            None => None,
        };
        let addend = match &affine.addend {
            Some(Addend { tensor: Some(id), .. }) => Some(at.get_float(*id)?),
            _ => None,
        };
        let channels = src.channels;
        Some(Planes::from_fn(src.shape(), |c, y, x| {
            let place = [c, y, x];
            let t = self.function.float(src.at(c, y, x));
            let mut v = match &factor {
                Some(other) => t * (affine.one_float + Self::beside(other, place)),
                None => t * affine.one_float,
            };
            if let Some(of) = &affine.addend {
                let element = match (&addend, &factor) {
                    (Some(other), _) => Self::beside(other, place),
                    (None, Some(vector)) => vector.at(channels + c, 0, 0),
                    (None, None) => 0.0,
                };
                v += element * of.mult_float;
            }
            end(v)
        }))
    }
}
