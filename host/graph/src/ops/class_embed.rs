//! A row of a table by class label.

use super::{Backward, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
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

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let (table, n, width) = (pass.params.get(0), pass.extents.n, pass.extents.output[0]);
        for (sample, label) in pass.batch.labels.iter().enumerate() {
            let row = &table[label * width..][..width];
            let column = pass.y.iter_mut().skip(sample).step_by(n);
            column.zip(row).for_each(|(y, v)| *y = *v);
        }
    }
}

impl Reverse for ClassEmbed {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let (n, width) = (pass.extents.n, pass.extents.output[0]);
        let Some(table) = pass.gradients.of(0) else { return };
        for (sample, label) in pass.batch.labels.iter().enumerate() {
            let row = &mut table[label * width..][..width];
            let column = pass.dy.iter().skip(sample).step_by(n);
            row.iter_mut().zip(column).for_each(|(d, dy)| *d += *dy);
        }
    }
}
