//! Checks on tensors and operators: shapes, lifetimes, memory, parameters. Made once, before a `Model` exists.

use super::model::Model;
use super::plan;
use super::tensor::{Dtype, TENSOR_ALIGN, Tensor, TensorId};
use crate::blob::header::Arithmetic;
use crate::error::{Fault, ParseError, Refusal, Section};
use crate::features::Feature;
use crate::ops::Op;
use crate::ops::check::{Check, Checker};
use crate::ops::slots::{Slots, slot};
use crate::schedule::coefficients::Prediction;

pub use crate::ops::norm::MAX_GROUP_ELEMENTS;

/// Every check on a model whose bytes are those that were written.
#[inline(never)]
pub(super) fn model(model: &Model<'_>, refusal: &mut Refusal) -> Check {
    let header = &model.header;
    header.validate(refusal)?;
    let arithmetic = match header.arithmetic {
        Arithmetic::Integer => Feature::Integer,
        Arithmetic::F16 => Feature::F16,
    };
    if !arithmetic.is_built() {
        return refusal.with(ParseError::NotBuilt(arithmetic));
    }
    if header.prediction.is_chain() && !Feature::Chain.is_built() {
        return refusal.with(ParseError::NotBuilt(Feature::Chain));
    }
    let planned = header.schedule.plan();
    if planned.is_none() && !Feature::Schedule.is_built() {
        return refusal.with(ParseError::NotBuilt(Feature::Schedule));
    }
    let checker = &mut Checker::new(model);
    for tensor in 0..model.tensor_count() {
        checker.record(tensor);
        if let Some(fault) = checker.fault.get() {
            return refusal.with(ParseError::Tensor { tensor, fault });
        }
    }
    let mut reader = model.ops().reader;
    let mut written = TensorId(u16::MAX);
    for index in 0..header.op_count {
        let before = reader.clone();
        let op = &Op::read(&mut reader);
        checker.tensors = Checker::NO_TENSORS;
        if reader.failed() {
            let fault = Op::missing(before).map_or(Fault::Decode, Fault::NotBuilt);
            return refusal.with(ParseError::Op { op: index, fault });
        }
        let slots = &op.slots();
        written = slots.out();
        if checker.slots(index, op, slots).is_some() {
            op.check(checker);
        }
        if let Some(fault) = checker.fault.get() {
            return refusal.with(ParseError::Op { op: index, fault });
        }
    }
    if !reader.rest().is_empty() {
        return refusal.with(ParseError::Section(Section::Ops));
    }
    // The last operator's output is the network's, of its shape and number format. A Gaussian chain's network gives means, then
    // variances.
    let out = &checker.tensors[slot::OUT];
    let values = 1 + u32::from(header.prediction == Prediction::Kernel);
    let is_output = u32::from(out.channels) == values * u32::from(header.channels)
        && (out.rows, out.cols) == (header.rows, header.cols)
        && (out.last, out.dtype) == (header.op_count, Dtype::Q24)
        && written == header.output;
    if !is_output {
        return refusal.with(ParseError::Header("output"));
    }
    let whole = match planned {
        Some(run) => !header.prediction.is_chain() && plan::holds(model, &run),
        None => schedule_falls(model),
    };
    if !whole {
        return refusal.with(ParseError::Section(Section::Schedule));
    }
    Some(())
}

/// Whether there is an alpha for every timestep, and none is larger than the one before.
#[inline(never)]
fn schedule_falls(model: &Model<'_>) -> bool {
    let steps = model.header.train_steps;
    let mut previous = 1u64 << 62;
    // There are at most 2^16.
    model.schedule().len() == steps as usize * 8
        && (0..steps).all(|t| {
            let before = previous;
            previous = model.alpha_bar_q62(t);
            previous <= before
        })
}

impl Checker<'_, '_> {
    /// A tensor's record against the arena's size and the records before it.
    #[inline(never)]
    fn record(&self, index: u16) -> Check {
        let header = &self.model.header;
        let record = self.model.tensors.get(usize::from(index))?;
        self.ensure(Tensor::is_known(record), Fault::Decode)?;
        let tensor = &Tensor::known(record);
        let scratch = tensor.dtype == Dtype::Scratch;
        let (rows, cols) = (u32::from(tensor.rows), u32::from(tensor.cols));
        let some = rows != 0 && tensor.channels != 0 && (cols != 0 || scratch);
        self.ensure(some, Fault::Shape { expected: 1, found: 0 })?;
        // In 64 bits, so that no record overflows the usize of a 32-bit core.
        let (factor, size) = if scratch {
            ((rows - 1) * 0x8000 + cols, 4)
        } else {
            (rows * cols, tensor.channels)
        };
        let fault = Fault::Shape {
            expected: 1 << 28,
            found: u32::MAX,
        };
        self.ensure(u64::from(factor) * u64::from(size) <= 1 << 28, fault)?;
        self.ensure(
            tensor.offset.is_multiple_of(TENSOR_ALIGN),
            Fault::Alignment(tensor.offset),
        );
        let end = tensor.offset.saturating_add(tensor.bytes() as u32);
        self.ensure(
            end <= header.arena_bytes,
            Fault::OutOfBounds {
                limit: header.arena_bytes,
                end,
            },
        );
        self.ensure(tensor.zero_point == 0 || tensor.dtype == Dtype::I8, Fault::ZeroPoint);
        let alive = tensor.def < header.op_count && tensor.last >= tensor.def && tensor.last <= header.op_count;
        self.ensure(alive, Fault::Lifetime(tensor.def));
        for (before, record) in (0..index).zip(self.model.tensors) {
            let other = &Tensor::known(record);
            let apart = !tensor.lives_with(other) || !tensor.meets(other);
            self.ensure(apart, Fault::Overlap(before));
        }
        Some(())
    }

    /// Finds its tensors and checks their number formats, lifetimes and memory.
    #[inline(never)]
    fn slots(&mut self, index: u16, op: &Op, slots: &Slots) -> Check {
        let activations = if self.model.is_float() {
            1 << Dtype::F16 as u8
        } else {
            1 << Dtype::I8 as u8 | 1 << Dtype::I16 as u8
        };
        let last_format = if op.conv().is_some() { 1 << Dtype::Q24 as u8 } else { 0 };
        let out = self.model.record(slots.tensors[slot::OUT]);
        for (slot, id) in slots.tensors.iter().enumerate() {
            let Some(id) = *id else { continue };
            let Some(record) = self.model.record(Some(id)) else {
                return self.fail(Fault::UnknownTensor(id.0));
            };
            self.tensors[slot] = Tensor::known(record);
            let tensor = &self.tensors[slot];
            let formats = match slot {
                slot::SCRATCH => 1 << Dtype::Scratch as u8,
                slot::OUT => activations | last_format,
                _ => activations,
            };
            self.ensure(formats >> tensor.dtype as u8 & 1 == 1, Fault::Dtype);
            let (def, last, now) = (tensor.def, tensor.last, index);
            let alive = if slot < slot::FIRST {
                def == now && (last == now || slot == slot::OUT)
            } else {
                def < now && last >= now
            };
            self.ensure(alive, Fault::Lifetime(id.0));
            // All but the output's own memory, where that may be taken over.
            let exact =
                slot == slots.in_place && last == now && out.is_some_and(|out| Tensor::in_place_of(record, out));
            for (other, before) in self.tensors.iter().enumerate().take(slot) {
                if exact && other == slot::OUT {
                    continue;
                }
                self.ensure(!tensor.meets(before), Fault::Overlap(id.0));
            }
        }
        let found = self.tensors[slot::SCRATCH].bytes();
        self.at_most(
            found as u32,
            op.scratch_needed(self.model.is_float(), &self.tensors) as u32,
        )
    }
}
