//! Rounding of weights: a scale an output channel, chosen by the error that it makes in the output.

use mote_host::calibrate::Stats;
use rayon::prelude::*;

use crate::lower::program::{Kind, Program, Step};

/// One output channel's integers.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Real value of one unit.
    pub scale: f64,
    /// Weights.
    pub weights: Vec<i32>,
    /// Bias in units of `scale * input scale`.
    pub bias: i64,
}

/// What rounding needs to know about the input.
#[derive(Debug, Clone, Copy)]
pub struct InputFacts<'a> {
    /// Mean an input channel: what a rounded weight shifts the output by, given back through the bias.
    pub means: &'a [f64],
    /// Real value of one unit.
    pub scale: f64,
    /// Largest magnitude as the accumulator sees it.
    pub bound: i64,
}

/// The scale at which the largest weight of a row just fits.
pub fn widest_scale(row: &[f32], bits: u32) -> f64 {
    row.iter().fold(0.0f64, |m, &w| m.max(f64::from(w.abs()))) / largest(bits)
}

/// The 8-bit scales of every convolution, by step and output channel: among shrunken ranges, the one with the least squared
/// error of the output, each input channel weighed by its mean square.
pub fn scales(program: &Program, stats: &[Stats]) -> Vec<Vec<f64>> {
    let step_scales = |step: &Step| match &step.kind {
        Kind::Conv(c) => {
            let power: Vec<f64> = c.source.iter().flat_map(|id| stats[id.0].mean_squares()).collect();
            c.weight
                .chunks_exact(c.weight.len() / c.bias.len())
                .map(|row| best_scale(row, &power))
                .collect()
        }
        _ => vec![],
    };
    program.steps.par_iter().map(step_scales).collect()
}

fn best_scale(row: &[f32], mean_squares: &[f64]) -> f64 {
    let widest = widest_scale(row, 8);
    let mut best = (f64::INFINITY, widest);
    for i in 0..=20 {
        let scale = widest * (1.0 - 0.02 * f64::from(i));
        let error = error(row, scale, largest(8), mean_squares);
        if error < best.0 {
            best = (error, scale);
        }
    }
    best.1
}

fn largest(bits: u32) -> f64 {
    f64::from((1i32 << (bits - 1)) - 1)
}

/// Rounds one channel's `row` of `(tap, in)` weights at `scale`, which grows until the accumulator stays below `limit`.
pub fn channel(row: &[f32], bias: f32, bits: u32, scale: f64, input: &InputFacts<'_>, limit: i64) -> Channel {
    let mut scale = scale.max(smallest_scale(bias, input, limit));
    loop {
        let channel = rounded(row, bias, scale, largest(bits), input);
        let sum: i64 = channel.weights.iter().map(|w| i64::from(w.abs())).sum();
        if channel
            .bias
            .saturating_abs()
            .saturating_add(sum.saturating_mul(input.bound))
            < limit
        {
            return channel;
        }
        scale *= 1.25;
    }
}

/// A scale at which the bias alone takes a quarter of the accumulator.
fn smallest_scale(bias: f32, input: &InputFacts<'_>, limit: i64) -> f64 {
    (4.0 * f64::from(bias.abs()) / (input.scale * limit as f64)).max(1e-12)
}

fn round(w: f32, scale: f64, largest: f64) -> f64 {
    (f64::from(w) / scale).round().clamp(-largest, largest)
}

fn error(row: &[f32], scale: f64, largest: f64, mean_squares: &[f64]) -> f64 {
    let squared = |(i, &w): (usize, &f32)| {
        let d = f64::from(w) - scale * round(w, scale, largest);
        d * d * mean_squares[i % mean_squares.len()]
    };
    row.iter().enumerate().map(squared).sum()
}

fn rounded(row: &[f32], bias: f32, scale: f64, largest: f64, input: &InputFacts<'_>) -> Channel {
    let mut shift = 0.0;
    let mut weights = Vec::with_capacity(row.len());
    for (i, &w) in row.iter().enumerate() {
        let q = round(w, scale, largest);
        shift += (f64::from(w) - scale * q) * input.means[i % input.means.len()];
        weights.push(q as i32);
    }
    let bias = libm::round((f64::from(bias) + shift) / (scale * input.scale)) as i64;
    Channel { scale, weights, bias }
}
