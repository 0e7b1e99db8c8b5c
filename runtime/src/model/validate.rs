//! Checks on tensors and operators: shapes, lifetimes, memory, parameters. Made once, before a `Model` exists.

use core::cell::Cell;

use super::{Model, TENSORS_MAX, plan};
use crate::error::{Fault, ParseError, Refusal, Section};
use crate::ops::Op;
use crate::ops::check::{Check, Checker};
use crate::tensor::slots::{Slots, slot};
use crate::tensor::{Dtype, TENSOR_ALIGN, Tensor, TensorId};

/// Every check on a model whose bytes are those that were written.
#[inline(never)]
pub(super) fn model(model: &Model<'_>, refusal: &mut Refusal) -> Check {
    let header = &model.header;
    header.validate(refusal)?;
    if let Some(feature) = header.missing() {
        return refusal.with(ParseError::NotBuilt(feature));
    }
    let checker = &mut Checker {
        context: &model.context,
        index: 0,
        sample: [header.rows, header.cols, header.channels],
        classes: header.classes,
        fault: Cell::new(None),
        tensors: Checker::NO_TENSORS,
    };
    let (found, limit) = (model.context.tensors.len() as u32, TENSORS_MAX as u32);
    if found > limit {
        return refusal.with(ParseError::Tensors { found, limit });
    }
    for tensor in 0..model.tensor_count() {
        record(checker, model, tensor);
        if let Some(fault) = checker.fault.get() {
            return refusal.with(ParseError::Tensor { tensor, fault });
        }
    }
    let mut reader = model.ops().reader;
    let mut written = TensorId(u16::MAX);
    for index in 0..header.op_count {
        let before = reader.clone();
        let op = &Op::read(&mut reader);
        (checker.index, checker.tensors) = (index, Checker::NO_TENSORS);
        if reader.failed() {
            let fault = Op::missing(before).map_or(Fault::Decode, Fault::NotBuilt);
            return refusal.with(ParseError::Op { op: index, fault });
        }
        let slots = &op.slots();
        written = slots.out();
        if self::slots(checker, op, slots).is_some() {
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
    // variances, and so may one on cumulative alphas.
    let out = &checker.tensors[slot::OUT];
    let values = 1 + u32::from(header.prediction.is_kernel());
    #[cfg(feature = "learned-variance")]
    let values = if model.has_variances() { 2 } else { values };
    let is_output = match header.prediction.picture() {
        Some(picture) => written == header.output && is_drawn(model, picture),
        None => {
            u32::from(out.channels) == values * u32::from(header.channels)
                && (out.rows, out.cols) == (header.rows, header.cols)
                && (out.last, out.dtype) == (header.op_count, Dtype::Q24)
                && written == header.output
        }
    };
    if !is_output {
        return refusal.with(ParseError::Header("output"));
    }
    #[cfg(feature = "condition")]
    if !one_condition(model) {
        return refusal.with(ParseError::Section(Section::Ops));
    }
    let whole = match header.schedule.plan() {
        // Its rows hold no variances.
        Some(run) if run.method().is_learned() => false,
        Some(run) => header.prediction.picture().is_none() && !header.prediction.is_chain() && plan::holds(model, &run),
        None if header.prediction.picture().is_some() => model.schedule().is_empty(),
        None => schedule_falls(model),
    };
    if !whole {
        return refusal.with(ParseError::Section(Section::Schedule));
    }
    Some(())
}

/// Whether all operators that are given a vector are given the same one, and a chain none.
#[cfg(feature = "condition")]
#[inline(never)]
fn one_condition(model: &Model<'_>) -> bool {
    let Some(first) = model.condition() else { return true };
    let len = |condition: &crate::ops::Condition| model.known(condition.out).channels;
    let mut ops = model.ops();
    let others = ops.all(|op| match op {
        Op::Condition(other) => other.is_same(&first) && len(&other) == len(&first),
        _ => true,
    });
    others && !model.header.prediction.is_chain() && model.header.prediction.picture().is_none()
}

/// Whether the activations in Q24, one below the other in the order in which they are written, are the decoder's picture: its channels,
/// rows and columns.
#[inline(always)]
fn is_drawn(model: &Model<'_>, [channels, rows, cols]: [u16; 3]) -> bool {
    let mut drawn = 0;
    let mut ops = model.ops();
    let fit = ops.all(|op| {
        let out = model.known(op.slots().out());
        let band = out.dtype == Dtype::Q24;
        drawn += if band { u32::from(out.rows) } else { 0 };
        !band || (out.channels, out.cols) == (channels, cols)
    });
    fit && drawn == u32::from(rows)
}

/// Whether there are as many alphas as there should be, and none is larger than the one before.
#[inline(never)]
fn schedule_falls(model: &Model<'_>) -> bool {
    let steps = model.header.schedule.alphas(model.header.train_steps);
    let mut previous = 1u64 << 62;
    // There are at most 2^16.
    model.schedule().len() == steps as usize * 8
        && (0..steps).all(|t| {
            let before = previous;
            previous = model.alpha_bar_q62(t);
            previous <= before
        })
}

/// A tensor's record against the arena's size and the records before it, of which there are few ([`TENSORS_MAX`]).
#[inline(never)]
fn record(checker: &Checker<'_, '_>, model: &Model<'_>, index: u16) -> Check {
    let header = &model.header;
    let record = model.record(Some(TensorId(index)))?;
    checker.ensure(Tensor::is_known(record), Fault::Decode)?;
    let tensor = &Tensor::known(record);
    let scratch = tensor.dtype == Dtype::Scratch;
    let (rows, cols) = (u32::from(tensor.rows), u32::from(tensor.cols));
    let some = rows != 0 && tensor.channels != 0 && (cols != 0 || scratch);
    checker.ensure(some, Fault::Shape { expected: 1, found: 0 })?;
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
    checker.ensure(u64::from(factor) * u64::from(size) <= 1 << 28, fault)?;
    checker.ensure(
        tensor.offset.is_multiple_of(TENSOR_ALIGN),
        Fault::Alignment(tensor.offset),
    );
    let end = tensor.offset.saturating_add(tensor.bytes() as u32);
    checker.ensure(
        end <= header.arena_bytes,
        Fault::OutOfBounds {
            limit: header.arena_bytes,
            end,
        },
    );
    checker.ensure(tensor.zero_point == 0 || tensor.dtype == Dtype::I8, Fault::ZeroPoint);
    let alive = tensor.def < header.op_count && tensor.last >= tensor.def && tensor.last <= header.op_count;
    checker.ensure(alive, Fault::Lifetime(tensor.def));
    for (before, record) in (0..index).zip(checker.context.tensors) {
        let other = &Tensor::known(record);
        let apart = !tensor.lives_with(other) || !tensor.meets(other);
        checker.ensure(apart, Fault::Overlap(before));
    }
    Some(())
}

/// Finds its tensors and checks their number formats, lifetimes and memory.
#[inline(never)]
fn slots(checker: &mut Checker<'_, '_>, op: &Op, slots: &Slots) -> Check {
    let activations = if checker.context.is_float() {
        1 << Dtype::F16 as u8
    } else {
        1 << Dtype::I8 as u8 | 1 << Dtype::I16 as u8
    };
    let last_format = if op.gives_output() { 1 << Dtype::Q24 as u8 } else { 0 };
    let first_format = if op.moves() { 1 << Dtype::Q24 as u8 } else { 0 };
    let out = checker.context.record(slots.tensors[slot::OUT]);
    for (slot, id) in slots.tensors.iter().enumerate() {
        let Some(id) = *id else { continue };
        let Some(record) = checker.context.record(Some(id)) else {
            return checker.fail(Fault::UnknownTensor(id.0));
        };
        checker.tensors[slot] = Tensor::known(record);
        let tensor = &checker.tensors[slot];
        let formats = match slot {
            slot::SCRATCH => 1 << Dtype::Scratch as u8,
            slot::OUT => activations | last_format,
            slot::FIRST => activations | first_format,
            _ => activations,
        };
        checker.ensure(formats >> tensor.dtype as u8 & 1 == 1, Fault::Dtype);
        let (def, last, now) = (tensor.def, tensor.last, checker.index);
        let alive = if slot < slot::FIRST {
            def == now && (last == now || slot == slot::OUT)
        } else {
            def < now && last >= now
        };
        checker.ensure(alive, Fault::Lifetime(id.0));
        // All but the output's own memory, where that may be taken over.
        let exact = slot == slots.in_place && last == now && out.is_some_and(|out| Tensor::in_place_of(record, out));
        for (other, before) in checker.tensors.iter().enumerate().take(slot) {
            if exact && other == slot::OUT {
                continue;
            }
            checker.ensure(!tensor.meets(before), Fault::Overlap(id.0));
        }
    }
    let found = checker.tensors[slot::SCRATCH].bytes();
    checker.at_most(
        found as u32,
        op.scratch_needed(checker.context.is_float(), &checker.tensors) as u32,
    )
}
