//! A table that has an element for each of the output: position tables.
//!
//! It joins the sum that alone reads it, and then lies in the file only. Before a convolution's sum it stands alone: the convolution's output
//! takes its memory.

use mote_graph::graph::{Node, Op, ValueId, ops};
use mote_runtime::Model;
use mote_runtime::internals::ops::constant::Sum;
use mote_runtime::internals::ops::{self as record, At, Op as Record};
use mote_runtime::internals::tensor::{Dtype, Tensor};

use super::{Cost, Operator, OutputFormat};
use crate::emit::{Emitter, f16_bits};
use crate::lower::{LowerError, Lowered, Lowering, Next, refuse};
use crate::program::SlotId;

/// Bits of the largest multiplier.
const MULT_BITS: i32 = 30;

/// A table, alone or added to an activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// `(row, col, channel)`.
    pub table: Vec<f32>,
    /// What it is added to.
    pub src: Option<SlotId>,
}

impl Constant {
    pub(super) fn lower(op: &ops::Constant, node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        let planes = lowering.param(node, &op.key)?;
        let [channels, rows, cols] = lowering.shape(node.output);
        let positions = rows * cols;
        let at = |i: usize| planes[i % channels * positions + i / channels];
        let table = (0..planes.len()).map(at).collect();
        Ok(Lowered::Operator(Self { table, src: None }.into()))
    }

    fn largest(&self) -> f64 {
        self.table.iter().fold(0.0, |m, v| f64::from(v.abs()).max(m))
    }

    /// The table in int16, and what brings it and the activation to the output's unit.
    fn sum(&self, src: SlotId, out: SlotId, e: &mut Emitter<'_>) -> (At, Sum) {
        let unit = (self.largest() / 32767.0).max(f64::MIN_POSITIVE);
        let [of_src, of_table] = [e.scale(src), unit].map(|scale| scale / e.scale(out));
        let shift = (MULT_BITS - libm::frexp(of_src.max(of_table)).1).clamp(1, 62);
        let fixed = |v: f64| libm::round(libm::ldexp(v, shift)).clamp(0.0, 2_147_483_647.0) as i32;
        let at = e.weights.put_once(self.rounded(unit));
        let sum = Sum {
            src: e.id(src),
            mult: fixed(of_src),
            table_mult: fixed(of_table),
            shift: shift as u8,
        };
        (at, sum)
    }

    fn rounded(&self, unit: f64) -> Vec<i16> {
        let round = |v: &f32| libm::round(f64::from(*v) / unit).clamp(-32768.0, 32767.0) as i16;
        self.table.iter().map(round).collect()
    }
}

/// What a record costs: its table.
pub(super) fn cost(_: &Model<'_>, record: &record::Constant, out: &Tensor) -> Cost {
    let bytes = if out.dtype == Dtype::I8 && record.sum.is_none() {
        1
    } else {
        2
    };
    Cost::table(bytes * out.len() as u64)
}

/// The value beside `value` in a sum of both.
fn beside(node: &Node, value: ValueId) -> Option<ValueId> {
    match (&node.op, &node.inputs[..]) {
        (Op::Add(add), [first, second]) if add.divisor == 1.0 && first != second => {
            Some(if *first == value { *second } else { *first })
        }
        _ => None,
    }
}

impl Operator for Constant {
    fn inputs(&self) -> Vec<SlotId> {
        self.src.into_iter().collect()
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        self.src.iter_mut().collect()
    }

    /// A sum that no convolution will take, and that is not the network's output.
    fn absorbs(&self, next: &Next<'_>) -> bool {
        let graph = next.lowering.graph;
        let of_conv = |value: ValueId| {
            let writer = graph.nodes.iter().find(|node| node.output == value);
            writer.is_some_and(|node| matches!(node.op, Op::Conv(_)))
        };
        self.src.is_none()
            && graph.output != Some(next.node.output)
            && beside(next.node, next.value).is_some_and(|other| !of_conv(other) && !next.lowering.is_waiting(other))
    }

    fn absorb(&mut self, node: &Node, input: usize, lowering: &Lowering<'_>) -> Result<(), LowerError> {
        match beside(node, node.inputs[input]) {
            Some(_) => self.src = Some(lowering.slot(node, 1 - input)?),
            None => return Err(refuse(node, "it cannot join a constant")),
        }
        Ok(())
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::Calibrated
    }

    fn in_place(&self) -> Option<SlotId> {
        self.src
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        let (table, sum) = match self.src {
            _ if e.is_float() => {
                let table = self.table.iter().map(|v| f16_bits(*v)).collect();
                let sum = self.src.map(|src| Sum {
                    src: e.id(src),
                    mult: 0,
                    table_mult: 0,
                    shift: 1,
                });
                (e.weights.put_once::<u16>(table), sum)
            }
            Some(src) => {
                let (at, sum) = self.sum(src, out, e);
                (at, Some(sum))
            }
            None if e.format(out).dtype == Dtype::I8 => {
                let format = e.format(out);
                let round = |v: &f32| {
                    let q = libm::round(f64::from(*v) / format.scale) + f64::from(format.zero_point);
                    q.clamp(-128.0, 127.0) as i8
                };
                (e.weights.put_once(self.table.iter().map(round).collect()), None)
            }
            None => (e.weights.put_once(self.rounded(e.scale(out))), None),
        };
        let out = e.id(out);
        Record::Constant(record::Constant { out, table, sum })
    }
}
