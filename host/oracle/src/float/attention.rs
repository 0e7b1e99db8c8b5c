//! f16 attention: sums over channels and over positions, in order.

use mote_runtime::blob::op::Attention;

use crate::planes::Planes;
use crate::scalar::half::{exp, store};
use crate::scalar::rounding::Rounding;

/// Runs the attention over positions.
pub fn run(a: &Attention, [q, k, v]: [&Planes<f32>; 3], r: Rounding) -> Planes<i64> {
    let n = q.positions();
    let depth = q.channels / usize::from(a.heads);
    let mut result = q.map(|_| 0);
    for head in 0..usize::from(a.heads) {
        let channels = head * depth..(head + 1) * depth;
        for row in 0..n {
            let dot = |j: usize| {
                channels
                    .clone()
                    .fold(0.0f32, |sum, c| sum + q.plane(c)[row] * k.plane(c)[j])
            };
            let scores: Vec<f32> = (0..n).map(|j| dot(j) * a.scale).collect();
            let (weights, total) = powers(&scores);
            for c in channels.clone() {
                let sum = weights.iter().zip(v.plane(c)).fold(0.0f32, |sum, (w, v)| sum + w * v);
                result.values[c * n + row] = store(sum / total, r.broken);
            }
        }
    }
    result
}

/// Softmax over the channels of each position, in order.
pub fn softmax(src: &Planes<f32>, r: Rounding) -> Planes<i64> {
    let rows = (0..src.positions()).map(|i| {
        let scores: Vec<f32> = (0..src.channels).map(|c| src.plane(c)[i]).collect();
        let (weights, total) = powers(&scores);
        weights
            .into_iter()
            .map(move |w| store(w / total, r.broken))
            .collect::<Vec<_>>()
    });
    Planes::from_channels_last(src.shape(), &rows.flatten().collect::<Vec<_>>())
}

/// Exponentials of the distances from the largest, and their sum.
fn powers(scores: &[f32]) -> (Vec<f32>, f32) {
    let top = scores
        .iter()
        .fold(f32::NEG_INFINITY, |top, s| if *s > top { *s } else { top });
    let weights: Vec<f32> = scores.iter().map(|s| exp(s - top)).collect();
    let total = weights.iter().fold(0.0f32, |sum, w| sum + w);
    (weights, total)
}
