//! Normalizations of two values of very different size, joined: one of each half, where no group has channels of both.
//!
//! Integers read a concatenation on one scale, on which the smaller half would have no digits left. Groups that lie within a half do not
//! see the other: the two normalizations are the same function, each on the scale of its own input.

use mote_engine::calibrate::Stats;
use mote_graph::graph::ops::Over;

use crate::ops::source::FAR_APART;
use crate::ops::{Kind, Norm};
use crate::program::{FusedOp, Program, SlotId};

/// A program in which operators stand as several.
pub struct Apart {
    /// The program.
    pub program: Program,
    /// The operator that each stands for.
    pub origins: Vec<usize>,
    /// An activation that needs 16 bits.
    pub wide: Option<SlotId>,
}

/// The program with normalizations of halves in place of those that `stats` says to take apart; `None` where there is none.
pub fn take_apart(program: &Program, stats: &[Stats]) -> Option<Apart> {
    let far = |norm: &Norm| {
        let sizes = norm.source.iter().map(|slot| f64::from(stats[slot.0].max_abs()));
        let (small, large) = sizes.fold((f64::MAX, 0.0f64), |(s, l), size| (s.min(size), l.max(size)));
        small > 0.0 && large > FAR_APART * small
    };
    let parts = |op: &FusedOp| match &op.kind {
        Kind::Norm(norm) if far(norm) && reads_can_join(program, op.out) => halves(norm, program),
        _ => None,
    };
    let parts: Vec<Option<[Norm; 2]>> = program.ops.iter().map(parts).collect();
    if parts.iter().all(Option::is_none) {
        return None;
    }
    let mut to = Program {
        slots: vec![],
        ops: vec![],
        ..program.clone()
    };
    // What stands for each slot so far.
    let (mut now, mut origins): (Vec<Vec<SlotId>>, Vec<usize>) = (vec![], vec![]);
    for (index, (op, parts)) in program.ops.iter().zip(parts).enumerate() {
        let slot = program.slot(op.out);
        if let Some(parts) = parts {
            let pushed = parts.into_iter().zip(["first", "second"]).map(|(mut part, which)| {
                let [channels, rows, cols] = [part.gamma.len(), slot.shape[1], slot.shape[2]];
                part.source.iter_mut().for_each(|id| *id = now[id.0][0]);
                let [name, value] = [&op.name, &slot.name].map(|name| format!("{name}, {which} half"));
                origins.push(index);
                to.push(&name, &value, [channels, rows, cols], part, op.origin.clone())
            });
            let pushed = pushed.collect();
            now.push(pushed);
            continue;
        }
        let mut kind = op.kind.clone();
        if let Kind::Conv(conv) = &mut kind {
            conv.source = conv.source.iter().flat_map(|id| now[id.0].clone()).collect();
            conv.addend.iter_mut().for_each(|(id, _)| *id = now[id.0][0]);
        } else {
            let inputs = kind.operator_mut().inputs_mut();
            inputs.into_iter().for_each(|id| *id = now[id.0][0]);
        }
        origins.push(index);
        now.push(vec![to.push(&op.name, &slot.name, slot.shape, kind, op.origin.clone())]);
    }
    to.recomputed.iter_mut().flatten().for_each(|id| *id = now[id.0][0]);
    Some(Apart {
        program: to,
        origins,
        wide: None,
    })
}

/// The normalizations of the two halves, if no group has channels of both.
fn halves(norm: &Norm, program: &Program) -> Option<[Norm; 2]> {
    let [first, second] = norm.source[..] else { return None };
    let (Over::Groups(groups), None) = (norm.over, norm.scale_shift) else {
        return None;
    };
    let [some, more] = [first, second].map(|id| program.slot(id).shape[0]);
    let size = (some + more) / groups;
    if some % size != 0 {
        return None;
    }
    let part = |source, range: std::ops::Range<usize>| Norm {
        source: vec![source],
        over: Over::Groups(range.len() / size),
        gamma: norm.gamma[range.clone()].to_vec(),
        beta: norm.beta[range].to_vec(),
        ..norm.clone()
    };
    Some([part(first, 0..some), part(second, some..some + more)])
}

/// Whether every operator that reads `slot` can read two in its place: convolutions of it alone.
fn reads_can_join(program: &Program, slot: SlotId) -> bool {
    let alone = |op: &FusedOp| match &op.kind {
        Kind::Conv(conv) => {
            conv.split == 1 && conv.source == [slot] && conv.addend.is_none_or(|(id, _)| id != slot) && !conv.upsample
        }
        _ => false,
    };
    let output = program.ops.last().is_some_and(|op| op.out == slot);
    let mut readers = program.ops.iter().filter(|op| op.inputs().contains(&slot));
    !output && readers.all(alone) && !program.recomputed.iter().flatten().any(|id| *id == slot)
}
