//! Which operators become part of the one that follows them.

use mote_host::graph::{Graph, Node, Op, ValueId};

use super::program::Kind;

/// Indices of the nodes that read each value; the network's output counts as read by one node past the end.
pub struct Readers(Vec<Vec<usize>>);

impl Readers {
    /// Of every value of a graph.
    pub fn of(graph: &Graph) -> Self {
        let mut readers = vec![Vec::new(); graph.values.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|v| readers[v.0].push(index));
        }
        if let Some(output) = graph.output {
            readers[output.0].push(graph.nodes.len());
        }
        Self(readers)
    }

    /// Of one value.
    pub fn of_value(&self, value: ValueId) -> &[usize] {
        &self.0[value.0]
    }

    /// Whether the operator `kind` that node `index` stands for waits to be absorbed by the only node that reads it.
    pub fn absorb(&self, graph: &Graph, index: usize, node: &Node, kind: &Kind) -> bool {
        let [only] = self.of_value(node.output) else {
            return false;
        };
        let Some(next) = graph.nodes.get(*only) else {
            return false;
        };
        match (kind, &next.op) {
            (Kind::Input { .. }, Op::Affine(_)) => true,
            (Kind::Norm(n), Op::ScaleShift(_)) => n.scale_shift.is_none() && next.inputs[0] == node.output,
            (Kind::Norm(_), Op::Silu(_)) => true,
            (Kind::Conv(_), Op::AddChannel(_)) => next.inputs[0] == node.output,
            // Of two convolutions that are added the later one absorbs the addition.
            (Kind::Conv(_), Op::Add(_)) => {
                let ready = |v: &ValueId| *v == node.output || !self.comes_later(graph, *v, index);
                next.inputs.iter().all(ready)
            }
            _ => false,
        }
    }

    /// Whether a value is written by a convolution after node `index` that only this addition reads.
    fn comes_later(&self, graph: &Graph, value: ValueId, index: usize) -> bool {
        let later = graph.nodes.iter().skip(index + 1).find(|n| n.output == value);
        later.is_some_and(|n| matches!(n.op, Op::Conv(_)) && self.of_value(value).len() == 1)
    }
}
