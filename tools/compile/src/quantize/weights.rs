//! Rounding of weights: a scale an output channel, chosen by the error that it makes in the output.

use mote_engine::calibrate::Stats;
use mote_runtime::internals::ops::conv::proof::accumulator_bound;
use mote_runtime::internals::tensor::int4;
use rayon::prelude::*;

use super::round::Row;
use crate::ops::Conv;
use crate::program::{FusedOp, Program};

/// Range of an int4 weight's nibble.
pub const INT4: [f64; 2] = [-8.0, 7.0];
/// Range of an int8 weight.
pub const INT8: [f64; 2] = [-127.0, 127.0];
/// What a nibble of 1 counts.
const NIBBLE: f64 = int4::UNIT as f64;

/// One output channel's integers.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Real value of one unit.
    pub scale: f64,
    /// Weights; of 4 bits, multiples of 16.
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

/// The 8-bit scales of every convolution, by operator and output channel: among shrunken ranges, the one with the least squared
/// error of the output, each input channel weighed by its mean square.
pub fn scales(program: &Program, stats: &[Stats]) -> Vec<Vec<f64>> {
    let of_conv = |conv: &Conv| {
        let power: Vec<f64> = conv.source.iter().flat_map(|id| stats[id.0].mean_squares()).collect();
        conv.rows().map(|row| best_scale(row, &power)).collect()
    };
    let of_op = |op: &FusedOp| op.kind.conv().map(of_conv).unwrap_or_default();
    program.ops.par_iter().map(of_op).collect()
}

/// That of one row, whose input channels have these mean squares.
pub fn best_scale(row: &[f32], mean_squares: &[f64]) -> f64 {
    let widest = widest_scale(row, 8);
    let mut best = (f64::INFINITY, widest);
    for i in 0..=20 {
        let scale = widest * (1.0 - 0.02 * f64::from(i));
        let error = error(row, scale, 8, mean_squares);
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
        let channel = rounded(row, bias, scale, bits, input);
        if channel.stays_below(limit, input) {
            return channel;
        }
        scale *= 1.25;
    }
}

/// One channel of 4 bits: as `int4` has rounded it, or, where that is not there or could reach `limit`, each weight alone.
pub fn channel_of_4_bits(row: &[f32], bias: f32, int4: Option<&Row>, input: &InputFacts<'_>, limit: i64) -> Channel {
    let unit = int4.map_or(widest_scale(row, 4), |rounded| rounded.scale) / NIBBLE;
    if let Some(rounded) = int4 {
        let integer = |n: &i8| int4::UNIT * i32::from(*n);
        let channel = Channel {
            scale: unit,
            weights: rounded.units.iter().map(integer).collect(),
            bias: libm::round((f64::from(bias) + rounded.shift) / (unit * input.scale)) as i64,
        };
        if channel.stays_below(limit, input) {
            return channel;
        }
    }
    channel(row, bias, 4, unit, input, limit)
}

/// One channel of 8 bits: as `int8` has rounded it, or, where that is not there or could reach `limit`, each weight alone at `scale`.
pub fn channel_of_8_bits(
    row: &[f32],
    bias: f32,
    int8: Option<&Row>,
    scale: f64,
    input: &InputFacts<'_>,
    limit: i64,
) -> Channel {
    if let Some(rounded) = int8 {
        let channel = Channel {
            scale: rounded.scale,
            weights: rounded.units.iter().map(|n| i32::from(*n)).collect(),
            bias: libm::round((f64::from(bias) + rounded.shift) / (rounded.scale * input.scale)) as i64,
        };
        if channel.stays_below(limit, input) {
            return channel;
        }
    }
    channel(row, bias, 8, scale, input, limit)
}

impl Channel {
    fn stays_below(&self, limit: i64, input: &InputFacts<'_>) -> bool {
        let sum = self.weights.iter().map(|w| u64::from(w.unsigned_abs())).sum();
        accumulator_bound(sum, self.bias, input.bound) < limit as u64
    }
}

/// A scale at which the bias alone takes a quarter of the accumulator.
fn smallest_scale(bias: f32, input: &InputFacts<'_>, limit: i64) -> f64 {
    (4.0 * f64::from(bias.abs()) / (input.scale * limit as f64)).max(1e-12)
}

/// The integer of a weight at `scale`; of 4 bits, a multiple of [`NIBBLE`].
fn round(w: f32, scale: f64, bits: u32) -> f64 {
    if bits == 4 {
        return NIBBLE * (f64::from(w) / (NIBBLE * scale)).round().clamp(INT4[0], INT4[1]);
    }
    (f64::from(w) / scale).round().clamp(-largest(bits), largest(bits))
}

fn error(row: &[f32], scale: f64, bits: u32, mean_squares: &[f64]) -> f64 {
    let squared = |(i, &w): (usize, &f32)| {
        let d = f64::from(w) - scale * round(w, scale, bits);
        d * d * mean_squares[i % mean_squares.len()]
    };
    row.iter().enumerate().map(squared).sum()
}

fn rounded(row: &[f32], bias: f32, scale: f64, bits: u32, input: &InputFacts<'_>) -> Channel {
    let mut shift = 0.0;
    let mut weights = Vec::with_capacity(row.len());
    for (i, &w) in row.iter().enumerate() {
        let q = round(w, scale, bits);
        shift += (f64::from(w) - scale * q) * input.means[i % input.means.len()];
        weights.push(q as i32);
    }
    let bias = libm::round((f64::from(bias) + shift) / (scale * input.scale)) as i64;
    Channel { scale, weights, bias }
}
