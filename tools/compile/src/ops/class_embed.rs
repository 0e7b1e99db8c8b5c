//! A row of the class embedding.

use mote_graph::graph::{Node, ops};
use mote_runtime::Model;
use mote_runtime::internals::ops as record;
use mote_runtime::internals::ops::Op as Record;
use mote_runtime::internals::tensor::Tensor;

use super::{Cost, Operator, OutputFormat};
use crate::emit::{Emitter, f16_bits};
use crate::lower::{LowerError, Lowered, Lowering};
use crate::program::SlotId;
use crate::quantize::formats::Format;

/// Row `class` of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassEmbed {
    /// `(class, channel)`.
    pub table: Vec<f32>,
}

impl ClassEmbed {
    pub(super) fn lower(op: &ops::ClassEmbed, node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        let table = lowering.param(node, &op.weight)?;
        Ok(Lowered::Operator(Self { table }.into()))
    }
}

/// What a record costs: its table.
pub(super) fn cost(model: &Model<'_>, out: &Tensor) -> Cost {
    Cost::table(2 * u64::from(model.header().classes) * u64::from(out.channels))
}

impl Operator for ClassEmbed {
    fn inputs(&self) -> Vec<SlotId> {
        vec![]
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        vec![]
    }

    /// The table is all that can come out: its largest magnitude needs no calibration.
    fn output_format(&self) -> OutputFormat {
        let largest = self.table.iter().fold(0.0, |m, v| f64::from(v.abs()).max(m));
        OutputFormat::Fixed(Format::int16(largest))
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        let unit = e.scale(out);
        let round = |v: &f32| libm::round(f64::from(*v) / unit).clamp(-32768.0, 32767.0) as i16;
        let table = if e.is_float() {
            e.weights.put(self.table.iter().map(|v| f16_bits(*v)))
        } else {
            e.weights.put(self.table.iter().map(round))
        };
        Record::ClassEmbed(record::ClassEmbed { out: e.id(out), table })
    }
}
