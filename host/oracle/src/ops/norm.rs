//! Normalizations over the channels of each position, and those that are not centred.

use super::group_norm::{Affine, Moments};
use super::source::Source;
use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::TensorId;
use crate::planes::Planes;
use crate::scalar::half::silu;
use crate::scalar::rounding::saturate;
use crate::scalar::sigmoid::silu_scaled;

pub const KIND: Kind = Kind {
    name: "norm",
    read: |r, file| Some(Box::new(Norm::read(r, file)?)),
};

#[derive(Debug)]
struct Norm {
    source: Source,
    out: TensorId,
    by_position: bool,
    centred: bool,
    floor: bool,
    groups: usize,
    silu: bool,
    affine: Affine,
    gamma_frac: u8,
    /// Values between the affine and the output are in Q16 times 2^up.
    up: i32,
    eps_q: u64,
    eps: f32,
    factor: Factor,
    /// Vector of scales, then shifts; factors of the two.
    scale_shift: Option<(TensorId, Factor, Factor)>,
}

impl Norm {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let source = Source::read(r)?;
        let [channels, rows, cols] = source.shape(file)?;
        let out = r.tensor()?;
        let [by_position, centred, floor] = [r.flag()?, r.flag()?, r.flag()?];
        let (groups, silu) = (usize::from(r.u16()?), r.flag()?);
        let affine = Affine::read(file, r.at()?, channels)?;
        let norm = Self {
            source,
            out,
            by_position,
            centred,
            floor,
            groups,
            silu,
            affine,
            gamma_frac: r.byte()?,
            up: i32::from(r.byte()? as i8),
            eps_q: r.u64()?,
            eps: r.f32()?,
            factor: r.factor()?,
            scale_shift: r.option(|r| Some((r.tensor()?, r.factor()?, r.factor()?)))?,
        };
        let moved = match norm.scale_shift {
            None => true,
            Some((vector, ..)) => file.tensor(vector)?.shape() == [2 * channels, 1, 1],
        };
        let fits = file.tensor(out)?.shape() == [channels, rows, cols] && groups > 0 && channels % groups == 0;
        let sound = norm.gamma_frac <= 30 && norm.up.abs() <= 31 && norm.eps_q <= 1 << 62;
        (moved && fits && sound).then_some(norm)
    }

    /// Indices into `planes` of elements that are normalized together, channel by channel; and of whole sets of them.
    fn sets<T: Copy + Default>(&self, planes: &Planes<T>) -> Vec<Vec<usize>> {
        let (positions, size) = (planes.positions(), planes.channels / self.groups);
        let places = if self.by_position { 1 } else { positions };
        let mut sets = Vec::new();
        for group in 0..self.groups {
            for first in (0..positions).step_by(places) {
                let channels = group * size..(group + 1) * size;
                let set = channels.flat_map(|c| (first..first + places).map(move |p| c * positions + p));
                sets.push(set.collect());
            }
        }
        sets
    }
}

impl Operator for Norm {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let Affine::Integer(affine) = &self.affine else {
            return None;
        };
        let input = self.source.integer(at)?;
        let (gamma, beta) = affine.split_at(input.channels);
        let vector = match self.scale_shift {
            None => None,
            Some((id, scale, shift)) => {
                let vector = at.get(id)?;
                Some([scale, shift].map(|factor| vector.map(|v| at.scaled(factor, v)).values))
            }
        };
        let mut values = vec![0; input.values.len()];
        for set in self.sets(&input) {
            let n = set.len() as i128;
            let total = |f: &dyn Fn(i128) -> i128| -> i128 { set.iter().map(|i| f(input.values[*i].into())).sum() };
            let sum = if self.centred { total(&|q| q) } else { 0 };
            let (spread, eps) = (n * total(&|q| q * q) - sum * sum, i128::from(self.eps_q));
            let spread = if self.floor { spread.max(eps) } else { spread + eps };
            let moments = Moments::new(n, sum, spread, at.r);
            for i in set {
                let channel = i / input.positions();
                let line = moments.line(gamma[channel], self.gamma_frac, beta[channel], at.r);
                let mut y = line.at(input.values[i], at.r);
                if let Some([scales, shifts]) = &vector {
                    let scaled = at.r.shift(i128::from(y) * i128::from(scales[channel]), 16);
                    let moved = i128::from(y) + scaled + i128::from(shifts[input.channels + channel]);
                    y = saturate(moved, 32);
                }
                if self.silu {
                    y = silu_scaled(y, self.up);
                }
                values[i] = at.store(at.scaled(self.factor, y));
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
        let vector = match self.scale_shift {
            None => None,
            Some((id, ..)) => Some(at.get_float(id)?),
        };
        let mut values = vec![0; input.values.len()];
        for set in self.sets(&input) {
            let count = set.len() as f32;
            let total = |f: &dyn Fn(f32) -> f32| {
                let lines = set.chunks(if self.by_position { 1 } else { input.positions() });
                lines.fold(0.0f32, |sum, line| {
                    sum + line.iter().fold(0.0f32, |sum, i| sum + f(input.values[*i]))
                })
            };
            let mean = if self.centred { total(&|x| x) / count } else { 0.0 };
            let square = total(&|x| (x - mean) * (x - mean)) / count;
            let divisor = match self.floor {
                true if square.sqrt() < self.eps => self.eps,
                true => square.sqrt(),
                false => (square + self.eps).sqrt(),
            };
            let factor = 1.0 / divisor;
            for i in set {
                let c = i / input.positions();
                let mut y = (input.values[i] - mean) * factor * gamma[c] + beta[c];
                if let Some(vector) = &vector {
                    y = y * (1.0 + vector.values[c]) + vector.values[input.channels + c];
                }
                if self.silu {
                    y = silu(y);
                }
                values[i] = at.store_float(y);
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
