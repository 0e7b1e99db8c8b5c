//! `softmax(q k^T / sqrt(d)) v` over positions, a head after the other.

use super::softmax::{powers, probabilities_q15};
use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::TensorId;
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "attention",
    read: |r, file| Some(Box::new(Attention::read(r, file)?)),
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
}

impl Attention {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let qkv = [r.tensor()?, r.tensor()?, r.tensor()?];
        let out = r.tensor()?;
        // Scratch.
        r.tensor()?;
        let heads = usize::from(r.u16()?);
        let (score, factor, scale) = (r.factor()?, r.factor()?, r.f32()?);
        let shape = file.tensor(out)?.shape();
        let same = qkv
            .iter()
            .all(|id| file.tensor(*id).is_some_and(|t| t.shape() == shape));
        (same && heads > 0 && shape[0] % heads == 0).then_some(Self {
            qkv,
            out,
            heads,
            score,
            factor,
            scale,
        })
    }
}

impl Operator for Attention {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let [q, k, v] = self.qkv.map(|id| at.get(id));
        let (q, k, v) = (q?, k?, v?);
        let (n, depth) = (q.positions(), q.channels / self.heads);
        let mut result = q.map(|_| 0);
        for head in 0..self.heads {
            let channels = head * depth..(head + 1) * depth;
            for row in 0..n {
                let score = |j: usize| {
                    let dot: i64 = channels.clone().map(|c| q.plane(c)[row] * k.plane(c)[j]).sum();
                    at.scaled(self.score, dot)
                };
                let scores: Vec<i64> = (0..n).map(score).collect();
                let weights = probabilities_q15(&scores, at.r);
                for c in channels.clone() {
                    let sum = weights.iter().zip(v.plane(c)).map(|(p, v)| p * v).sum();
                    result.values[c * n + row] = at.store(at.scaled(self.factor, sum));
                }
            }
        }
        Some(result)
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let [q, k, v] = self.qkv.map(|id| at.get_float(id));
        let (q, k, v) = (q?, k?, v?);
        let (n, depth) = (q.positions(), q.channels / self.heads);
        let mut result = q.map(|_| 0);
        for head in 0..self.heads {
            let channels = head * depth..(head + 1) * depth;
            for row in 0..n {
                let dot = |j: usize| {
                    let products = channels.clone().map(|c| q.plane(c)[row] * k.plane(c)[j]);
                    products.fold(0.0f32, |sum, product| sum + product)
                };
                let scores: Vec<f32> = (0..n).map(|j| dot(j) * self.scale).collect();
                let (weights, total) = powers(&scores);
                for c in channels.clone() {
                    let sum = weights.iter().zip(v.plane(c)).fold(0.0f32, |sum, (w, v)| sum + w * v);
                    result.values[c * n + row] = at.store_float(sum / total);
                }
            }
        }
        Some(result)
    }
}
