//! The buffers of a program: what each operator's output and scratch memory need, and for how long.

use mote_runtime::blob::tensor::Dtype;
use mote_runtime::kernels::family::COLUMNS;
use mote_runtime::kernels::{attention_scratch_bytes, conv_scratch_bytes, group_norm_scratch_bytes};

use super::{Buffer, lower_bound};
use crate::lower::program::{Kind, Program, SlotId, Step};

/// Last operator that reads each slot; the output is read after all.
pub fn last_reads(program: &Program) -> Vec<usize> {
    let mut last: Vec<usize> = (0..program.steps.len()).collect();
    for (i, step) in program.steps.iter().enumerate() {
        step.inputs().iter().for_each(|id| last[id.0] = i);
    }
    if let Some(output) = last.last_mut() {
        *output = program.steps.len();
    }
    last
}

/// Buffers of the slots: an output takes over an input that ends there and has its size and format.
pub fn slot_buffers(program: &Program, dtypes: &[Dtype], last: &[usize]) -> Vec<Buffer> {
    let buffer = |(i, step): (usize, &Step)| {
        let slot = program.slot(step.out);
        let fits = |id: &SlotId| last[id.0] == i && dtypes[i] == dtypes[id.0] && slot.shape == program.slot(*id).shape;
        let takes_over = step.in_place().filter(fits).map(|id| id.0);
        Buffer {
            bytes: slot.len() * dtypes[i].bytes(),
            def: i,
            last: last[i],
            takes_over,
        }
    };
    program.steps.iter().enumerate().map(buffer).collect()
}

/// What the arena of an integer model needs at least, with these formats of the slots.
pub fn lower_bound_bytes(program: &Program, dtypes: &[Dtype]) -> usize {
    let mut buffers = slot_buffers(program, dtypes, &last_reads(program));
    for (i, step) in program.steps.iter().enumerate() {
        let bytes = scratch_bytes(program, step, false);
        buffers.push(Buffer {
            bytes,
            def: i,
            last: i,
            takes_over: None,
        });
    }
    lower_bound(&buffers)
}

/// Scratch memory of a step, bytes.
pub fn scratch_bytes(program: &Program, step: &Step, float: bool) -> usize {
    let joined = |slots: &[SlotId]| slots.iter().map(|id| program.slot(*id).shape[0]).sum();
    let out = program.slot(step.out);
    match &step.kind {
        Kind::Conv(c) => {
            let columns = COLUMNS.min(out.shape[1] * out.shape[2]);
            let columns = if columns < COLUMNS { 1 } else { columns };
            conv_scratch_bytes(float, c.kernel, joined(&c.source), out.shape[0], columns)
        }
        Kind::Norm(n) => group_norm_scratch_bytes(float, joined(&n.source)),
        Kind::Attention { .. } => attention_scratch_bytes(out.shape[1] * out.shape[2]),
        _ => 0,
    }
}
