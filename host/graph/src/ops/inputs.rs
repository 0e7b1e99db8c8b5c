//! What an operator is given when its shape is inferred, and the checks that operators share.

use crate::graph::{GraphError, Param};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Channels, rows and columns of one sample's activation.
pub type Shape = [usize; 3];

/// Largest activation, in elements a sample. A microcontroller holds a few hundred thousand; this only stops absurdity.
const MAX_ELEMENTS: usize = 1 << 28;

/// A node's inputs.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The node, for errors.
    pub node: &'a str,
    /// Shapes of the values read.
    pub shapes: &'a [Shape],
    /// The sample's shape, which follows from nothing else; `None` where it is not known.
    pub sample: Option<Shape>,
    /// The graph's trained tensors.
    pub params: &'a BTreeMap<String, Param>,
}

impl Inputs<'_> {
    /// Checks that there are as many inputs as the operator takes.
    pub fn count(&self, expected: usize) -> Result<(), GraphError> {
        if self.shapes.len() == expected {
            return Ok(());
        }
        Err(self.wrong_count(expected.to_string()))
    }

    /// The error of an operator that takes `expected` inputs.
    pub fn wrong_count(&self, expected: String) -> GraphError {
        GraphError::InputCount {
            node: self.node.to_string(),
            expected,
            found: self.shapes.len(),
        }
    }

    /// The only input.
    pub fn one(&self) -> Result<Shape, GraphError> {
        self.count(1)?;
        Ok(self.shapes[0])
    }

    /// Both inputs.
    pub fn two(&self) -> Result<[Shape; 2], GraphError> {
        self.count(2)?;
        Ok([self.shapes[0], self.shapes[1]])
    }

    /// Refuses what does not hold: `what` must be `expected`.
    pub fn require(
        &self,
        holds: bool,
        what: &'static str,
        expected: &str,
        found: impl Display,
    ) -> Result<(), GraphError> {
        if holds {
            return Ok(());
        }
        Err(GraphError::Mismatch {
            node: self.node.to_string(),
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        })
    }

    /// Refuses two shapes that differ.
    pub fn same(&self, what: &'static str, expected: Shape, found: Shape) -> Result<(), GraphError> {
        self.require(expected == found, what, &format!("{expected:?}"), format!("{found:?}"))
    }

    /// Refuses a tensor of these extents that is empty or absurdly large.
    pub fn size(&self, what: &'static str, extents: &[usize]) -> Result<(), GraphError> {
        let elements = extents.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        match elements {
            Some(0) => self.require(false, what, "not empty", format!("{extents:?}")),
            Some(n) if n <= MAX_ELEMENTS => Ok(()),
            _ => Err(GraphError::TooLarge {
                node: self.node.to_string(),
                what,
                limit: MAX_ELEMENTS,
            }),
        }
    }

    /// The trained tensor of that key.
    pub fn param(&self, key: &str) -> Result<&Param, GraphError> {
        self.params.get(key).ok_or_else(|| GraphError::MissingParam {
            node: self.node.to_string(),
            key: key.to_string(),
        })
    }

    /// Checks that a trained tensor has this shape.
    pub fn param_of_shape(&self, key: &str, shape: &[usize]) -> Result<(), GraphError> {
        let found = &self.param(key)?.shape;
        self.require(
            found == shape,
            "the parameter's shape",
            &format!("{shape:?}"),
            format!("{found:?}"),
        )
    }

    /// Checks that `parts` divides the channels.
    pub fn divides(&self, what: &'static str, parts: usize, channels: usize) -> Result<(), GraphError> {
        let holds = parts > 0 && channels.is_multiple_of(parts);
        self.require(holds, what, &format!("a divisor of {channels} channels"), parts)
    }
}
