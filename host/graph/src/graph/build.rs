//! Building a graph one node at a time, shapes inferred as it grows.

use super::{ConditionInput, Graph, GraphError, Node, Op, Param, Value, ValueId, infer};
use crate::ops::{Condition, Inputs, Sample};
use std::collections::BTreeSet;

/// Appends nodes in execution order. A node is refused as soon as its shapes do not fit.
#[derive(Debug, Default)]
pub struct Builder {
    graph: Graph,
    names: BTreeSet<String>,
}

impl Builder {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The network's input of shape `(channel, row, col)`.
    pub fn sample(&mut self, shape: [usize; 3]) -> Result<ValueId, GraphError> {
        self.append("sample", Sample.into(), &[], Some(shape))
    }

    /// Stores a trained tensor, to be named by later nodes.
    pub fn param(&mut self, key: impl Into<String>, param: Param) {
        self.graph.params.insert(key.into(), param);
    }

    /// Says what f32 leaves of the tensor `key`.
    pub fn rest(&mut self, key: impl Into<String>, rest: Vec<f32>) {
        self.graph.rests.insert(key.into(), rest);
    }

    /// Appends `op` on `inputs`; gives the value it writes, which has the node's name.
    pub fn push(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        self.append(name, op.into(), inputs, None)
    }

    /// Publishes `value` as the output of the checkpoint's block `name`.
    pub fn tap(&mut self, name: impl Into<String>, value: ValueId) {
        self.graph.taps.push((name.into(), value));
    }

    /// Says that the network takes a class label below `classes`.
    pub fn classes(&mut self, classes: usize) {
        self.graph.classes = Some(classes);
    }

    /// The vector of so many numbers that is given at run time, `(channels, 1, 1)`. `range` is the least and the largest value that the
    /// network was trained on, where that is known. A graph has one condition at most.
    pub fn condition(&mut self, name: &str, channels: usize, range: Option<[f64; 2]>) -> Result<ValueId, GraphError> {
        self.graph.condition = Some(ConditionInput {
            channels,
            range,
            null: None,
        });
        self.push(name, Condition { channels }, &[])
    }

    /// Says what stood for every number of the condition where training dropped it.
    pub fn condition_null(&mut self, null: f64) {
        if let Some(condition) = &mut self.graph.condition {
            condition.null = Some(null);
        }
    }

    /// Shape of a value already built.
    #[must_use]
    pub fn shape(&self, value: ValueId) -> [usize; 3] {
        self.graph.values[value.0].shape
    }

    /// The node that writes a value already built.
    #[must_use]
    pub fn writer(&self, value: ValueId) -> Option<&Node> {
        self.graph.nodes.iter().rev().find(|node| node.output == value)
    }

    /// Ends the graph at `output`, and checks it as a whole.
    pub fn finish(mut self, output: ValueId) -> Result<Graph, GraphError> {
        self.graph.output = Some(output);
        self.graph.check()?;
        Ok(self.graph)
    }

    fn append(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[ValueId],
        sample: Option<[usize; 3]>,
    ) -> Result<ValueId, GraphError> {
        if !self.names.insert(name.to_string()) {
            return Err(GraphError::DuplicateName(name.to_string()));
        }
        let shapes: Vec<[usize; 3]> = inputs.iter().map(|id| self.shape(*id)).collect();
        let given = Inputs {
            node: name,
            shapes: &shapes,
            sample,
            params: &self.graph.params,
        };
        let shape = infer(&op, &given)?;
        let output = ValueId(self.graph.values.len());
        self.graph.values.push(Value {
            name: name.to_string(),
            shape,
        });
        self.graph.nodes.push(Node {
            name: name.to_string(),
            op,
            inputs: inputs.to_vec(),
            output,
        });
        Ok(output)
    }
}
