//! Multiply-accumulates: the size of one network call.

use super::{Graph, Node, Op};

impl Graph {
    /// Multiply-accumulates of one node for one sample: convolutions (taps that fall on padding included, as every
    /// published count has it) and the two products of attention. Everything else counts 0.
    #[must_use]
    pub fn node_macs(&self, node: &Node) -> u64 {
        let shape = |id: super::ValueId| self.values[id.0].shape.map(|d| d as u64);
        match &node.op {
            Op::Conv { kernel, .. } => {
                let [channels, ..] = shape(node.inputs[0]);
                let [out, rows, cols] = shape(node.output);
                out * rows * cols * channels * (*kernel as u64).pow(2)
            }
            Op::Attention { .. } => {
                let [channels, rows, cols] = shape(node.output);
                2 * channels * (rows * cols).pow(2)
            }
            _ => 0,
        }
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
