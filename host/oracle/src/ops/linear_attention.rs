//! Linear attention: a softmax over the channels of queries, one over the positions of keys, and two products.

use super::rows::{Rows, in_order, joined, products};
use super::softmax::{powers, probabilities, probabilities_q15};
use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::{Dtype, TensorId};
use crate::planes::Planes;
use crate::scalar::rounding::saturate;

pub const KIND: Kind = Kind {
    name: "linear_attention",
    read: |r, file| Some(Box::new(LinearAttention::read(r, file)?)),
};

#[derive(Debug)]
struct LinearAttention {
    /// Queries, keys, values.
    qkv: [TensorId; 3],
    out: TensorId,
    heads: usize,
    /// From queries, and from keys, to Q16 in units of log2.
    softmaxes: [Factor; 2],
    context: Factor,
    factor: Factor,
    scale: f32,
    rows: Rows,
    /// Bits of the context.
    bits: u32,
}

impl LinearAttention {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let qkv = [r.tensor()?, r.tensor()?, r.tensor()?];
        let out = r.tensor()?;
        // Scratch.
        r.tensor()?;
        let heads = usize::from(r.u16()?);
        let softmaxes = [r.factor()?, r.factor()?];
        let (context, factor, scale) = (r.factor()?, r.factor()?, r.f32()?);
        let shape = file.tensor(out)?.shape();
        let [q, k, v] = qkv.map(|id| file.tensor(id));
        let (q, k, v) = (q?, k?, v?);
        let same = q.shape() == shape && k.shape() == v.shape() && k.shape()[0] == shape[0];
        let bits = if v.dtype == Dtype::I8 { 16 } else { 25 };
        let rows = Rows::read(r, file, shape[0])?;
        (same && heads > 0 && shape[0] % heads == 0).then_some(Self {
            qkv,
            out,
            heads,
            softmaxes,
            context,
            factor,
            scale,
            rows,
            bits,
        })
    }
}

impl Operator for LinearAttention {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let [q, k, v] = self.qkv.map(|id| at.get(id));
        let (q, k, v) = (q?, k?, v?);
        let ([of_rows, unit], [of_queries, of_keys]) = (self.rows.factors(), self.softmaxes);
        let (n, depth) = (q.positions(), q.channels / self.heads);
        let mut result = q.map(|_| 0);
        for head in 0..self.heads {
            let channels = head * depth..(head + 1) * depth;
            let context = |a: usize| -> Vec<i64> {
                let own = self.rows.keys(a).into_iter().map(|v| at.scaled(of_rows, v));
                let given = k.plane(a).iter().map(|v| at.scaled(of_keys, *v));
                let p = probabilities(&own.chain(given).collect::<Vec<_>>(), 23, at.r);
                let (own, given) = p.split_at(self.rows.count());
                let of = |c: usize| {
                    let rows = at.scaled(unit, products(own, &self.rows.values(c)));
                    let sum = at.scaled(self.context, products(given, v.plane(c))) + rows;
                    saturate(saturate(sum.into(), 32).into(), self.bits)
                };
                channels.clone().map(of).collect()
            };
            let contexts: Vec<Vec<i64>> = channels.clone().map(context).collect();
            for i in 0..n {
                let scores: Vec<i64> = channels.clone().map(|a| at.scaled(of_queries, q.plane(a)[i])).collect();
                let p = probabilities_q15(&scores, at.r);
                for (c, channel) in channels.clone().enumerate() {
                    let sum = p.iter().zip(&contexts).map(|(p, context)| p * context[c]).sum();
                    result.values[channel * n + i] = at.store(at.scaled(self.factor, sum));
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
            let context = |a: usize| -> Vec<f32> {
                let (weights, total) = powers(&joined(&self.rows.keys(a), k.plane(a)));
                let values = |c: usize| joined(&self.rows.values(c), v.plane(c));
                channels
                    .clone()
                    .map(|c| in_order(&weights, &values(c)) / total)
                    .collect()
            };
            let contexts: Vec<Vec<f32>> = channels.clone().map(context).collect();
            for i in 0..n {
                let scores: Vec<f32> = channels.clone().map(|a| q.plane(a)[i]).collect();
                let (weights, total) = powers(&scores);
                for (c, channel) in channels.clone().enumerate() {
                    let column: Vec<f32> = contexts.iter().map(|context| context[c]).collect();
                    let read = in_order(&weights, &column) / total;
                    result.values[channel * n + i] = at.store_float(read * self.scale);
                }
            }
        }
        Some(result)
    }
}
