//! Number formats that a network was trained with: `quantization.json` beside `model_index.json`.
//!
//! Quantization-aware training fixes the formats first, as conversion after training would choose them, and then trains the weights under
//! them. The checkpoint carries them, and the converter takes them as they are: what was trained is what runs. Its weights are whole
//! multiples of their scales, so that rounding them again changes nothing.

use std::collections::BTreeMap;

use mote_runtime::blob::tensor::Dtype;
use serde::{Deserialize, Serialize};

use super::formats::Format;
use super::round::Row;
use super::scheme::{Assignment, Bits, Scheme};
use super::weights::{INT4, widest_scale};
use crate::program::{Program, Slot};

/// Formats of every activation and scales of every convolution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Name of the scheme.
    pub scheme: String,
    /// By name of the slot.
    pub activations: BTreeMap<String, Activation>,
    /// By name of the operator.
    pub weights: BTreeMap<String, Weight>,
}

/// An activation's format: `(q - zero_point) * scale`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Activation {
    /// 8 or 16.
    pub bits: u8,
    /// Real value of one unit.
    pub scale: f64,
    /// The integer that stands for 0.
    pub zero_point: i8,
}

/// A convolution's scales.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// 4, 8 or 16.
    pub bits: u8,
    /// Real value of one unit, of 4 bits of a nibble of 1, by output channel; empty for 16 bits, which are as good as real numbers.
    pub scales: Vec<f64>,
}

/// Formats that do not fit the network.
#[derive(Debug, thiserror::Error)]
#[error("quantization.json does not fit the network: {what} is missing or wrong; remove the file, or train again")]
pub struct TrainedError {
    what: String,
}

impl Trained {
    /// What a conversion has chosen.
    pub fn of(
        scheme: Scheme,
        program: &Program,
        formats: &[Format],
        assignment: &Assignment,
        scales: &[Vec<f64>],
        int4: &[Vec<Row>],
    ) -> Self {
        let mut trained = Self {
            scheme: scheme.name().to_owned(),
            ..Self::default()
        };
        for (i, op) in program.ops.iter().enumerate() {
            let format = formats[i];
            let bits = if format.dtype == Dtype::I8 { 8 } else { 16 };
            let activation = Activation {
                bits,
                scale: format.scale,
                zero_point: format.zero_point,
            };
            // The output has a format of its own in every model.
            if i + 1 < program.ops.len() {
                trained.activations.insert(program.slots[i].name.clone(), activation);
            }
            let Some(conv) = op.kind.conv() else { continue };
            let row_scale = |(o, row): (usize, &[f32])| {
                let found = int4.get(i).and_then(|rows| rows.get(o));
                found.map_or(widest_scale(row, 4), |row| row.scale)
            };
            let weight = match assignment.weights[i] {
                Bits::Four => Weight {
                    bits: 4,
                    scales: conv.rows().enumerate().map(row_scale).collect(),
                },
                Bits::Eight => Weight {
                    bits: 8,
                    scales: scales[i].clone(),
                },
                Bits::Sixteen => Weight {
                    bits: 16,
                    scales: vec![],
                },
            };
            trained.weights.insert(op.name.clone(), weight);
        }
        trained
    }

    /// Formats by slot.
    pub fn formats(&self, program: &Program) -> Result<Vec<Format>, TrainedError> {
        let last = program.ops.len().saturating_sub(1);
        let format = |(i, slot): (usize, &Slot)| {
            if i == last {
                return Ok(Format::OUTPUT);
            }
            let dtype = |bits| match bits {
                8 => Some(Dtype::I8),
                16 => Some(Dtype::I16),
                _ => None,
            };
            let found = self
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

    /// Widths, scales of 8 bits, and weights of 4 bits, by operator.
    #[allow(clippy::type_complexity, reason = "three lists that the converter keeps apart")]
    pub fn weights(&self, program: &Program) -> Result<(Assignment, Vec<Vec<f64>>, Vec<Vec<Row>>), TrainedError> {
        let formats = self.formats(program)?;
        let narrow = |f: &Format| {
            if f.dtype == Dtype::I8 {
                Bits::Eight
            } else {
                Bits::Sixteen
            }
        };
        let mut assignment = Assignment::uniform(program, Bits::Sixteen);
        assignment.activations = formats.iter().map(narrow).collect();
        let (mut scales, mut int4) = (vec![vec![]; program.ops.len()], vec![vec![]; program.ops.len()]);
        for (i, op) in program.ops.iter().enumerate() {
            let Some(conv) = op.kind.conv() else { continue };
            let fits = |w: &&Weight| {
                w.bits == 16 || w.scales.len() == conv.bias.len() && w.scales.iter().all(|s| s.is_finite() && *s >= 0.0)
            };
            let weight = self.weights.get(&op.name).filter(fits);
            let weight = weight.ok_or_else(|| wrong(format!("the weight of {}", op.name)))?;
            scales[i] = weight.scales.clone();
            assignment.weights[i] = match weight.bits {
                4 => {
                    int4[i] = conv
                        .rows()
                        .zip(&weight.scales)
                        .map(|(row, scale)| nibbles(row, *scale))
                        .collect();
                    Bits::Four
                }
                8 => Bits::Eight,
                16 => {
                    scales[i] = vec![1.0; conv.bias.len()];
                    Bits::Sixteen
                }
                _ => return Err(wrong(format!("the width of {}", op.name))),
            };
        }
        Ok((assignment, scales, int4))
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
        nibbles: row.iter().map(nibble).collect(),
        shift: 0.0,
    }
}
