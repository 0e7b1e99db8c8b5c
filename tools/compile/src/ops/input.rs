//! The sample, brought to the network's input: `scale * x_t + shift`.

use mote_graph::graph::{Node, Op};
use mote_runtime::internals::ops as record;
use mote_runtime::internals::ops::Op as Record;

use super::{Operator, OutputFormat};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowering, Next, refuse};
use crate::program::SlotId;

/// One unit of the sampler's state, Q24.
const Q24: f64 = 16_777_216.0;

/// `scale * x_t + shift`.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Factor.
    pub scale: f64,
    /// Offset.
    pub shift: f64,
}

impl Input {
    /// The sample as it is.
    pub const IDENTITY: Self = Self { scale: 1.0, shift: 0.0 };
}

impl Operator for Input {
    fn inputs(&self) -> Vec<SlotId> {
        vec![]
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        vec![]
    }

    fn absorbs(&self, next: &Next<'_>) -> bool {
        *self == Self::IDENTITY && matches!(next.node.op, Op::Affine(_))
    }

    fn absorb(&mut self, node: &Node, _input: usize, _lowering: &Lowering<'_>) -> Result<(), LowerError> {
        let Op::Affine(affine) = &node.op else {
            return Err(refuse(node, "it cannot join the sample"));
        };
        *self = Self {
            scale: affine.scale,
            shift: affine.shift,
        };
        Ok(())
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::Calibrated
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        let unit = e.scale(out);
        Record::Input(record::Input {
            out: e.id(out),
            requant: e.requant(self.scale / Q24 / unit),
            offset: if e.is_float() {
                0
            } else {
                libm::round(self.shift / unit) as i32
            },
            scale: self.scale as f32,
            shift: self.shift as f32,
        })
    }
}
