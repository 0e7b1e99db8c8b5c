//! A row of a table by class label.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

/// Row `class` of an embedding table `(classes, dim)`. No inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassEmbed {
    /// Key of the table.
    pub weight: String,
}

impl Operator for ClassEmbed {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(0)?;
        let table = inputs.param(&self.weight)?;
        inputs.require(table.shape.len() == 2, "the class table's rank", "2", table.shape.len())?;
        Ok([table.shape[1], 1, 1])
    }

    fn params(&self) -> Vec<&str> {
        vec![&self.weight]
    }
}
