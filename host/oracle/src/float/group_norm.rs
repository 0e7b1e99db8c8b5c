//! f16 group normalization: a sum a channel over its positions, then a sum of those.

use mote_runtime::blob::op::GroupNorm;

use crate::network::Inputs;
use crate::planes::Planes;
use crate::scalar::half::{load, silu, store};
use crate::scalar::rounding::Rounding;

/// Runs the normalization on the joined input; `affine` is gamma, then beta.
pub fn run(
    norm: &GroupNorm,
    affine: &[f32],
    input: &Planes<f32>,
    inputs: &Inputs<'_>,
    r: Rounding,
) -> Option<Planes<i64>> {
    let (gamma, beta) = affine.split_at(input.channels);
    let size = input.channels / usize::from(norm.groups);
    let count = (size * input.positions()) as f32;
    let vector = match norm.scale_shift {
        None => None,
        Some((id, _)) => Some(inputs.get(id)?.map(load)),
    };
    let mut values = Vec::with_capacity(input.values.len());
    for group in 0..usize::from(norm.groups) {
        let channels = group * size..(group + 1) * size;
        let total = |f: &dyn Fn(f32) -> f32| {
            let plane_sum = |c: usize| input.plane(c).iter().fold(0.0f32, |sum, x| sum + f(*x));
            channels.clone().fold(0.0f32, |sum, c| sum + plane_sum(c))
        };
        let mean = total(&|x| x) / count;
        let factor = 1.0 / (total(&|x| (x - mean) * (x - mean)) / count + norm.eps).sqrt();
        for c in channels.clone() {
            for x in input.plane(c) {
                let mut y = (x - mean) * factor * gamma[c] + beta[c];
                if let Some(vector) = &vector {
                    y = y * (1.0 + vector.values[c]) + vector.values[input.channels + c];
                }
                if norm.silu {
                    y = silu(y);
                }
                values.push(store(y, r.broken));
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
