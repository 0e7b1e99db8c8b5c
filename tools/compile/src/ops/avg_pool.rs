//! Mean over 2x2 windows.

use mote_graph::graph::Node;
use mote_runtime::internals::ops as record;
use mote_runtime::internals::ops::Op as Record;

use super::{Operator, OutputFormat};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering};
use crate::program::SlotId;

/// Mean over 2x2 windows.
#[derive(Debug, Clone, PartialEq)]
pub struct AvgPool {
    /// Input.
    pub src: SlotId,
}

impl AvgPool {
    pub(super) fn lower(node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        let src = lowering.slot(node, 0)?;
        Ok(Lowered::Operator(Self { src }.into()))
    }
}

impl Operator for AvgPool {
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
        Record::AvgPool(record::AvgPool {
            src: e.id(self.src),
            out: e.id(out),
        })
    }
}
