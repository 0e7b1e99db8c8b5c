//! Linear attention: a softmax of queries over their head, one of keys over positions, and two products (Shen et al. 2018, section 3.2).

use core::f64::consts::LOG2_E;

use mote_graph::graph::{Node, ops};
use mote_runtime::Model;
use mote_runtime::internals::ops::{LinearAttention as Fields, Op as Record};
use mote_runtime::internals::tensor::{Dtype, Tensor};

use super::cross_attention::MOST_KEYS;
use super::rows::{self, Rows};
use super::{Cost, Operator, OutputFormat, Room, refuse};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering};
use crate::program::{Program, Slot, SlotId};
use crate::quantize::Q16;

/// Linear attention.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearAttention {
    /// Queries, keys, values.
    pub qkv: [SlotId; 3],
    /// Number of heads. Divides the channels.
    pub heads: usize,
    /// Factor of the result.
    pub scale: f64,
    /// Keys, rows among them.
    pub keys: usize,
    /// Keys and values before those of the inputs.
    pub rows: Option<Rows>,
}

impl LinearAttention {
    pub(super) fn lower(
        op: &ops::LinearAttention,
        node: &Node,
        lowering: &Lowering<'_>,
    ) -> Result<Lowered, LowerError> {
        let (qkv, rows) = rows::operands(node, lowering)?;
        let [q, k, v] = [0, 1, 2].map(|i: usize| lowering.shape(node.inputs[i]));
        let keys = k[1] * k[2];
        if v[0] != q[0] {
            return Err(refuse(
                node,
                "linear attention whose values have not as many channels as its queries",
            ));
        }
        if keys > MOST_KEYS {
            return Err(refuse(
                node,
                &format!("linear attention over {keys} keys, {MOST_KEYS} at most"),
            ));
        }
        if op.scale <= 0.0 {
            return Err(refuse(node, "linear attention with a factor that is not above 0"));
        }
        let (heads, scale) = (op.heads, op.scale);
        Ok(Lowered::Operator(
            Self {
                qkv,
                heads,
                scale,
                keys,
                rows,
            }
            .into(),
        ))
    }
}

/// What a record costs: both products, and its rows.
pub(super) fn cost(model: &Model<'_>, record: &Fields, out: &Tensor) -> Cost {
    let given = model.tensor(record.k).map_or(0, |k| k.positions());
    let count = record.rows.map_or(0, |rows| rows.count);
    let depth = u64::from(out.channels / record.heads.max(1));
    let positions = out.positions() as u64 + given as u64 + u64::from(count);
    Cost {
        macs: positions * depth * u64::from(out.channels),
        ..Cost::table(Rows::bytes(count, out.channels))
    }
}

impl Operator for LinearAttention {
    fn inputs(&self) -> Vec<SlotId> {
        self.qkv.to_vec()
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        self.qkv.iter_mut().collect()
    }

    fn macs(&self, out: &Slot) -> u64 {
        let depth = out.shape[0] / self.heads.max(1);
        (depth * out.shape[0] * (out.positions() + self.keys)) as u64
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::Calibrated
    }

    /// Values are multiplied by probabilities; queries and keys go through a softmax, whatever their zero point.
    fn symmetric_inputs(&self) -> Vec<SlotId> {
        vec![self.qkv[2]]
    }

    fn in_place(&self) -> Option<SlotId> {
        Some(self.qkv[0])
    }

    fn scratch_bytes(&self, _program: &Program, out: &Slot, _room: Room) -> usize {
        Fields::scratch_bytes_of(out.shape[0] / self.heads.max(1), self.keys)
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        let [q, k, v] = self.qkv;
        let value = e.format(v);
        // A mean of values is at most as large as the largest.
        let largest = self.rows.as_ref().map_or(0.0, Rows::largest_value).max(value.max_abs());
        let bits = if value.dtype == Dtype::I8 { 15 } else { 23 };
        let context = largest / f64::from(1 << bits);
        let (log2, q23) = (LOG2_E * Q16, f64::from(1 << 23));
        let unit = |unit: f64| unit / q23 / context;
        let rows = self.rows.as_ref().map(|rows| rows.record(|key| key * log2, unit, e));
        Record::LinearAttention(Fields {
            q: e.id(q),
            k: e.id(k),
            v: e.id(v),
            out: e.id(out),
            scratch: e.scratch(out),
            heads: self.heads as u16,
            query: e.requant(e.scale(q) * log2),
            key: e.requant(e.scale(k) * log2),
            context: e.wide_requant(unit(value.scale)),
            out_requant: e.wide_requant(context / 32768.0 * self.scale / e.scale(out)),
            scale: self.scale as f32,
            rows,
        })
    }
}
