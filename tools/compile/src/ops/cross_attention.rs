//! Attention over other positions than the queries', and over constant rows (Vaswani et al. 2017, equation 1).

use core::f64::consts::LOG2_E;

use mote_graph::graph::{Node, ops};
use mote_runtime::Model;
use mote_runtime::internals::ops::{CrossAttention as Fields, Op as Record};
use mote_runtime::internals::tensor::Tensor;

use super::rows::Rows;
use super::{Cost, Operator, OutputFormat, Room, refuse};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering};
use crate::program::{Program, Slot, SlotId};
use crate::quantize::Q16;

/// Most keys that an attention is over, rows among them.
pub(super) const MOST_KEYS: usize = 1 << 15;

/// Attention over the positions of k and v.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossAttention {
    /// Queries, keys, values.
    pub qkv: [SlotId; 3],
    /// Number of heads. Divides the channels.
    pub heads: usize,
    /// Keys, rows among them.
    pub keys: usize,
    /// Keys and values before those of the inputs.
    pub rows: Option<Rows>,
}

impl CrossAttention {
    /// An attention over these, where it is not the one over its own positions alone.
    pub(super) fn lower(
        op: &ops::Attention,
        node: &Node,
        lowering: &Lowering<'_>,
        qkv: [SlotId; 3],
        rows: Option<Rows>,
    ) -> Result<Lowered, LowerError> {
        let [_, some, more] = lowering.shape(node.inputs[1]);
        let (heads, keys) = (op.heads, some * more);
        if keys > MOST_KEYS {
            return Err(refuse(
                node,
                &format!("attention over {keys} keys, {MOST_KEYS} at most"),
            ));
        }
        Ok(Lowered::Operator(Self { qkv, heads, keys, rows }.into()))
    }
}

/// What a record costs: scores, their sum of values, and its rows.
pub(super) fn cost(model: &Model<'_>, record: &Fields, out: &Tensor) -> Cost {
    let given = model.tensor(record.k).map_or(0, |k| k.positions());
    let count = record.rows.map_or(0, |rows| rows.count);
    let keys = given as u64 + u64::from(count);
    Cost {
        macs: 2 * out.positions() as u64 * keys * u64::from(out.channels),
        ..Cost::table(Rows::bytes(count, out.channels))
    }
}

impl Operator for CrossAttention {
    fn inputs(&self) -> Vec<SlotId> {
        self.qkv.to_vec()
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        self.qkv.iter_mut().collect()
    }

    fn macs(&self, out: &Slot) -> u64 {
        2 * (out.len() * self.keys) as u64
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

    fn scratch_bytes(&self, _program: &Program, _out: &Slot, _room: Room) -> usize {
        Fields::scratch_bytes_of(self.keys)
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        let [q, k, v] = self.qkv;
        let root = libm::sqrt((e.program.slot(q).shape[0] / self.heads) as f64);
        let (query, value) = (e.scale(q), e.scale(v));
        let score = |key: f64| query * key * LOG2_E / root * Q16;
        let rows = self
            .rows
            .as_ref()
            .map(|rows| rows.record(score, |unit| unit / value, e));
        Record::CrossAttention(Fields {
            q: e.id(q),
            k: e.id(k),
            v: e.id(v),
            out: e.id(out),
            scratch: e.scratch(out),
            heads: self.heads as u16,
            score: e.wide_requant(score(e.scale(k))),
            out_requant: e.requant(value / 32768.0 / e.scale(out)),
            scale: (1.0 / root) as f32,
            rows,
        })
    }
}
