//! What an operator's home says.

use mote_graph::graph::Node;
use mote_runtime::internals::ops::Op as Record;

use crate::emit::Emitter;
use crate::lower::{LowerError, Lowering, Next, refuse};
use crate::program::{Program, Slot, SlotId};
use crate::quantize::formats::Format;

/// What the stages of a conversion ask of every fused operator.
pub trait Operator {
    /// Slots read.
    fn inputs(&self) -> Vec<SlotId>;

    /// The same, to be changed.
    fn inputs_mut(&mut self) -> Vec<&mut SlotId>;

    /// Whether the only node that reads this operator's output becomes a part of it.
    fn absorbs(&self, _next: &Next<'_>) -> bool {
        false
    }

    /// Takes over a node that [`Operator::absorbs`] has accepted; the node's input `_input` is this operator's output.
    fn absorb(&mut self, node: &Node, _input: usize, _lowering: &Lowering<'_>) -> Result<(), LowerError> {
        Err(refuse(node, "it cannot join the operator before it"))
    }

    /// Multiply-accumulates of a network call. Only matrix products count.
    fn macs(&self, _out: &Slot) -> u64 {
        0
    }

    /// Number format of the output.
    fn output_format(&self) -> OutputFormat;

    /// Inputs whose zero point must be 0 in integer models.
    fn symmetric_inputs(&self) -> Vec<SlotId> {
        vec![]
    }

    /// Inputs that are multiplied by weights. With 8 bits these products are fast.
    fn multiplied_inputs(&self) -> &[SlotId] {
        &[]
    }

    /// The input whose memory the output may take over, if formats and lifetimes allow.
    fn in_place(&self) -> Option<SlotId> {
        None
    }

    /// Bytes of scratch memory.
    fn scratch_bytes(&self, _program: &Program, _out: &Slot, _room: Room) -> usize {
        0
    }

    /// The operator as it stands in the model file. Its tables go into the emitter's weights section.
    fn record(&self, out: SlotId, emitter: &mut Emitter<'_>) -> Record;
}

/// How the number format of an output is found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OutputFormat {
    /// From calibration, at the width that is assigned to the slot.
    Calibrated,
    /// The operator's own, whatever its input.
    Fixed(Format),
    /// That of an input, whose numbers are only moved or averaged.
    SameAs(SlotId),
}

/// What scratch memory is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// For f16 models.
    pub float: bool,
    /// Columns of gathered input that a convolution holds at once, where it has as many positions.
    pub columns: usize,
}
