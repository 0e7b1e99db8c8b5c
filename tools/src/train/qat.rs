//! Quantization-aware training: the network as the integer model computes it.
//!
//! The formats are those that conversion after training chooses. From then on they stand, in training and in the file: every activation
//! that the model stores is rounded as the model rounds it, every weight as the converter rounds it, and gradients pass straight through.
//! What the integer model rounds inside an operator (its tables, its reciprocal root) is finer than both and left out.

use crate::convert::{ConvertError, Options, Progress, convert};
use crate::import::Checkpoint;
use crate::lower::program::{Kind, Program};
use crate::quantize::scheme::Scheme;
use crate::quantize::trained::Trained;
use mote_host::float::FloatError;
use mote_host::graph::{Op, ops};
use mote_host::train::gradient::{FakeRange, Network};
use mote_host::train::rounding::{RoundedWeight, Rounding};

/// Why a network cannot be trained as integers.
#[derive(Debug, thiserror::Error)]
pub enum QatError {
    /// It cannot be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// It cannot be run.
    #[error(transparent)]
    Float(#[from] FloatError),
    /// Formats that are chosen anew by every conversion.
    #[error("{0} has no formats to train for: choose w8a8, w8a16, w4a8 or w4a16")]
    Scheme(Scheme),
}

/// A network that computes as its integer model does.
#[derive(Debug, Clone)]
pub struct Qat {
    /// With rounded activations.
    pub network: Network,
    /// Of its weights.
    pub rounding: Rounding,
    /// The formats.
    pub trained: Trained,
}

/// Chooses formats for `checkpoint` and puts them into its network.
pub fn qat(checkpoint: &Checkpoint, scheme: Scheme, progress: &(dyn Fn(Progress) + Sync)) -> Result<Qat, QatError> {
    if matches!(scheme, Scheme::Auto | Scheme::F16) {
        return Err(QatError::Scheme(scheme));
    }
    let converted = convert(checkpoint, &Options::of(scheme), progress)?;
    let trained = converted.chosen.ok_or(QatError::Scheme(scheme))?;
    fake(checkpoint, &converted.program, trained)
}

/// The network of `checkpoint`, lowered to `program`, under given formats.
pub fn fake(checkpoint: &Checkpoint, program: &Program, trained: Trained) -> Result<Qat, QatError> {
    let graph = &checkpoint.graph;
    let mut network = Network::new(graph)?;
    for (index, value) in graph.values.iter().enumerate() {
        if let Some(a) = trained.activations.get(&value.name) {
            let (low, high) = if a.bits == 8 {
                (-128.0, 127.0)
            } else {
                (-32768.0, 32767.0)
            };
            let zero = f32::from(a.zero_point);
            let range = FakeRange {
                scale: a.scale as f32,
                low: low - zero,
                high: high - zero,
            };
            network.round(index, range);
        }
    }
    let mut weights = vec![];
    for step in &program.steps {
        let (Kind::Conv(conv), Some(weight)) = (&step.kind, trained.weights.get(&step.name)) else {
            continue;
        };
        let node = graph.nodes.iter().find(|n| n.name == step.name);
        let Some(Op::Conv(ops::Conv { weight: key, .. })) = node.map(|n| &n.op) else {
            continue;
        };
        let (Some(range), Some(param)) = (network.layout().range(key), graph.params.get(key)) else {
            continue;
        };
        if weight.bits == 16 {
            continue;
        }
        // A divisor that was fused into the convolution is in the scales.
        let top = |values: &[f32]| values.iter().fold(0f32, |m, v| m.max(v.abs()));
        let divisor = if top(&conv.weight) > 0.0 {
            top(&param.data) / top(&conv.weight)
        } else {
            1.0
        };
        let (low, high) = if weight.bits == 4 { (-8.0, 7.0) } else { (-127.0, 127.0) };
        weights.push(RoundedWeight {
            range,
            scales: weight.scales.iter().map(|s| (*s as f32 * divisor).max(1e-12)).collect(),
            low,
            high,
        });
    }
    Ok(Qat {
        network,
        rounding: Rounding(weights),
        trained,
    })
}
