//! Checking a whole graph: single assignment, order, shapes, names.

use super::{Graph, GraphError, Node, Op, ValueId, infer};
use crate::ops::Inputs;
use std::collections::BTreeSet;

impl Graph {
    /// Proves that every node reads only values written before it, that each value is written once and has the shape
    /// its operator gives, that parameters exist with fitting shapes and data, and that names are unique.
    pub fn check(&self) -> Result<(), GraphError> {
        self.check_names()?;
        self.check_params()?;
        self.check_condition()?;
        let sample = self.sample().map(|id| self.values[id.0].shape);
        let mut written = vec![false; self.values.len()];
        for node in &self.nodes {
            let given = Inputs {
                node: &node.name,
                shapes: &self.read(node, &written)?,
                sample,
                params: &self.params,
            };
            let shape = infer(&node.op, &given)?;
            self.write(node, shape, &mut written)?;
        }
        for id in self.output.iter().chain(self.taps.iter().map(|(_, id)| id)) {
            if !written.get(id.0).copied().unwrap_or(false) {
                return Err(GraphError::NoOutput);
            }
        }
        self.output.map(|_| ()).ok_or(GraphError::NoOutput)
    }

    /// The value that holds x_t, when the graph has one.
    #[must_use]
    pub fn sample(&self) -> Option<ValueId> {
        let node = self.nodes.iter().find(|node| matches!(node.op, Op::Sample(_)))?;
        (node.output.0 < self.values.len()).then_some(node.output)
    }

    /// Shape `(channel, row, col)` of the sample, or zeros for a graph without one.
    #[must_use]
    pub fn sample_shape(&self) -> [usize; 3] {
        self.sample().map_or([0; 3], |id| self.values[id.0].shape)
    }

    /// Shape `(channel, row, col)` of the output, or zeros for a graph without one.
    #[must_use]
    pub fn output_shape(&self) -> [usize; 3] {
        self.output
            .and_then(|id| self.values.get(id.0))
            .map_or([0; 3], |value| value.shape)
    }

    fn check_names(&self) -> Result<(), GraphError> {
        let kinds: [Vec<&String>; 3] = [
            self.values.iter().map(|v| &v.name).collect(),
            self.nodes.iter().map(|n| &n.name).collect(),
            self.taps.iter().map(|(name, _)| name).collect(),
        ];
        for names in kinds {
            let mut seen = BTreeSet::new();
            if let Some(name) = names.into_iter().find(|name| !seen.insert(*name)) {
                return Err(GraphError::DuplicateName(name.clone()));
            }
        }
        Ok(())
    }

    /// One condition at most, of the length and with a range that [`Graph::condition`] says.
    fn check_condition(&self) -> Result<(), GraphError> {
        let wrong = |node: &str, what, expected: String, found: String| {
            let node = node.to_string();
            Err(GraphError::Mismatch {
                node,
                what,
                expected,
                found,
            })
        };
        let mut nodes = self.nodes.iter().filter_map(|node| match &node.op {
            Op::Condition(op) => Some((node.name.as_str(), op.channels)),
            _ => None,
        });
        let (first, second) = (nodes.next(), nodes.next());
        if let Some((name, _)) = second {
            return wrong(name, "the number of conditions", "1".into(), "another".into());
        }
        let (name, found) = first.map_or(("condition", 0), |(name, channels)| (name, channels));
        let expected = self.condition.map_or(0, |condition| condition.channels);
        if expected != found {
            let what = "the condition's length";
            return wrong(name, what, expected.to_string(), found.to_string());
        }
        match self.condition.and_then(|condition| condition.range) {
            Some([low, high]) if !(low.is_finite() && high.is_finite() && low < high) => {
                let what = "the condition's range";
                wrong(
                    name,
                    what,
                    "finite, the least value first".into(),
                    format!("{low} to {high}"),
                )
            }
            _ => Ok(()),
        }
    }

    fn check_params(&self) -> Result<(), GraphError> {
        for (key, param) in &self.params {
            let expected = param.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
            if expected != Some(param.data.len()) {
                return Err(GraphError::Mismatch {
                    node: key.clone(),
                    what: "the parameter's element count",
                    expected: format!("the product of {:?}", param.shape),
                    found: param.data.len().to_string(),
                });
            }
        }
        Ok(())
    }

    fn read(&self, node: &Node, written: &[bool]) -> Result<Vec<[usize; 3]>, GraphError> {
        let order = |value: usize, problem| GraphError::Order {
            node: node.name.clone(),
            value,
            problem,
        };
        node.inputs
            .iter()
            .map(|id| match written.get(id.0) {
                Some(true) => Ok(self.values[id.0].shape),
                Some(false) => Err(order(id.0, "read before it is written")),
                None => Err(order(id.0, "not in the graph")),
            })
            .collect()
    }

    fn write(&self, node: &Node, shape: [usize; 3], written: &mut [bool]) -> Result<(), GraphError> {
        let order = |problem| GraphError::Order {
            node: node.name.clone(),
            value: node.output.0,
            problem,
        };
        match written.get_mut(node.output.0) {
            None => return Err(order("not in the graph")),
            Some(true) => return Err(order("written twice")),
            Some(slot) => *slot = true,
        }
        let found = self.values[node.output.0].shape;
        if found == shape {
            return Ok(());
        }
        Err(GraphError::Mismatch {
            node: node.name.clone(),
            what: "the output value's shape",
            expected: format!("{shape:?}"),
            found: format!("{found:?}"),
        })
    }
}
