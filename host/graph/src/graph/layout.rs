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

    /// The same in f64, with what f32 leaves of them.
    #[must_use]
    pub fn wide_values_of(&self, graph: &Graph) -> Vec<f64> {
        let mut values: Vec<f64> = self.values_of(graph).into_iter().map(f64::from).collect();
        for (key, rest) in &graph.rests {
            let own = self.range(key).and_then(|range| values.get_mut(range));
            if let Some(own) = own.filter(|own| own.len() == rest.len()) {
                own.iter_mut().zip(rest).for_each(|(v, rest)| *v += f64::from(*rest));
            }
        }
        values
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
