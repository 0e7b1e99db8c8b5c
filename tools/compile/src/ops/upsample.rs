//! Nearest-neighbour x2 as an operator, where something else than convolutions reads it.

use mote_graph::graph::{Node, Op};
use mote_runtime::internals::ops as record;
use mote_runtime::internals::ops::Op as Record;

use super::{Operator, OutputFormat};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering, View};
use crate::program::SlotId;

/// Every element four times.
#[derive(Debug, Clone, PartialEq)]
pub struct Upsample {
    /// Input.
    pub src: SlotId,
}

impl Upsample {
    /// Convolutions read through it; only for others is it computed.
    pub(super) fn lower(node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        let source = lowering.view(node, 0)?;
        let folds = |reader: Option<&Node>| matches!(reader, Some(node) if matches!(node.op, Op::Conv(_)));
        if !source.upsample && lowering.readers(node.output).all(folds) {
            let slots = source.slots;
            return Ok(Lowered::View(View { slots, upsample: true }));
        }
        let src = lowering.slot(node, 0)?;
        Ok(Lowered::Operator(Self { src }.into()))
    }
}

impl Operator for Upsample {
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
        Record::Upsample(record::Upsample {
            src: e.id(self.src),
            out: e.id(out),
        })
    }
}
