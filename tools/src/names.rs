//! Names of a model's tensors and operators, from its own names section.

use crate::escaped;
use mote_compile::plan::RECOMPUTED;
use mote_runtime::Model;

/// Characters of a name that are shown. A file may hold anything.
const LONGEST: usize = 200;

/// The name of the value that a slot called `name` holds, whether computed once or again.
pub fn of_value(name: &str) -> &str {
    name.trim_end_matches(RECOMPUTED)
}

/// A line a slot, then a line an operator; there are fewer of these where one is made inside another. Tensors past the slots are scratch.
#[derive(Debug, Clone)]
pub struct Names {
    lines: Vec<String>,
    ops: usize,
}

impl Names {
    /// The names that `model` carries; a model without them gets numbers.
    pub fn of(model: &Model<'_>) -> Self {
        let lines = String::from_utf8_lossy(model.names())
            .lines()
            .map(|line| escaped(&line.chars().take(LONGEST).collect::<String>()))
            .collect();
        Self {
            lines,
            ops: model.header().op_count.into(),
        }
    }

    /// The activation that tensor `index` holds.
    pub fn tensor(&self, index: usize) -> String {
        let slots = self.lines.len().saturating_sub(self.ops);
        let known = self.lines.get(index).filter(|_| index < slots);
        known.cloned().unwrap_or_else(|| format!("tensor {index}"))
    }

    /// Operator `index`.
    pub fn op(&self, index: usize) -> String {
        let first = self.lines.len().checked_sub(self.ops);
        let known = first.and_then(|first| self.lines.get(first + index));
        known.cloned().unwrap_or_else(|| format!("operator {index}"))
    }
}
