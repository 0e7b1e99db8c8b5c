//! Integer attention.

use mote_runtime::blob::op::Attention;
use mote_runtime::numeric::requant::Requant;

use super::Out;
use crate::planes::Planes;
use crate::scalar::sigmoid::exp2_neg_q16;

/// Runs the attention over positions.
pub fn run(a: &Attention, [q, k, v]: [&Planes<i64>; 3], out: &Out) -> Planes<i64> {
    let n = q.positions();
    let depth = q.channels / usize::from(a.heads);
    let mut result = Planes {
        values: vec![0; q.values.len()],
        ..q.clone()
    };
    for head in 0..usize::from(a.heads) {
        let channels = head * depth..(head + 1) * depth;
        for row in 0..n {
            let score = |j: usize| {
                let dot: i64 = channels.clone().map(|c| q.plane(c)[row] * k.plane(c)[j]).sum();
                out.r.requantize(dot, a.score.mult, a.score.shift)
            };
            let scores: Vec<i64> = (0..n).map(score).collect();
            let weights = probabilities_q15(&scores, out);
            for c in channels.clone() {
                let sum = weights.iter().zip(v.plane(c)).map(|(p, v)| p * v).sum();
                result.values[c * n + row] = out.store(out.scaled(a.out_requant, sum));
            }
        }
    }
    result
}

/// Softmax over the channels of each position.
pub fn softmax(src: &Planes<i64>, factor: Requant, out: &Out) -> Planes<i64> {
    let channels = src.channels;
    let rows = (0..src.positions()).map(|i| {
        let scores: Vec<i64> = (0..channels).map(|c| out.scaled(factor, src.plane(c)[i])).collect();
        probabilities_q15(&scores, out)
    });
    let values: Vec<i64> = rows.flatten().map(|p| out.store(p)).collect();
    Planes::from_channels_last(src.shape(), &values)
}

fn probabilities_q15(scores: &[i64], out: &Out) -> Vec<i64> {
    let top = scores.iter().copied().max().unwrap_or(0);
    let powers: Vec<i64> = scores.iter().map(|t| exp2_neg_q16(top - t)).collect();
    let total: i64 = powers.iter().sum();
    let reciprocal = (1 << 46) / i128::from(total);
    powers
        .iter()
        .map(|e| out.r.shift(i128::from(*e) * reciprocal, 31) as i64)
        .collect()
}
