//! f16 attention: sums over channels and over positions, in order.

use mote_runtime::blob::op::Attention;

use crate::oracle::planes::Planes;
use crate::oracle::scalar::half::{exp, store};
use crate::oracle::scalar::rounding::Rounding;

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
            let top = scores
                .iter()
                .fold(f32::NEG_INFINITY, |top, s| if *s > top { *s } else { top });
            let weights: Vec<f32> = scores.iter().map(|s| exp(s - top)).collect();
            let total = weights.iter().fold(0.0f32, |sum, w| sum + w);
            for c in channels.clone() {
                let sum = weights.iter().zip(v.plane(c)).fold(0.0f32, |sum, (w, v)| sum + w * v);
                result.values[c * n + row] = store(sum / total, r.broken);
            }
        }
    }
    result
}
