//! Convolutions: one weight at a time over a framed plane. A linear layer is a convolution with a kernel of 1.

use super::source::Source;
use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::header::Arithmetic;
use crate::file::reader::{At, Factor, Reader};
use crate::file::tensor::{Dtype, TensorId};
use crate::file::weights;
use crate::planes::Planes;
use crate::scalar::half::{load, to_q24};

pub const KIND: Kind = Kind {
    name: "conv",
    read: |r, file| {
        let record = Record::read(r, file)?;
        let filter = record.filters(file, 1)?.pop()?;
        Some(Box::new(Conv { record, filter }))
    },
};

#[derive(Debug)]
struct Conv {
    record: Record,
    filter: Filter,
}

/// A convolution's record, without its weights.
#[derive(Debug)]
pub struct Record {
    /// What it reads.
    pub source: Source,
    /// What it makes.
    pub out: TensorId,
    tables: Tables,
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Of rows and of columns.
    pub stride: [usize; 2],
    /// Zeros at top, left, bottom and right.
    pub pad: [usize; 4],
    /// Whether each position of the input is read four times.
    pub upsample: bool,
    addend: Option<Addend>,
    /// Channels that an output sees, and of the output.
    pub channels: [usize; 2],
}

/// Where weights, biases and factors stand.
#[derive(Debug, Clone, Copy)]
struct Tables {
    width: Width,
    data: At,
    bias: At,
    factors: At,
}

/// Number format of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    W8,
    W16,
    F16,
    W4,
}

/// A term that is added before the one rounding.
#[derive(Debug)]
struct Addend {
    tensor: TensorId,
    /// To the output's unit with four fraction bits more.
    factor: Factor,
    /// Factor of f16 models.
    float_factor: f32,
}

/// Weights, biases and factors by value.
#[derive(Debug)]
pub enum Filter {
    /// Of an integer model.
    Integer {
        /// `(out, row, col, in)`.
        weights: Vec<i64>,
        /// A channel.
        bias: Vec<i64>,
        /// A channel.
        factors: Vec<Factor>,
    },
    /// Of an f16 model.
    Float {
        /// `(row, col, in, out)`.
        weights: Vec<f32>,
        /// A channel.
        bias: Vec<f32>,
    },
}

/// Rows and columns in a byte: columns in the low nibble; rows in the high one, or as many as columns where that is 0.
fn sides(byte: u8) -> [usize; 2] {
    let (rows, cols) = (byte >> 4, byte & 15);
    [if rows == 0 { cols } else { rows }, cols].map(usize::from)
}

/// Biases that the accumulator proof lets pass.
const BIAS: i64 = 1 << 40;

impl Record {
    /// The fields of a record; `None` where shapes do not fit.
    pub fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let source = Source::read(r)?;
        let input = source.shape(file)?;
        Self::read_rest(r, file, source, input)
    }

    /// The fields of a record that reads what an operator before it in the same record makes, in this shape, at `between`.
    pub fn read_behind(r: &mut Reader<'_>, file: &File<'_>, between: TensorId, input: [usize; 3]) -> Option<Self> {
        let source = Source::read(r)?;
        (source.only() == Some(between)).then(|| Self::read_rest(r, file, source, input))?
    }

    /// The fields behind the source, which has the shape `input`.
    fn read_rest(r: &mut Reader<'_>, file: &File<'_>, source: Source, input: [usize; 3]) -> Option<Self> {
        let out = r.tensor()?;
        // Scratch.
        r.tensor()?;
        let width = r.one_of(&[Width::W8, Width::W16, Width::F16, Width::W4])?;
        let (data, bias) = (r.at()?, r.at()?);
        let factors = if width == Width::F16 { data } else { r.at()? };
        let (kernel, stride) = (sides(r.byte()?), sides(r.byte()?));
        let pad = [r.byte()?, r.byte()?, r.byte()?, r.byte()?].map(usize::from);
        let upsample = r.flag()?;
        let addend = r.option(|r| {
            Some(Addend {
                tensor: r.tensor()?,
                factor: r.factor()?,
                float_factor: r.f32()?,
            })
        })?;
        let outs = file.tensor(out)?.shape()[0];
        let record = Self {
            source,
            out,
            tables: Tables {
                width,
                data,
                bias,
                factors,
            },
            kernel,
            stride,
            pad,
            upsample,
            addend,
            channels: [input[0], outs],
        };
        record.fits(file, input)?;
        Some(record)
    }

    /// Whether every tap of every output lies in the framed input, and the addend has an element for it.
    fn fits(&self, file: &File<'_>, [_, rows, cols]: [usize; 3]) -> Option<()> {
        let out = file.tensor(self.out)?.shape();
        let [top, left, bottom, right] = self.pad;
        let zoom = 1 + usize::from(self.upsample);
        let spans = |axis: usize, size: usize, pads: usize| {
            let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
            let needed = (out[1 + axis] - 1) * stride + kernel;
            kernel > 0 && stride > 0 && needed <= size * zoom + pads
        };
        let added = match &self.addend {
            None => true,
            Some(addend) => {
                let shape = file.tensor(addend.tensor)?.shape();
                shape == out || shape == [out[0], 1, 1]
            }
        };
        (added && spans(0, rows, top + bottom) && spans(1, cols, left + right)).then_some(())
    }

    /// The weights of `groups` groups, which stand one group after the other.
    pub fn filters(&self, file: &File<'_>, groups: usize) -> Option<Vec<Filter>> {
        let Tables {
            width,
            data,
            bias,
            factors,
        } = self.tables;
        let [channels, outs] = self.channels;
        let (taps, all) = (self.kernel[0] * self.kernel[1] * channels, groups.checked_mul(outs)?);
        if (width == Width::F16) != (file.header().arithmetic == Arithmetic::F16) {
            return None;
        }
        if width == Width::F16 {
            let weights = weights::f16_bits(file, data, taps * all)?;
            let weights: Vec<f32> = weights.into_iter().map(load).collect();
            let bias = weights::f32s(file, bias, all)?;
            let each = weights.chunks(taps * outs).zip(bias.chunks(outs));
            let float = each.map(|(weights, bias)| Filter::Float {
                weights: weights.to_vec(),
                bias: bias.to_vec(),
            });
            return Some(float.collect());
        }
        // Rows of integers are stored with zeros up to the next multiple of four taps.
        let row = taps.div_ceil(4) * 4;
        let rows = |stored: Vec<i64>| stored.chunks(row).flat_map(|r| r[..taps].to_vec()).collect();
        let weights: Vec<i64> = match width {
            Width::W4 => weights::int4(file, data, all, taps)?,
            Width::W16 => rows(weights::int16(file, data, row * all)?),
            Width::W8 | Width::F16 => rows(weights::int8(file, data, row * all)?),
        };
        let bias = match width {
            Width::W16 => weights::int64(file, bias, all)?,
            Width::W8 | Width::W4 | Width::F16 => weights::int32(file, bias, all)?,
        };
        let factors = weights::factors(file, factors, all)?;
        if bias.iter().any(|bias| bias.abs() > BIAS) {
            return None;
        }
        let each = weights
            .chunks(taps * outs)
            .zip(bias.chunks(outs))
            .zip(factors.chunks(outs));
        let integer = each.map(|((weights, bias), factors)| Filter::Integer {
            weights: weights.to_vec(),
            bias: bias.to_vec(),
            factors: factors.to_vec(),
        });
        Some(integer.collect())
    }

    /// Runs it on what `source` gives in an integer model.
    ///
    /// Sums are plain i64: the accumulator proof bounds them by 2^40.
    pub fn integer(&self, filter: &Filter, input: &Planes<i64>, at: &Context<'_>) -> Option<Planes<i64>> {
        let Filter::Integer { weights, bias, factors } = filter else {
            return None;
        };
        let framed = self.framed(input);
        let [outs, rows, cols] = at.shape();
        let mut weights = weights.iter();
        let mut values = Vec::with_capacity(outs * rows * cols);
        for channel in 0..outs {
            let mut acc = vec![bias[channel]; rows * cols];
            for ky in 0..self.kernel[0] {
                for kx in 0..self.kernel[1] {
                    for from in 0..input.channels {
                        let w = *weights.next()?;
                        for (y, acc) in acc.chunks_exact_mut(cols).enumerate() {
                            let row = &framed.plane(from)[(y * self.stride[0] + ky) * framed.cols + kx..];
                            for (acc, x) in acc.iter_mut().zip(row.iter().step_by(self.stride[1])) {
                                *acc += w * x;
                            }
                        }
                    }
                }
            }
            values.extend(acc.into_iter().map(|acc| at.scaled(factors[channel], acc)));
        }
        self.ended(values, at)
    }

    /// The term added to sums in the output's unit, and what is read back of them.
    pub fn ended(&self, mut values: Vec<i64>, at: &Context<'_>) -> Option<Planes<i64>> {
        let [outs, rows, cols] = at.shape();
        if let Some(addend) = &self.addend {
            let term = at.get(addend.tensor)?;
            for (i, value) in values.iter_mut().enumerate() {
                let t = term.values[if term.positions() == 1 { i / (rows * cols) } else { i }];
                *value = at.r.add_guarded(*value, at.scaled(addend.factor, t));
            }
        }
        let values = values.into_iter().map(|v| at.store(v)).collect();
        Some(Planes {
            rows,
            cols,
            channels: outs,
            values,
        })
    }

    /// Runs it on what `source` gives in an f16 model. Each output adds its terms in the order (kernel row, kernel column, input channel),
    /// padding included.
    pub fn float(&self, filter: &Filter, input: &Planes<f32>, at: &Context<'_>) -> Option<Planes<i64>> {
        let Filter::Float { weights, bias } = filter else {
            return None;
        };
        let framed = self.framed(input);
        let [outs, rows, cols] = at.shape();
        let mut values = Vec::with_capacity(outs * rows * cols);
        for channel in 0..outs {
            let mut acc = vec![bias[channel]; rows * cols];
            for ky in 0..self.kernel[0] {
                for kx in 0..self.kernel[1] {
                    for from in 0..input.channels {
                        let w = weights[((ky * self.kernel[1] + kx) * input.channels + from) * outs + channel];
                        for (y, acc) in acc.chunks_exact_mut(cols).enumerate() {
                            let row = &framed.plane(from)[(y * self.stride[0] + ky) * framed.cols + kx..];
                            for (acc, x) in acc.iter_mut().zip(row.iter().step_by(self.stride[1])) {
                                *acc += x * w;
                            }
                        }
                    }
                }
            }
            values.extend(acc);
        }
        self.ended_float(values, at)
    }

    /// The same of sums in f32.
    pub fn ended_float(&self, mut values: Vec<f32>, at: &Context<'_>) -> Option<Planes<i64>> {
        let [outs, rows, cols] = at.shape();
        if let Some(addend) = &self.addend {
            let term = at.get(addend.tensor)?;
            for (i, value) in values.iter_mut().enumerate() {
                let t = term.values[if term.positions() == 1 { i / (rows * cols) } else { i }];
                *value += load(t) * addend.float_factor;
            }
        }
        let store = |v: f32| match at.out.dtype {
            Dtype::Q24 => to_q24(v, at.r.broken),
            Dtype::I8 | Dtype::I16 | Dtype::F16 => at.store_float(v),
        };
        Some(Planes {
            rows,
            cols,
            channels: outs,
            values: values.into_iter().map(store).collect(),
        })
    }

    /// The input, doubled where it is read so, with its zeros around it.
    fn framed<T: Copy + Default>(&self, input: &Planes<T>) -> Planes<T> {
        if self.upsample {
            input.doubled().framed(self.pad)
        } else {
            input.framed(self.pad)
        }
    }
}

impl Operator for Conv {
    fn out(&self) -> TensorId {
        self.record.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        self.record.integer(&self.filter, &self.record.source.integer(at)?, at)
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        self.record.float(&self.filter, &self.record.source.float(at)?, at)
    }
}
