//! The buffers of a program: what each operator's output needs, and for how long.

use mote_runtime::internals::tensor::Dtype;

use super::scratch::{Arena, plan_arena, scratch_bytes, with_scratch};
use super::windows::{Window, Windows};
use super::{Buffer, lower_bound};
use crate::program::{FusedOp, Program, SlotId};

/// Last operator that reads each slot; the output is read after all.
pub fn last_reads(program: &Program) -> Vec<usize> {
    let mut last: Vec<usize> = (0..program.ops.len()).collect();
    for (i, op) in program.ops.iter().enumerate() {
        op.inputs().iter().for_each(|id| last[id.0] = i);
    }
    if let Some(output) = last.last_mut() {
        *output = program.ops.len();
    }
    last
}

/// Buffers of the slots: an output takes over an input that ends there and has its size and format. A normalization inside a
/// convolution has a window there, and what it reads lives on until then.
pub fn slot_buffers(program: &Program, dtypes: &[Dtype], windows: &Windows) -> Vec<Buffer> {
    let mut last = last_reads(program);
    for (i, op) in program.ops.iter().enumerate() {
        if let Some(window) = windows.of_norm(i) {
            let later = |id: SlotId| last[id.0] = last[id.0].max(window.conv);
            op.inputs().into_iter().for_each(later);
        }
    }
    let buffer = |(i, op): (usize, &FusedOp)| {
        let slot = program.slot(op.out);
        if let Some(Window { conv, rows }) = windows.of_norm(i) {
            return Buffer {
                bytes: slot.len() / slot.shape[1] * rows * dtypes[i].bytes(),
                def: conv,
                last: conv,
                takes_over: None,
            };
        }
        let fits = |id: &SlotId| last[id.0] == i && dtypes[i] == dtypes[id.0] && slot.shape == program.slot(*id).shape;
        let takes_over = op.kind.operator().in_place().filter(fits).map(|id| id.0);
        Buffer {
            bytes: slot.len() * dtypes[i].bytes(),
            def: i,
            last: last[i],
            takes_over,
        }
    };
    program.ops.iter().enumerate().map(buffer).collect()
}

/// What the arena of an integer model needs at least, with these formats of the slots.
pub fn lower_bound_bytes(program: &Program, dtypes: &[Dtype], arena: Arena) -> usize {
    let windows = Windows::of(program, dtypes, arena);
    let slots = slot_buffers(program, dtypes, &windows);
    let sizes = scratch_bytes(program, &windows, &slots, false, arena);
    lower_bound(&with_scratch(&slots, &sizes))
}

/// What the plan of an integer model with these formats takes.
pub fn planned_bytes(program: &Program, dtypes: &[Dtype], arena: Arena) -> usize {
    let windows = Windows::of(program, dtypes, arena);
    let slots = slot_buffers(program, dtypes, &windows);
    plan_arena(program, &windows, &slots, false, arena).1.arena_bytes
}
