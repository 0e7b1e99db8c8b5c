//! Attention over positions: `softmax(q k^T / sqrt(depth)) v` (Vaswani et al. 2017, equation 1).

use core::f64::consts::LOG2_E;

use mote_graph::graph::{Node, ops};
use mote_runtime::internals::ops::attention::attention_scratch_bytes;
use mote_runtime::internals::ops::{Attention as Fields, Op as Record};
use mote_runtime::internals::tensor::Tensor;

use super::{Cost, CrossAttention, Operator, OutputFormat, Room, rows};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering};
use crate::program::{Program, Slot, SlotId};
use crate::quantize::Q16;

/// Attention over positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Queries, keys, values.
    pub qkv: [SlotId; 3],
    /// Number of heads. Divides the channels.
    pub heads: usize,
}

impl Attention {
    pub(super) fn lower(op: &ops::Attention, node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        let (qkv, rows) = rows::operands(node, lowering)?;
        if rows.is_some() || lowering.shape(node.inputs[1]) != lowering.shape(node.inputs[0]) {
            return CrossAttention::lower(op, node, lowering, qkv, rows);
        }
        let heads = op.heads;
        Ok(Lowered::Operator(Self { qkv, heads }.into()))
    }
}

/// What a record costs: scores, and their sum of values.
pub(super) fn cost(out: &Tensor) -> Cost {
    Cost {
        macs: 2 * (out.positions() as u64).pow(2) * u64::from(out.channels),
        ..Cost::NOTHING
    }
}

impl Operator for Attention {
    fn inputs(&self) -> Vec<SlotId> {
        self.qkv.to_vec()
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        self.qkv.iter_mut().collect()
    }

    fn macs(&self, out: &Slot) -> u64 {
        2 * (out.positions().pow(2) * out.shape[0]) as u64
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::Calibrated
    }

    /// Products of two activations: a zero point would leave a sum over each.
    fn symmetric_inputs(&self) -> Vec<SlotId> {
        self.inputs()
    }

    fn in_place(&self) -> Option<SlotId> {
        Some(self.qkv[0])
    }

    fn scratch_bytes(&self, _program: &Program, out: &Slot, _room: Room) -> usize {
        attention_scratch_bytes(out.positions())
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        let [q, k, v] = self.qkv;
        let root = libm::sqrt((e.program.slot(q).shape[0] / self.heads) as f64);
        Record::Attention(Fields {
            q: e.id(q),
            k: e.id(k),
            v: e.id(v),
            out: e.id(out),
            scratch: e.scratch(out),
            heads: self.heads as u16,
            score: e.wide_requant(e.scale(q) * e.scale(k) * LOG2_E / root * Q16),
            out_requant: e.requant(e.scale(v) / 32768.0 / e.scale(out)),
            scale: (1.0 / root) as f32,
        })
    }
}
