//! Softmax over the channels of each position.

use core::f64::consts::LOG2_E;

use mote_graph::graph::Node;
use mote_runtime::internals::ops as record;
use mote_runtime::internals::ops::Op as Record;

use super::{Operator, OutputFormat};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering};
use crate::program::SlotId;
use crate::quantize::Q16;
use crate::quantize::formats::Format;

/// Softmax over channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Softmax {
    /// Input.
    pub src: SlotId,
}

impl Softmax {
    pub(super) fn lower(node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        let src = lowering.slot(node, 0)?;
        Ok(Lowered::Operator(Self { src }.into()))
    }
}

impl Operator for Softmax {
    fn inputs(&self) -> Vec<SlotId> {
        vec![self.src]
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        vec![&mut self.src]
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::Fixed(Format::Q15)
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        Record::Softmax(record::Softmax {
            src: e.id(self.src),
            out: e.id(out),
            in_requant: e.requant(e.scale(self.src) * LOG2_E * Q16),
        })
    }
}
