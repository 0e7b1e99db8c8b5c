//! Values that are computed again where they are read late, instead of being kept.
//!
//! A U-Net's first convolution is its last skip connection: the largest activation there is would live from the first operator to the
//! last resnet. It follows from the sampler's state alone, which is there all the time, and costs less than a hundredth of a step.

use std::ops::Range;

use mote_runtime::blob::tensor::Dtype;

use super::program::{Conv, Kind, Program, Slot, SlotId, Step};
use crate::plan::{Arena, lower_bound_bytes};

/// A recomputation costs at most this part of a step's multiply-accumulates.
const SHARE: u64 = 100;

/// The program with such values computed twice, where that makes the arena smaller.
pub fn computed_again(program: Program) -> Program {
    let total: u64 = program.steps.iter().map(|step| program.macs(step)).sum();
    let mut best = program;
    let mut at = 0;
    while at < best.steps.len() {
        let cheap = reads_sample(&best, &best.steps[at]) && best.macs(&best.steps[at]) * SHARE <= total;
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

/// The arena with 8 bits everywhere: formats are chosen later, and change little about which program needs less.
fn bound(program: &Program) -> usize {
    lower_bound_bytes(program, &vec![Dtype::I8; program.slots.len()], Arena::Small)
}

/// Whether a step is a convolution of the network's input and of nothing else.
fn reads_sample(program: &Program, step: &Step) -> bool {
    let from_sample = |id: &SlotId| matches!(program.steps[id.0].kind, Kind::Input { .. });
    matches!(&step.kind, Kind::Conv(Conv { addend: None, .. })) && step.inputs().iter().all(from_sample)
}

/// The longest stretch of steps between two that read the output of step `at`, if any lie between.
fn longest_wait(program: &Program, at: usize) -> Option<Range<usize>> {
    let reads = |i: &usize| program.steps[*i].inputs().contains(&program.steps[at].out);
    let readers: Vec<usize> = (at + 1..program.steps.len()).filter(reads).collect();
    let waits = readers.windows(2).map(|pair| pair[0] + 1..pair[1]);
    waits.filter(|wait| !wait.is_empty()).max_by_key(ExactSizeIterator::len)
}

/// The program in which step `at` and its input are computed once more before step `before`, for all that read it from there on.
fn repeated(program: &Program, at: usize, before: usize) -> Program {
    let mut to = Program {
        slots: program.slots[..before].to_vec(),
        steps: program.steps[..before].to_vec(),
        ..program.clone()
    };
    for id in to.again.iter_mut().flatten().filter(|id| id.0 >= before) {
        id.0 += 2;
    }
    let input = program.steps[at].inputs()[0];
    let again = [input.0, at].map(|step| {
        let (step, out) = (&program.steps[step], SlotId(to.slots.len()));
        let slot = program.slot(step.out);
        to.slots.push(Slot {
            name: format!("{} again", slot.name),
            shape: slot.shape,
        });
        to.steps.push(Step {
            name: format!("{} again", step.name),
            kind: step.kind.clone(),
            out,
        });
        out
    });
    to.again.extend([[input, again[0]], [program.steps[at].out, again[1]]]);
    let renamed = |id: SlotId| match id {
        id if id == input => again[0],
        id if id.0 == at => again[1],
        id if id.0 >= before => SlotId(id.0 + again.len()),
        id => id,
    };
    if let Some(conv) = to.steps.last_mut() {
        conv.rename(renamed);
    }
    to.slots.extend_from_slice(&program.slots[before..]);
    for step in &program.steps[before..] {
        let mut step = step.clone();
        step.rename(renamed);
        step.out = renamed(step.out);
        to.steps.push(step);
    }
    to
}
