//! Softmax over the channels of each position; its probabilities are attention's too.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::TensorId;
use crate::planes::Planes;
use crate::scalar::half::exp;
use crate::scalar::rounding::Rounding;
use crate::scalar::sigmoid::exp2_neg_q16;

pub const KIND: Kind = Kind {
    name: "softmax",
    read: |r, file| Some(Box::new(Softmax::read(r, file)?)),
};

#[derive(Debug)]
struct Softmax {
    src: TensorId,
    out: TensorId,
    /// From the input's unit to Q16 in units of log2.
    factor: Factor,
}

impl Softmax {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let softmax = Self {
            src: r.tensor()?,
            out: r.tensor()?,
            factor: r.factor()?,
        };
        (file.tensor(softmax.src)?.shape() == file.tensor(softmax.out)?.shape()).then_some(softmax)
    }
}

impl Operator for Softmax {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let src = at.get(self.src)?;
        let rows = (0..src.positions()).map(|i| {
            let scores: Vec<i64> = (0..src.channels)
                .map(|c| at.scaled(self.factor, src.plane(c)[i]))
                .collect();
            probabilities_q15(&scores, at.r)
        });
        let values: Vec<i64> = rows.flatten().map(|p| at.store(p)).collect();
        Some(Planes::from_channels_last(src.shape(), &values))
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let src = at.get_float(self.src)?;
        let rows = (0..src.positions()).map(|i| {
            let scores: Vec<f32> = (0..src.channels).map(|c| src.plane(c)[i]).collect();
            let (weights, total) = powers(&scores);
            weights.into_iter().map(move |w| w / total)
        });
        let values: Vec<i64> = rows.flatten().map(|v| at.store_float(v)).collect();
        Some(Planes::from_channels_last(src.shape(), &values))
    }
}

/// Probabilities of scores in units of log2, Q16.
pub fn probabilities_q15(scores: &[i64], r: Rounding) -> Vec<i64> {
    probabilities(scores, 15, r)
}

/// The same with so many fraction bits.
pub fn probabilities(scores: &[i64], bits: u32, r: Rounding) -> Vec<i64> {
    let top = scores.iter().copied().max().unwrap_or(0);
    let powers: Vec<i64> = scores.iter().map(|t| exp2_neg_q16(top - t)).collect();
    let total: i64 = powers.iter().sum();
    let reciprocal = (1 << 46) / i128::from(total);
    powers
        .iter()
        .map(|e| r.shift(i128::from(*e) * reciprocal, 46 - bits) as i64)
        .collect()
}

/// Exponentials of the distances from the largest score, and their sum in order.
pub fn powers(scores: &[f32]) -> (Vec<f32>, f32) {
    let top = scores
        .iter()
        .fold(f32::NEG_INFINITY, |top, s| if *s > top { *s } else { top });
    let weights: Vec<f32> = scores.iter().map(|s| exp(s - top)).collect();
    let total = weights.iter().fold(0.0f32, |sum, w| sum + w);
    (weights, total)
}
