//! Means and maxima over windows.

use mote_graph::graph::{Node, ops};
use mote_runtime::internals::ops as record;
use mote_runtime::internals::ops::Op as Record;

use super::{Operator, OutputFormat};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering, refuse};
use crate::program::SlotId;

/// The largest element of each window, or the mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Input.
    pub src: SlotId,
    /// Rows and columns of a window.
    pub window: [usize; 2],
    /// Rows and columns to the next.
    pub stride: [usize; 2],
    /// Whether it is the largest element.
    pub max: bool,
}

impl Pool {
    pub(super) fn lower(op: &ops::Pool, node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        if op.window.iter().chain(&op.stride).any(|side| *side > 15) {
            return Err(refuse(
                node,
                "windows of more than 15 rows or columns, or further apart",
            ));
        }
        let ops::Pool { window, stride, max } = *op;
        let src = lowering.slot(node, 0)?;
        Ok(Lowered::Operator(
            Self {
                src,
                window,
                stride,
                max,
            }
            .into(),
        ))
    }
}

impl Operator for Pool {
    fn inputs(&self) -> Vec<SlotId> {
        vec![self.src]
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        vec![&mut self.src]
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::SameAs(self.src)
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        let pair = |[rows, cols]: [usize; 2]| (rows << 4 | cols) as u8;
        let share = 1.0 / (self.window[0] * self.window[1]) as f64;
        Record::Pool(record::Pool {
            src: e.id(self.src),
            out: e.id(out),
            window: pair(self.window),
            stride: pair(self.stride),
            mean: (!self.max).then(|| e.requant(share)),
        })
    }
}
