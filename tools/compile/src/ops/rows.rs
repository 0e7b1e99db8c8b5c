//! Constant keys and values that an attention has before those of its inputs.

use mote_graph::graph::{Node, Op as GraphOp};
use mote_runtime::internals::ops::attention::Rows as Fields;

use crate::emit::{Emitter, f16_bits};
use crate::lower::{LowerError, Lowered, Lowering, View, refuse};
use crate::program::SlotId;

/// Keys and values, each `(row, channel)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// How many, at least 1.
    pub count: usize,
    /// Keys.
    pub keys: Vec<f32>,
    /// Values.
    pub values: Vec<f32>,
}

/// Rows before a value: attentions that read it as keys or values hold them, and read what is behind them.
pub(super) fn lower(node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
    let is_read = |reader: Option<&Node>| {
        reader.is_some_and(|reader| {
            let attends = matches!(reader.op, GraphOp::Attention(_) | GraphOp::LinearAttention(_));
            attends && reader.inputs.first() != Some(&node.output)
        })
    };
    if !lowering.readers(node.output).all(is_read) {
        return Err(refuse(
            node,
            "constant rows before what is no key or value of an attention",
        ));
    }
    Ok(Lowered::View(View::of(lowering.slot(node, 0)?)))
}

/// The queries, keys and values of an attention, and the rows before keys and values.
pub(super) fn operands(node: &Node, lowering: &Lowering<'_>) -> Result<([SlotId; 3], Option<Rows>), LowerError> {
    let slot = |input| lowering.slot(node, input);
    let qkv = [slot(0)?, slot(1)?, slot(2)?];
    if qkv[0] == qkv[1] || qkv[1] == qkv[2] || qkv[0] == qkv[2] {
        return Err(refuse(node, "an attention that reads one value twice"));
    }
    let before = |input: usize| -> Result<Option<Vec<f32>>, LowerError> {
        let value = node.inputs[input];
        let writer = lowering.graph.nodes.iter().find(|writer| writer.output == value);
        match writer.map(|writer| (&writer.op, writer)) {
            Some((GraphOp::Prepend(op), writer)) => lowering.param(writer, &op.key).map(Some),
            _ => Ok(None),
        }
    };
    let channels = |input: usize| lowering.shape(node.inputs[input])[0].max(1);
    let by_row = |table: Vec<f32>, channels: usize| {
        let count = table.len() / channels;
        (0..table.len())
            .map(|i| table[i % channels * count + i / channels])
            .collect::<Vec<f32>>()
    };
    let rows = match (before(1)?, before(2)?) {
        (None, None) => None,
        (Some(keys), Some(values)) if keys.len() / channels(1) == values.len() / channels(2) => Some(Rows {
            count: keys.len() / channels(1),
            keys: by_row(keys, channels(1)),
            values: by_row(values, channels(2)),
        }),
        _ => {
            return Err(refuse(
                node,
                "constant rows before its keys or before its values, not both",
            ));
        }
    };
    Ok((qkv, rows.filter(|rows| rows.count > 0)))
}

impl Rows {
    /// Largest magnitude of a value.
    pub(super) fn largest_value(&self) -> f64 {
        largest(&self.values)
    }

    /// The rows as they stand in the file. `score` and `unit` make a factor for a unit of keys and of values.
    pub(super) fn record(&self, score: impl Fn(f64) -> f64, unit: impl Fn(f64) -> f64, e: &mut Emitter<'_>) -> Fields {
        let units = [&self.keys, &self.values].map(|values| (largest(values) / 32767.0).max(1e-9));
        let [keys, values] = [(&self.keys, units[0]), (&self.values, units[1])].map(|(values, unit)| {
            if e.is_float() {
                e.weights.put(values.iter().map(|v| f16_bits(*v)))
            } else {
                let round = |v: &f32| libm::round(f64::from(*v) / unit).clamp(-32768.0, 32767.0) as i16;
                e.weights.put(values.iter().map(round))
            }
        });
        Fields {
            count: self.count as u16,
            keys,
            values,
            score: e.wide_requant(score(units[0])),
            unit: e.wide_requant(unit(units[1])),
        }
    }

    /// Bytes in the file.
    pub(super) fn bytes(count: u16, channels: u16) -> u64 {
        4 * u64::from(count) * u64::from(channels)
    }
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |most, v| f64::from(v.abs()).max(most))
}
