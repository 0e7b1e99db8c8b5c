//! Formats that a checkpoint was trained with, taken from a conversion and given to one.
//!
//! The weights of such a checkpoint are whole multiples of their scales, so that rounding them once more changes nothing.

use mote_runtime::internals::tensor::Dtype;

use super::Quantization;
use super::formats::Format;
use super::round::Row;
use super::scheme::{Assignment, Bits};
use super::weights::{INT4, widest_scale};
use crate::ops::Conv;
use crate::program::{FusedOp, Program, Slot};
use mote_import::{Trained, TrainedActivation, TrainedWeight};

/// Formats that do not fit the network.
#[derive(Debug, thiserror::Error)]
#[error("quantization.json does not fit the network: {what} is missing or wrong; remove the file, or train again")]
pub struct TrainedError {
    what: String,
}

/// Weights as they were trained.
#[derive(Debug, Clone)]
pub struct TrainedWeights {
    /// Widths of activations and weights.
    pub assignment: Assignment,
    /// Scales of 8-bit weights, by operator and output channel.
    pub scales: Vec<Vec<f64>>,
    /// Weights of 4 bits, by operator and output channel.
    pub int4: Vec<Vec<Row>>,
}

/// What a conversion has chosen.
pub fn chosen_formats(scheme: &str, program: &Program, chosen: &Quantization<'_>) -> Trained {
    // The output has a format of its own in every model.
    let outputs = program.outputs();
    let activations = program.slots.iter().zip(chosen.formats).enumerate();
    let activations = activations.filter(|(i, _)| !outputs.contains(i)).map(|(_, pair)| pair);
    let convs = program.ops.iter().filter_map(|op| Some((op, op.kind.conv()?)));
    Trained {
        scheme: scheme.to_owned(),
        activations: activations
            .map(|(slot, format)| (slot.name.clone(), activation(format)))
            .collect(),
        weights: convs
            .map(|(op, conv)| (op.name.clone(), weight(op, conv, chosen)))
            .collect(),
    }
}

/// Formats by slot.
pub fn formats(trained: &Trained, program: &Program) -> Result<Vec<Format>, TrainedError> {
    let outputs = program.outputs();
    let format = |(i, slot): (usize, &Slot)| {
        if outputs.contains(&i) {
            return Ok(Format::OUTPUT);
        }
        let dtype = |bits| match bits {
            8 => Some(Dtype::I8),
            16 => Some(Dtype::I16),
            _ => None,
        };
        let found = trained
            .activations
            .get(&slot.name)
            .filter(|a| a.scale.is_finite() && a.scale > 0.0);
        let found = found.and_then(|a| Some((a, dtype(a.bits)?)));
        let (a, dtype) = found.ok_or_else(|| wrong(format!("the activation {}", slot.name)))?;
        Ok(Format {
            dtype,
            scale: a.scale,
            zero_point: if dtype == Dtype::I8 { a.zero_point } else { 0 },
        })
    };
    program.slots.iter().enumerate().map(format).collect()
}

/// Widths, scales and weights of 4 bits.
pub fn weights(trained: &Trained, program: &Program) -> Result<TrainedWeights, TrainedError> {
    let narrow = |f: &Format| {
        if f.dtype == Dtype::I8 {
            Bits::Eight
        } else {
            Bits::Sixteen
        }
    };
    let mut to = TrainedWeights {
        assignment: Assignment {
            activations: formats(trained, program)?.iter().map(narrow).collect(),
            ..Assignment::uniform(program, Bits::Sixteen)
        },
        scales: vec![vec![]; program.ops.len()],
        int4: vec![vec![]; program.ops.len()],
    };
    for (i, op) in program.ops.iter().enumerate() {
        let Some(conv) = op.kind.conv() else { continue };
        let weight = weight_of(trained, op, conv)?;
        to.scales[i] = weight.scales.clone();
        to.assignment.weights[i] = match weight.bits {
            4 => {
                let rows = conv.rows().zip(&weight.scales);
                to.int4[i] = rows.map(|(row, scale)| nibbles(row, *scale)).collect();
                Bits::Four
            }
            8 => Bits::Eight,
            16 => {
                to.scales[i] = vec![1.0; conv.bias.len()];
                Bits::Sixteen
            }
            _ => return Err(wrong(format!("the width of {}", op.name))),
        };
    }
    Ok(to)
}

fn weight_of<'a>(trained: &'a Trained, op: &FusedOp, conv: &Conv) -> Result<&'a TrainedWeight, TrainedError> {
    let sound = |scale: &f64| scale.is_finite() && *scale >= 0.0;
    let fits = |w: &&TrainedWeight| w.bits == 16 || w.scales.len() == conv.bias.len() && w.scales.iter().all(sound);
    let weight = trained.weights.get(&op.name).filter(fits);
    weight.ok_or_else(|| wrong(format!("the weight of {}", op.name)))
}

fn activation(format: &Format) -> TrainedActivation {
    TrainedActivation {
        bits: if format.dtype == Dtype::I8 { 8 } else { 16 },
        scale: format.scale,
        zero_point: format.zero_point,
    }
}

fn weight(op: &FusedOp, conv: &Conv, chosen: &Quantization<'_>) -> TrainedWeight {
    let of_row = |(o, row)| chosen.int4_row(op.out, o).map_or(widest_scale(row, 4), |row| row.scale);
    match chosen.assignment.weights[op.out.0] {
        Bits::Four => TrainedWeight {
            bits: 4,
            scales: conv.rows().enumerate().map(of_row).collect(),
        },
        Bits::Eight => TrainedWeight {
            bits: 8,
            scales: (chosen.scales[op.out.0].iter().enumerate())
                .map(|(o, scale)| chosen.int8_row(op.out, o).map_or(*scale, |row| row.scale))
                .collect(),
        },
        Bits::Sixteen => TrainedWeight {
            bits: 16,
            scales: vec![],
        },
    }
}

fn wrong(what: String) -> TrainedError {
    TrainedError { what }
}

/// A row that is a whole multiple of its scale already.
fn nibbles(row: &[f32], scale: f64) -> Row {
    let scale = scale.max(1e-12);
    let nibble = |w: &f32| (f64::from(*w) / scale).round().clamp(INT4[0], INT4[1]) as i8;
    Row {
        scale,
        units: row.iter().map(nibble).collect(),
        shift: 0.0,
    }
}
