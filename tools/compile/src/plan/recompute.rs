//! Values that are computed a second time where they are read late, instead of being kept.
//!
//! A U-Net's first convolution is its last skip connection: the largest activation there is would live from the first operator to the
//! last resnet. It follows from the sampler's state alone, which is there all the time, and costs less than a hundredth of a step.

use std::ops::Range;

use mote_runtime::internals::tensor::Dtype;

use super::{Arena, lower_bound_bytes};
use crate::ops::{Conv, Kind};
use crate::program::{FusedOp, Program, SlotId};

/// What stands behind the names of values that are computed a second time.
pub const RECOMPUTED: &str = " again";

/// A recomputation costs at most this part of a call's multiply-accumulates.
const SHARE: u64 = 100;

/// The program of `arena`. In the fast and the small one, late values are recomputed where that makes the arena smaller.
pub fn recompute(program: Program, arena: Arena) -> Program {
    if arena == Arena::Large {
        return program;
    }
    let total = program.total_macs();
    let mut best = program;
    let mut at = 0;
    while at < best.ops.len() {
        let cheap = reads_only_sample(&best, &best.ops[at]) && best.macs(&best.ops[at]) * SHARE <= total;
        if let (true, Some(gap)) = (cheap, longest_wait(&best, at)) {
            let trial = repeated(&best, at, gap.end);
            if bound(&trial) < bound(&best) {
                best = trial;
            }
        }
        at += 1;
    }
    best
}

/// The program with one more recomputation, of the last operator that costs as little and waits for a reader; `None` where there is none.
pub fn once_more(program: &Program) -> Option<Program> {
    let total = program.total_macs();
    let cheap =
        |at: &usize| reads_only_sample(program, &program.ops[*at]) && program.macs(&program.ops[*at]) * SHARE <= total;
    let mut waiting = (0..program.ops.len()).rev().filter(cheap);
    let (at, gap) = waiting.find_map(|at| Some((at, longest_wait(program, at)?)))?;
    Some(repeated(program, at, gap.end))
}

/// The arena with 8 bits everywhere: formats are chosen later, and change little about which program needs less.
fn bound(program: &Program) -> usize {
    lower_bound_bytes(program, &vec![Dtype::I8; program.slots.len()], Arena::Small)
}

/// Whether an operator is a convolution of the network's input and of nothing else.
fn reads_only_sample(program: &Program, op: &FusedOp) -> bool {
    let from_sample = |id: &SlotId| matches!(program.ops[id.0].kind, Kind::Input(_));
    matches!(&op.kind, Kind::Conv(Conv { addend: None, .. })) && op.inputs().iter().all(from_sample)
}

/// The longest stretch of operators between two that read the output of operator `at`, if any lie between.
fn longest_wait(program: &Program, at: usize) -> Option<Range<usize>> {
    let reads = |i: &usize| program.ops[*i].inputs().contains(&program.ops[at].out);
    let readers: Vec<usize> = (at + 1..program.ops.len()).filter(reads).collect();
    let waits = readers.windows(2).map(|pair| pair[0] + 1..pair[1]);
    waits.filter(|wait| !wait.is_empty()).max_by_key(ExactSizeIterator::len)
}

/// The program in which operator `at` and its input are computed once more before operator `before`, for all that read it from there on.
fn repeated(program: &Program, at: usize, before: usize) -> Program {
    let mut to = Program {
        slots: program.slots[..before].to_vec(),
        ops: program.ops[..before].to_vec(),
        ..program.clone()
    };
    for id in to.recomputed.iter_mut().flatten().filter(|id| id.0 >= before) {
        id.0 += 2;
    }
    let input = program.ops[at].inputs()[0];
    let copies = [input.0, at].map(|index| {
        let op = &program.ops[index];
        let slot = program.slot(op.out);
        let [op_name, slot_name] = [&op.name, &slot.name].map(|name| format!("{name}{RECOMPUTED}"));
        to.push(&op_name, &slot_name, slot.shape, op.kind.clone(), op.origin.clone())
    });
    to.recomputed
        .extend([[input, copies[0]], [program.ops[at].out, copies[1]]]);
    let renamed = |id: SlotId| match id {
        id if id == input => copies[0],
        id if id.0 == at => copies[1],
        id if id.0 >= before => SlotId(id.0 + copies.len()),
        id => id,
    };
    if let Some(conv) = to.ops.last_mut() {
        conv.rename_inputs(renamed);
    }
    to.slots.extend_from_slice(&program.slots[before..]);
    for op in &program.ops[before..] {
        let mut op = op.clone();
        op.rename_inputs(renamed);
        op.out = renamed(op.out);
        to.ops.push(op);
    }
    to
}
