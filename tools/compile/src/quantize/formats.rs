//! Scales and zero points of activations, from calibration.

use mote_engine::calibrate::Stats;
use mote_runtime::internals::tensor::Dtype;

use super::scheme::{Assignment, Bits};
use crate::ops::OutputFormat;
use crate::program::Program;

/// Number format of an activation: `(q - zero_point) * scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Format {
    /// Storage.
    pub dtype: Dtype,
    /// Real value of one unit.
    pub scale: f64,
    /// The integer that stands for 0.
    pub zero_point: i8,
}

/// Room above the largest magnitude seen, for int16 tensors: half a percent of resolution against clipping on other seeds.
pub const HEADROOM: f64 = 1.25;
/// The smallest scale: keeps every factor finite for tensors that are all zero.
const SMALLEST_SCALE: f64 = 1e-9;

impl Format {
    /// The format of a model held in f16.
    pub const F16: Self = Self {
        dtype: Dtype::F16,
        scale: 1.0,
        zero_point: 0,
    };
    /// The network's output.
    pub const OUTPUT: Self = Self {
        dtype: Dtype::Q24,
        scale: 1.0 / 16_777_216.0,
        zero_point: 0,
    };

    /// Fractions of 1: sines, cosines and probabilities.
    pub const Q15: Self = Self {
        dtype: Dtype::I16,
        scale: 1.0 / 32768.0,
        zero_point: 0,
    };

    /// int16 for magnitudes that never are above `max_abs`.
    pub fn int16_within(max_abs: f64) -> Self {
        Self {
            dtype: Dtype::I16,
            scale: (max_abs / 32767.0).max(SMALLEST_SCALE),
            zero_point: 0,
        }
    }

    /// int16 for magnitudes up to `max_abs`, and some room.
    pub fn int16(max_abs: f64) -> Self {
        Self {
            dtype: Dtype::I16,
            scale: (max_abs * HEADROOM / 32767.0).max(SMALLEST_SCALE),
            zero_point: 0,
        }
    }

    /// Largest magnitude that it can hold.
    pub fn max_abs(&self) -> f64 {
        match self.dtype {
            Dtype::I8 => self.scale * (128.0 + f64::from(self.zero_point).abs()),
            _ => self.scale * 32768.0,
        }
    }
}

/// A format for every slot.
pub fn formats(program: &Program, stats: &[Stats], assignment: &Assignment) -> Vec<Format> {
    let symmetric = symmetric_slots(program);
    let outputs = program.outputs();
    let mut formats: Vec<Format> = Vec::with_capacity(program.ops.len());
    for (i, op) in program.ops.iter().enumerate() {
        let format = match op.kind.operator().output_format() {
            _ if outputs.contains(&i) => Format::OUTPUT,
            OutputFormat::Fixed(format) => format,
            OutputFormat::SameAs(input) => formats[input.0],
            OutputFormat::Calibrated if assignment.activations[i] == Bits::Sixteen => {
                Format::int16(f64::from(stats[i].max_abs()))
            }
            OutputFormat::Calibrated => int8(&stats[i], symmetric[i]),
        };
        formats.push(format);
    }
    formats
}

/// Slots whose zero point must be 0.
fn symmetric_slots(program: &Program) -> Vec<bool> {
    let mut symmetric = vec![false; program.slots.len()];
    for op in &program.ops {
        let inputs = op.kind.operator().symmetric_inputs();
        inputs.into_iter().for_each(|id| symmetric[id.0] = true);
    }
    symmetric
}

/// The int8 range with the least mean squared error, over shrunken versions of the range that was seen.
fn int8(stats: &Stats, symmetric: bool) -> Format {
    let (low, high) = (f64::from(stats.min.min(0.0)), f64::from(stats.max.max(0.0)));
    let buckets: Vec<(f64, u64)> = stats.buckets().collect();
    let shrink = |steps: u32| (0..=steps).map(move |i| 1.0 - 0.04 * f64::from(i));
    let mut best = (f64::INFINITY, candidate(low, high, symmetric));
    for high_ratio in shrink(16) {
        for low_ratio in shrink(if symmetric { 0 } else { 16 }) {
            let (low, high) = if symmetric {
                (low * high_ratio, high * high_ratio)
            } else {
                (low * low_ratio, high * high_ratio)
            };
            let format = candidate(low, high, symmetric);
            let error = squared_error(&buckets, &format);
            if error < best.0 {
                best = (error, format);
            }
        }
    }
    best.1
}

fn candidate(low: f64, high: f64, symmetric: bool) -> Format {
    if symmetric {
        let scale = (high.max(-low) / 127.0).max(SMALLEST_SCALE);
        return Format {
            dtype: Dtype::I8,
            scale,
            zero_point: 0,
        };
    }
    let scale = ((high - low) / 255.0).max(SMALLEST_SCALE);
    let zero_point = libm::round(-128.0 - low / scale).clamp(-128.0, 127.0) as i8;
    Format {
        dtype: Dtype::I8,
        scale,
        zero_point,
    }
}

/// Expected squared error: uniform rounding inside the range, distance to its end outside.
fn squared_error(buckets: &[(f64, u64)], format: &Format) -> f64 {
    let zero = f64::from(format.zero_point);
    let (low, high) = ((-128.0 - zero) * format.scale, (127.0 - zero) * format.scale);
    let rounding = format.scale * format.scale / 12.0;
    let error = |v: f64| {
        let out = if v > high { v - high } else { low - v };
        if out > 0.0 { out * out } else { rounding }
    };
    buckets.iter().map(|&(v, n)| error(v) * n as f64).sum()
}
