//! Elements in other places: depth to space, positions in other rows, repetition.

use mote_graph::graph::Node;
use mote_runtime::internals::ops as record;
use mote_runtime::internals::ops::Op as Record;
use mote_runtime::internals::ops::rearrange::Pattern;

use super::{Operator, OutputFormat};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering, refuse};
use crate::program::SlotId;

/// Moves elements.
#[derive(Debug, Clone, PartialEq)]
pub struct Rearrange {
    /// Input.
    pub src: SlotId,
    /// How.
    pub way: Pattern,
    /// Rows and columns of a block.
    pub block: [usize; 2],
}

impl Rearrange {
    pub(super) fn lower(
        way: Pattern,
        block: [usize; 2],
        node: &Node,
        lowering: &Lowering<'_>,
    ) -> Result<Lowered, LowerError> {
        if block.iter().any(|side| *side > 15) {
            return Err(refuse(node, "blocks of more than 15 rows or columns"));
        }
        let src = lowering.slot(node, 0)?;
        Ok(Lowered::Operator(Self { src, way, block }.into()))
    }
}

impl Operator for Rearrange {
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
        let [rows, cols] = self.block;
        Record::Rearrange(record::Rearrange {
            src: e.id(self.src),
            out: e.id(out),
            way: self.way,
            block: (rows << 4 | cols) as u8,
        })
    }
}
