//! The float graph: one intermediate representation that is crosschecked, trained and lowered to integers.
//!
//! A [`Graph`] is a straight list of [`Node`]s in execution order over single-assignment [`Value`]s. Every value is one
//! sample's activation of shape `(channel, row, col)`; a vector is `(channel, 1, 1)`. There is no batch axis in the IR;
//! executors add one.
//!
//! [`Builder`] makes graphs and infers every shape; [`Graph::check`] proves that a graph made elsewhere is sound;
//! [`Graph::macs`] counts the work. Node order is execution order and parameters are sorted by key, so the same
//! checkpoint always gives the same graph, element for element.

mod build;
mod check;
mod error;
mod layout;

#[cfg(test)]
mod tests;

pub use crate::ops::{self, Op};
pub use build::Builder;
pub use error::GraphError;
pub use layout::Layout;

use crate::ops::{Inputs, Operator, Shape};
use std::collections::BTreeMap;

/// Index of a [`Value`] in [`Graph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub usize);

/// One activation: its name (the checkpoint's module path where there is one) and shape `(channel, row, col)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Unique name, such as `down_blocks.0.resnets.0.conv1`.
    pub name: String,
    /// `(channel, row, col)`.
    pub shape: [usize; 3],
}

/// A trained tensor in float32, in the checkpoint's own order (convolutions are `(out, in, row, col)`).
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub data: Vec<f32>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The checkpoint's module path, such as `mid_block.attentions.0.to_q`.
    pub name: String,
    /// What is computed.
    pub op: Op,
    /// Values read, in the operator's order.
    pub inputs: Vec<ValueId>,
    /// The value written.
    pub output: ValueId,
}

/// What is known of the vector that a network is given at run time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConditionInput {
    /// Numbers of the vector: channels of the graph's [`ops::Condition`].
    pub channels: usize,
    /// Least and largest value that it was trained on; `None` where nothing says it.
    pub range: Option<[f64; 2]>,
    /// What stood for every number where training dropped the condition, for guidance; `None` where it never did.
    pub null: Option<f64>,
}

/// An epsilon-network as a straight-line program.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// All activations.
    pub values: Vec<Value>,
    /// Operations in execution order; each reads only values written before it.
    pub nodes: Vec<Node>,
    /// Trained tensors by checkpoint key.
    pub params: BTreeMap<String, Param>,
    /// What f32 leaves of computed tensors, such as a batch norm's factors, by key: a network that runs in f64 has it beside `params`.
    pub rests: BTreeMap<String, Vec<f32>>,
    /// The network's output.
    pub output: Option<ValueId>,
    /// Rows of the class embedding, when the network is conditional.
    pub classes: Option<usize>,
    /// The vector that is given at run time, where the network has one.
    pub condition: Option<ConditionInput>,
    /// Checkpoint block names (`down_blocks.0`, `conv_act`, `time_embedding`) and the value that is that block's output.
    pub taps: Vec<(String, ValueId)>,
}

impl Graph {
    /// Multiply-accumulates of one node for one sample: convolutions (taps that fall on padding included, as every
    /// published count has it) and the two products of attention. Everything else counts 0.
    #[must_use]
    pub fn node_macs(&self, node: &Node) -> u64 {
        let shape = |id: &ValueId| self.values[id.0].shape;
        let inputs: Vec<Shape> = node.inputs.iter().map(shape).collect();
        node.op.macs(&inputs, shape(&node.output))
    }

    /// Multiply-accumulates of one network call for one sample.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.nodes.iter().map(|node| self.node_macs(node)).sum()
    }

    /// Number of trained values.
    #[must_use]
    pub fn param_count(&self) -> usize {
        self.params.values().map(|param| param.data.len()).sum()
    }
}

/// The output's shape of `op`, which must be no empty value and no absurdly large one.
fn infer(op: &Op, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
    let shape = op.shape(inputs)?;
    inputs.size("the output", &shape)?;
    Ok(shape)
}
