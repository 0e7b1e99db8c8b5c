//! All trained tensors of a graph as one vector, in the order of their keys.

use super::Graph;
use std::collections::BTreeMap;
use std::ops::Range;

/// Where each tensor lies in the flat vector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    ranges: BTreeMap<String, Range<usize>>,
    len: usize,
}

impl Layout {
    /// Of the parameters of `graph`.
    #[must_use]
    pub fn of(graph: &Graph) -> Self {
        let mut layout = Self::default();
        for (key, param) in &graph.params {
            let first = layout.len;
            layout.len += param.data.len();
            layout.ranges.insert(key.clone(), first..layout.len);
        }
        layout
    }

    /// Trained values in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is trained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where `key` lies.
    #[must_use]
    pub fn range(&self, key: &str) -> Option<Range<usize>> {
        self.ranges.get(key).cloned()
    }

    /// The values of `graph`, whose layout this is.
    #[must_use]
    pub fn values_of(&self, graph: &Graph) -> Vec<f32> {
        graph.params.values().flat_map(|p| p.data.iter().copied()).collect()
    }

    /// Puts `values` into `graph`, whose layout this is.
    pub fn store(&self, values: &[f32], graph: &mut Graph) {
        for (key, param) in &mut graph.params {
            if let Some(range) = self.range(key) {
                param.data.copy_from_slice(&values[range]);
            }
        }
    }
}
