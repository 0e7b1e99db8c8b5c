//! `softmax(q k^T / sqrt(d)) v` over positions, a head after the other: the queries' own positions, or others, and constant rows.

use super::rows::{Rows, in_order, joined, products};
use super::softmax::{powers, probabilities_q15};
use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::TensorId;
use crate::planes::Planes;
use crate::scalar::rounding::saturate;

pub const KIND: Kind = Kind {
    name: "attention",
    read: |r, file| Some(Box::new(Attention::read(r, file)?)),
};

/// Over other positions, and over rows.
pub const CROSS: Kind = Kind {
    name: "cross_attention",
    read: |r, file| Some(Box::new(Attention::read_cross(r, file)?)),
};

#[derive(Debug)]
struct Attention {
    /// Queries, keys, values.
    qkv: [TensorId; 3],
    out: TensorId,
    heads: usize,
    /// From the dot product to Q16 in units of log2.
    score: Factor,
    /// From Q15 probabilities times values to the output's unit.
    factor: Factor,
    /// `1 / sqrt(d)` of f16 models.
    scale: f32,
    rows: Rows,
}

impl Attention {
    /// Over the queries' own positions.
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let own = Self::fields(r, file)?;
        let [q, k, _] = own.qkv.map(|id| file.tensor(id).map(|t| t.shape()));
        (q? == k?).then_some(own)
    }

    fn read_cross(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let own = Self::fields(r, file)?;
        let rows = Rows::read(r, file, file.tensor(own.out)?.shape()[0])?;
        Some(Self { rows, ..own })
    }

    fn fields(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let qkv = [r.tensor()?, r.tensor()?, r.tensor()?];
        let out = r.tensor()?;
        // Scratch.
        r.tensor()?;
        let heads = usize::from(r.u16()?);
        let (score, factor, scale) = (r.factor()?, r.factor()?, r.f32()?);
        let shape = file.tensor(out)?.shape();
        let [q, k, v] = qkv.map(|id| file.tensor(id).map(|t| t.shape()));
        let fits = q? == shape && k? == v? && k?[0] == shape[0] && heads > 0 && shape[0] % heads == 0;
        fits.then_some(Self {
            qkv,
            out,
            heads,
            score,
            factor,
            scale,
            rows: Rows::default(),
        })
    }

    /// Channels of the head that `channel` is in.
    fn head(&self, channels: usize, channel: usize) -> std::ops::Range<usize> {
        let depth = channels / self.heads;
        channel / depth * depth..(channel / depth + 1) * depth
    }
}

impl Operator for Attention {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let [q, k, v] = self.qkv.map(|id| at.get(id));
        let (q, k, v) = (q?, k?, v?);
        let [of_rows, unit] = self.rows.factors();
        let keys: Vec<Vec<i64>> = (0..q.channels).map(|c| self.rows.keys(c)).collect();
        let mut result = q.map(|_| 0);
        for first in (0..q.channels).step_by(q.channels / self.heads) {
            let head = self.head(q.channels, first);
            for i in 0..q.positions() {
                let dot = |key: &dyn Fn(usize) -> i64| -> i64 { head.clone().map(|c| q.plane(c)[i] * key(c)).sum() };
                let rows = (0..self.rows.count()).map(|j| at.scaled(of_rows, dot(&|c| keys[c][j])));
                let given = (0..k.positions()).map(|j| at.scaled(self.score, dot(&|c| k.plane(c)[j])));
                let p = probabilities_q15(&rows.chain(given).collect::<Vec<_>>(), at.r);
                let (own, others) = p.split_at(self.rows.count());
                for c in head.clone() {
                    let constant = at.scaled(unit, products(own, &self.rows.values(c)));
                    let sum = saturate((products(others, v.plane(c)) + constant).into(), 32);
                    result.values[c * q.positions() + i] = at.store(at.scaled(self.factor, sum));
                }
            }
        }
        Some(result)
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let [q, k, v] = self.qkv.map(|id| at.get_float(id));
        let (q, k, v) = (q?, k?, v?);
        let all = |rows: Vec<i64>, given: &Planes<f32>, c: usize| joined(&rows, given.plane(c));
        let keys: Vec<Vec<f32>> = (0..q.channels).map(|c| all(self.rows.keys(c), &k, c)).collect();
        let values: Vec<Vec<f32>> = (0..q.channels).map(|c| all(self.rows.values(c), &v, c)).collect();
        let mut result = q.map(|_| 0);
        for first in (0..q.channels).step_by(q.channels / self.heads) {
            let head = self.head(q.channels, first);
            for i in 0..q.positions() {
                let query: Vec<f32> = head.clone().map(|c| q.plane(c)[i]).collect();
                let score = |j: usize| {
                    let key: Vec<f32> = head.clone().map(|c| keys[c][j]).collect();
                    in_order(&query, &key) * self.scale
                };
                let scores: Vec<f32> = (0..keys[first].len()).map(score).collect();
                let (weights, total) = powers(&scores);
                for c in head.clone() {
                    result.values[c * q.positions() + i] = at.store_float(in_order(&weights, &values[c]) / total);
                }
            }
        }
        Some(result)
    }
}
