//! Number formats that a network was trained with: `quantization.json` beside `model_index.json`.
//!
//! Quantization-aware training fixes the formats first, as conversion after training would choose them, and then trains the weights under
//! them. The checkpoint carries them, and the converter takes them as they are: what was trained is what runs. Names are those of the
//! checkpoint's modules: a file has nothing else in common with the network that it belongs to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Formats of every activation and scales of every convolution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Name of the scheme.
    pub scheme: String,
    /// By name of the slot.
    pub activations: BTreeMap<String, TrainedActivation>,
    /// By name of the operator.
    pub weights: BTreeMap<String, TrainedWeight>,
}

/// An activation's format: `(q - zero_point) * scale`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainedActivation {
    /// 8 or 16.
    pub bits: u8,
    /// Real value of one unit.
    pub scale: f64,
    /// The integer that stands for 0.
    pub zero_point: i8,
}

/// A convolution's scales.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedWeight {
    /// 4, 8 or 16.
    pub bits: u8,
    /// Real value of one unit, of 4 bits of a nibble of 1, by output channel; empty for 16 bits, which are as good as real numbers.
    pub scales: Vec<f64>,
}
