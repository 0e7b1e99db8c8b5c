//! Group normalization, with the timestep's scale and shift and SiLU where the record asks for them.

use super::source::Source;
use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::header::Arithmetic;
use crate::file::reader::{At, Factor, Reader};
use crate::file::tensor::TensorId;
use crate::file::weights;
use crate::planes::Planes;
use crate::scalar::half::silu;
use crate::scalar::roots::rsqrt;
use crate::scalar::rounding::{Rounding, saturate};
use crate::scalar::sigmoid::silu_q16;

pub const KIND: Kind = Kind {
    name: "group_norm",
    read: |r, file| {
        let norm = GroupNorm::read(r, file)?;
        (norm.source.shape(file)? == file.tensor(norm.out)?.shape()).then(|| Box::new(norm) as Box<dyn Operator>)
    },
};

/// A normalization with its parameters.
#[derive(Debug)]
pub struct GroupNorm {
    /// What it reads.
    pub source: Source,
    /// What it makes.
    pub out: TensorId,
    groups: usize,
    silu: bool,
    affine: Affine,
    /// Fraction bits of gamma in integer models.
    gamma_frac: u8,
    /// Epsilon of integer models, in units of the variance that they compute.
    eps_q: u64,
    /// Epsilon of f16 models.
    eps: f32,
    /// From Q16 to the output's unit.
    factor: Factor,
    /// Vector of scales, then shifts, and its factor to Q16.
    scale_shift: Option<(TensorId, Factor)>,
}

/// Gamma, then beta.
#[derive(Debug)]
pub enum Affine {
    /// Gamma in its own fixed point, beta in Q16.
    Integer(Vec<i64>),
    /// As they are.
    Float(Vec<f32>),
}

impl Affine {
    /// Those of so many channels, at that place.
    pub fn read(file: &File<'_>, at: At, channels: usize) -> Option<Self> {
        Some(match file.header().arithmetic {
            Arithmetic::Integer => Self::Integer(weights::int32(file, at, 2 * channels)?),
            Arithmetic::F16 => Self::Float(weights::f32s(file, at, 2 * channels)?),
        })
    }
}

impl GroupNorm {
    /// The fields of a record; the rows of its output are not looked at.
    pub fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let source = Source::read(r)?;
        let out = r.tensor()?;
        // Scratch.
        r.tensor()?;
        let (groups, silu) = (usize::from(r.u16()?), r.flag()?);
        let (affine, gamma_frac) = (r.at()?, r.byte()?);
        let (eps_q, eps, factor) = (r.u64()?, r.f32()?, r.factor()?);
        let scale_shift = r.option(|r| Some((r.tensor()?, r.factor()?)))?;
        let [channels, ..] = source.shape(file)?;
        let affine = Affine::read(file, affine, channels)?;
        let moved = match scale_shift {
            None => true,
            Some((vector, _)) => file.tensor(vector)?.shape() == [2 * channels, 1, 1],
        };
        let sound = moved && groups > 0 && channels % groups == 0 && gamma_frac <= 30 && eps_q <= 1 << 62;
        sound.then_some(Self {
            source,
            out,
            groups,
            silu,
            affine,
            gamma_frac,
            eps_q,
            eps,
            factor,
            scale_shift,
        })
    }
}

impl Operator for GroupNorm {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let Affine::Integer(affine) = &self.affine else {
            return None;
        };
        let input = self.source.integer(at)?;
        let (gamma, beta_q16) = affine.split_at(input.channels);
        let size = input.channels / self.groups;
        let vector = match self.scale_shift {
            None => None,
            Some((id, factor)) => Some(at.get(id)?.map(|v| at.scaled(factor, v))),
        };
        let mut values = Vec::with_capacity(input.values.len());
        for group in 0..self.groups {
            let whole = &input.values[group * size * input.positions()..][..size * input.positions()];
            let moments = Moments::of(whole, self.eps_q, at.r);
            for channel in group * size..(group + 1) * size {
                let line = moments.line(gamma[channel], self.gamma_frac, beta_q16[channel], at.r);
                for &q in input.plane(channel) {
                    let mut y = line.at(q, at.r);
                    if let Some(vector) = &vector {
                        let (scale, shift) = (vector.values[channel], vector.values[input.channels + channel]);
                        let scaled = at.r.shift(i128::from(y) * i128::from(scale), 16);
                        y = saturate(i128::from(y) + scaled + i128::from(shift), 32);
                    }
                    if self.silu {
                        y = silu_q16(y);
                    }
                    values.push(at.store(at.scaled(self.factor, y)));
                }
            }
        }
        Some(Planes { values, ..input })
    }

    /// A sum a channel over its positions, then a sum of those.
    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let Affine::Float(affine) = &self.affine else {
            return None;
        };
        let input = self.source.float(at)?;
        let (gamma, beta) = affine.split_at(input.channels);
        let size = input.channels / self.groups;
        let count = (size * input.positions()) as f32;
        let vector = match self.scale_shift {
            None => None,
            Some((id, _)) => Some(at.get_float(id)?),
        };
        let mut values = Vec::with_capacity(input.values.len());
        for group in 0..self.groups {
            let channels = group * size..(group + 1) * size;
            let total = |f: &dyn Fn(f32) -> f32| {
                let plane_sum = |c: usize| input.plane(c).iter().fold(0.0f32, |sum, x| sum + f(*x));
                channels.clone().fold(0.0f32, |sum, c| sum + plane_sum(c))
            };
            let mean = total(&|x| x) / count;
            let factor = 1.0 / (total(&|x| (x - mean) * (x - mean)) / count + self.eps).sqrt();
            for c in channels.clone() {
                for x in input.plane(c) {
                    let mut y = (x - mean) * factor * gamma[c] + beta[c];
                    if let Some(vector) = &vector {
                        y = y * (1.0 + vector.values[c]) + vector.values[input.channels + c];
                    }
                    if self.silu {
                        y = silu(y);
                    }
                    values.push(at.store_float(y));
                }
            }
        }
        Some(Planes {
            rows: input.rows,
            cols: input.cols,
            channels: input.channels,
            values,
        })
    }
}

/// What a group's elements give: mean in Q14, and `n / sqrt(V)` as `p * 2^(k - 31 - e)`.
pub struct Moments {
    mean_q14: i128,
    p: i128,
    k: i128,
    e: i128,
}

impl Moments {
    fn of(values: &[i64], eps_q: u64, r: Rounding) -> Self {
        let n = values.len() as i128;
        let sum: i128 = values.iter().map(|q| i128::from(*q)).sum();
        let squares: i128 = values.iter().map(|q| i128::from(*q) * i128::from(*q)).sum();
        Self::new(n, sum, n * squares - sum * sum + i128::from(eps_q), r)
    }

    /// Of `n` elements with that sum and V.
    pub fn new(n: i128, sum: i128, spread: i128, r: Rounding) -> Self {
        let (mant, e) = rsqrt(spread as u64);
        let product = mant * n;
        let mut k = 0;
        while product >> k >= 1 << 31 {
            k += 1;
        }
        let half = if r.broken { 0 } else { n };
        Self {
            mean_q14: (2 * (sum << 14) + half).div_euclid(2 * n),
            p: r.shift(product, k),
            k: k.into(),
            e,
        }
    }

    /// What gamma and beta of a channel make of them.
    pub fn line(&self, gamma: i64, gamma_frac: u8, beta_q16: i64, r: Rounding) -> Line {
        let a = r.shift(self.p * i128::from(gamma), 31);
        let s = 14 + self.e - self.k + i128::from(gamma_frac) - 16;
        let shift = s.clamp(1, 30);
        let a = if s < 1 { a << (1 - s) } else { a >> (s - shift) };
        Line {
            mean_q14: self.mean_q14,
            a: saturate(a, 32).into(),
            beta_q16: beta_q16.into(),
            shift: shift as u32,
        }
    }
}

/// `(q - mean) * a + beta`, Q16.
pub struct Line {
    mean_q14: i128,
    a: i128,
    beta_q16: i128,
    shift: u32,
}

impl Line {
    pub fn at(&self, q: i64, r: Rounding) -> i64 {
        let deviation = (i128::from(q) << 14) - self.mean_q14;
        let sum = deviation * self.a + (self.beta_q16 << self.shift);
        saturate(r.shift(sum, self.shift), 32)
    }
}
