//! Quantization-aware training: the network as the integer model computes it.
//!
//! The formats are those that conversion after training chooses. From then on they stand, in training and in the file: every activation
//! that the model stores is rounded as the model rounds it, every weight as the converter rounds it, and gradients pass straight through.
//! What the integer model rounds inside an operator (its tables, its reciprocal root) is finer than both and left out.

use crate::convert::{ConvertError, Options, Progress, convert};
use crate::import::{Checkpoint, Trained, TrainedActivation};
use crate::program::{FusedOp, Program};
use crate::quantize::scheme::Scheme;

use mote_graph::float::FloatError;
use mote_graph::graph::ops::Operator as _;
use mote_train::gradient::{FakeRange, PreparedGraph};
use mote_train::rounding::{RoundedWeight, Rounding};

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
    pub network: PreparedGraph,
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
    let mut network = PreparedGraph::new(graph)?;
    let mut weights = vec![];
    let is_copy = |op: &&FusedOp| program.recomputed.iter().any(|[_, copy]| *copy == op.out);
    for op in program.ops.iter().filter(|op| !is_copy(op)) {
        let activation = trained.activations.get(&program.slot(op.out).name);
        if let (Some(activation), Some(value)) = (activation, op.origin.value) {
            network.round(value.0, range(activation));
        }
        let conv = op.kind.conv().zip(op.origin.nodes.first());
        let weight = trained.weights.get(&op.name).filter(|weight| weight.bits != 16);
        let (Some((conv, node)), Some(weight)) = (conv, weight) else {
            continue;
        };
        // An operator with weights names them first.
        let key = graph.nodes[*node].op.params().first().copied();
        let Some(range) = key.and_then(|key| network.layout().range(key)) else {
            continue;
        };
        let (low, high) = if weight.bits == 4 { (-8.0, 7.0) } else { (-127.0, 127.0) };
        // The scales are of the weights in the program; training has those of the checkpoint.
        let scale = |s: &f64| ((*s * conv.divisor) as f32).max(1e-12);
        weights.push(RoundedWeight {
            range,
            scales: weight.scales.iter().map(scale).collect(),
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

/// What an activation of this format can hold.
fn range(activation: &TrainedActivation) -> FakeRange {
    let (low, high) = if activation.bits == 8 {
        (-128.0, 127.0)
    } else {
        (-32768.0, 32767.0)
    };
    let zero = f32::from(activation.zero_point);
    FakeRange {
        scale: activation.scale as f32,
        low: low - zero,
        high: high - zero,
    }
}
