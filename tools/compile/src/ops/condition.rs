//! The vector that a run is given, brought to the network's wide format.

use mote_graph::graph::Node;
use mote_runtime::internals::ops::{self as record, Op as Record};

use super::{Operator, OutputFormat};
use crate::FixedPoint;
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering, refuse};
use crate::program::SlotId;
use crate::quantize::formats::Format;

/// A condition vector in a stated range.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// How a run gives its numbers.
    pub point: FixedPoint,
}

impl Condition {
    pub(super) fn lower(node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        let condition = lowering.graph.condition;
        let Some((range, null)) = condition.and_then(|condition| Some((condition.range?, condition.null))) else {
            return Err(refuse(node, "a condition vector whose range is not known"));
        };
        let point = FixedPoint::of_range(range, null);
        Ok(Lowered::Operator(Self { point }.into()))
    }
}

impl Operator for Condition {
    fn inputs(&self) -> Vec<SlotId> {
        vec![]
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        vec![]
    }

    /// Numbers are clamped to their range: it needs no calibration, and no room above.
    fn output_format(&self) -> OutputFormat {
        let [low, high] = self.point.range();
        OutputFormat::Fixed(Format::int16_within(low.abs().max(high.abs())))
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        let FixedPoint { bits, low, high, null } = self.point;
        Record::Condition(record::Condition {
            out: e.id(out),
            requant: e.requant(self.point.real(1) / e.scale(out)),
            bits,
            low,
            high,
            null,
        })
    }
}
