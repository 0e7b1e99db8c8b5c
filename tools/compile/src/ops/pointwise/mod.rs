//! Pointwise operators: a function of every element, then a factor and an addend, in one pass over the elements.
//!
//! One record serves activations that no normalization has absorbed, modulation by a vector, gates, and sums and products of two tensors. What
//! follows a function, and nobody else reads, joins it: there is one rounding at the end. `lowering` says what becomes one, `table` makes
//! the functions' tables.

mod lowering;
mod record;
pub mod table;
#[cfg(test)]
mod tests;

use mote_runtime::internals::ops::{Op as Record, Pointwise as Fields};
use mote_runtime::internals::tensor::{Dtype, Tensor};

use super::{Cost, Operator, OutputFormat};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowering, Next};
use crate::program::SlotId;
use mote_graph::graph::Node;
use table::Scalar;

/// `function(x) * (one + factor) + addend * weight`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pointwise {
    /// Input.
    pub src: SlotId,
    /// The function: these, one after the other; the element itself where there is none.
    pub function: Vec<Scalar>,
    /// What the factor is added to: 1, 0 where the factor is all, or the quotient of a sum that was divided.
    pub one: f64,
    /// What the function's value is multiplied by, of the output's shape, a vector over channels, or one channel.
    pub factor: Option<SlotId>,
    /// What is added.
    pub addend: Option<Addend>,
}

/// What is added to the product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Addend {
    /// A tensor of the output's shape or a vector over channels, times a weight.
    Slot(SlotId, f64),
    /// The second half of the factor, a vector of twice the channels.
    Modulation,
}

impl Pointwise {
    /// The element itself.
    pub fn of(src: SlotId) -> Self {
        Self {
            src,
            function: vec![],
            one: 1.0,
            factor: None,
            addend: None,
        }
    }

    /// Whether it is a function and nothing else.
    fn is_function(&self) -> bool {
        self.factor.is_none() && self.addend.is_none() && self.one == 1.0
    }

    fn addend_slot(&self) -> Option<SlotId> {
        match self.addend {
            Some(Addend::Slot(slot, _)) => Some(slot),
            Some(Addend::Modulation) | None => None,
        }
    }
}

/// What a record costs: its table.
pub(super) fn cost(record: &Fields, src: Option<&Tensor>, out: &Tensor) -> Cost {
    let (Some(table), Some(src)) = (record.table, src) else {
        return Cost::NOTHING;
    };
    Cost::table(match src.dtype {
        Dtype::I8 if record.affine.is_none() && out.dtype == Dtype::I8 => 256,
        Dtype::I8 => 512,
        Dtype::I16 => 2 * ((1 << 16 >> table.segment_bits) + 1),
        _ => 8 * ((1 << 15 >> table.segment_bits) + 1),
    })
}

impl Operator for Pointwise {
    fn inputs(&self) -> Vec<SlotId> {
        let others = self.factor.into_iter().chain(self.addend_slot());
        [self.src].into_iter().chain(others).collect()
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        let addend = match &mut self.addend {
            Some(Addend::Slot(slot, _)) => Some(slot),
            Some(Addend::Modulation) | None => None,
        };
        [&mut self.src]
            .into_iter()
            .chain(&mut self.factor)
            .chain(addend)
            .collect()
    }

    fn absorbs(&self, next: &Next<'_>) -> bool {
        self.joins(next)
    }

    fn absorb(&mut self, node: &Node, input: usize, lowering: &Lowering<'_>) -> Result<(), LowerError> {
        self.join(node, input, lowering)
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::Calibrated
    }

    fn in_place(&self) -> Option<SlotId> {
        Some(self.src)
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        Record::Pointwise(self.fields(out, e))
    }
}
