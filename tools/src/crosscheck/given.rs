//! Labels and condition vectors of references.

use super::CrosscheckError;
use super::vectors::Vectors;
use mote_graph::float::Conditions;
use mote_graph::graph::Graph;

/// What the samples of a reference are conditioned on.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    labels: Vec<usize>,
    /// `(sample, number)`.
    vectors: Vec<f64>,
}

impl Given {
    /// That of the `count` noises, for the sake of comparing `key`: `labels` and `cond`.
    pub(super) fn of_runs(vectors: &Vectors, key: &str, graph: &Graph, count: usize) -> Result<Self, CrosscheckError> {
        let mut given = Self::default();
        if let Some(classes) = graph.classes {
            given.labels = vectors.indices(key, "labels", classes)?;
            if given.labels.len() != count {
                return Err(vectors.shape("labels", format!("[{count}]")));
            }
        }
        if let Some(condition) = graph.condition {
            let found = vectors.need(key, "cond")?;
            if found.shape != [count, condition.channels] {
                return Err(vectors.shape("cond", format!("[{count}, {}]", condition.channels)));
            }
            given.vectors = found.data.clone();
        }
        Ok(given)
    }

    /// That of the `count` single passes: `fwd.labels` and `fwd.cond`, or else the first of `labels` and of `cond`.
    pub(super) fn of_passes(
        vectors: &Vectors,
        key: &str,
        graph: &Graph,
        count: usize,
    ) -> Result<Self, CrosscheckError> {
        let named = |own: &'static str, common: &'static str| match vectors.tensors.contains_key(common) {
            true if !vectors.tensors.contains_key(own) => common,
            _ => own,
        };
        let mut given = Self::default();
        if let Some(classes) = graph.classes {
            given.labels = vectors.indices(key, named("fwd.labels", "labels"), classes)?;
            given.labels.truncate(count);
        }
        if let Some(condition) = graph.condition {
            let name = named("fwd.cond", "cond");
            let found = vectors.need(key, name)?;
            if found.shape.len() != 2 || found.shape[0] < count || found.shape[1] != condition.channels {
                return Err(vectors.shape(name, format!("[{count}, {}]", condition.channels)));
            }
            given.vectors = found.data[..count * condition.channels].to_vec();
        }
        Ok(given)
    }

    /// That of one sample alone, where there are labels and vectors for `count`; `None` where there is none for it.
    pub(super) fn only(&self, i: usize, count: usize) -> Option<Self> {
        let each = self.vectors.len() / count.max(1);
        if i >= count {
            return None;
        }
        Some(Self {
            labels: match self.labels.is_empty() {
                true => vec![],
                false => vec![*self.labels.get(i)?],
            },
            vectors: self.vectors.get(i * each..(i + 1) * each)?.to_vec(),
        })
    }

    /// That of all samples twice: first as they are, then as the unconditional call of guidance has them, with label `null` and with
    /// `null_number` for every number of the condition where that can be dropped.
    pub(super) fn guided(&self, null: usize, null_number: Option<f64>) -> Self {
        let dropped = |v: &f64| null_number.unwrap_or(*v);
        Self {
            labels: [&self.labels[..], &vec![null; self.labels.len()]].concat(),
            vectors: self
                .vectors
                .iter()
                .copied()
                .chain(self.vectors.iter().map(dropped))
                .collect(),
        }
    }

    /// As a network takes it.
    pub(super) fn conditions(&self) -> Conditions<'_> {
        Conditions {
            labels: &self.labels,
            vectors: &self.vectors,
        }
    }
}
