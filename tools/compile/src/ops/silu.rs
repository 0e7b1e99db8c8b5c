//! SiLU on its own, where no normalization before it could absorb it: `x * sigmoid(x)`.

use mote_graph::graph::Node;
use mote_runtime::internals::ops as record;
use mote_runtime::internals::ops::Op as Record;

use super::{Kind, Operator, OutputFormat, Pointwise};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering, View};
use crate::program::SlotId;
use crate::quantize::Q16;

/// SiLU of every element.
#[derive(Debug, Clone, PartialEq)]
pub struct Silu {
    /// Input.
    pub src: SlotId,
}

impl Silu {
    /// Every resnet asks for the SiLU of the timestep's vector: it is computed once.
    pub(super) fn lower(node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        if lowering.view(node, 0)?.slots.len() > 1 {
            return Pointwise::lower_function(node, lowering);
        }
        let kind = Kind::Silu(Self {
            src: lowering.slot(node, 0)?,
        });
        let same = |op: &&crate::program::FusedOp| matches!(op.kind, Kind::Silu(_)) && op.kind == kind;
        Ok(match lowering.program.ops.iter().find(same) {
            Some(done) => Lowered::View(View::of(done.out)),
            None => Lowered::Operator(kind),
        })
    }
}

impl Operator for Silu {
    fn inputs(&self) -> Vec<SlotId> {
        vec![self.src]
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        vec![&mut self.src]
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::Calibrated
    }

    fn in_place(&self) -> Option<SlotId> {
        Some(self.src)
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        Record::Silu(record::Silu {
            src: e.id(self.src),
            out: e.id(out),
            in_requant: e.requant(e.scale(self.src) * Q16),
            out_requant: e.requant(1.0 / (Q16 * e.scale(out))),
        })
    }
}
