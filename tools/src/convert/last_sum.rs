//! A network's output that is a convolution with a sum, where the output is larger than such a convolution can write.
//!
//! The sum of a convolution has [`ADD_GUARD_BITS`] fraction bits more than the output, and the output of a network is Q24: it ends at 8 in
//! size. A sum on its own has no such end. Then the convolution writes its term at 16 bits, and a pointwise operator adds.

use mote_engine::calibrate::Stats;
use mote_runtime::internals::numeric::requant::ADD_GUARD_BITS;

use super::halves::Apart;
use crate::ops::pointwise::Addend;
use crate::ops::{Kind, Pointwise};
use crate::program::Program;
use crate::quantize::formats::HEADROOM;

/// What a convolution with a sum writes at most as Q24.
const LARGEST: f64 = (1u32 << (31 - 24 - ADD_GUARD_BITS)) as f64;

/// The program with a sum of its own at the end; `None` where `stats` says that the convolution can write it, or where it ends otherwise.
pub fn take_apart(program: &Program, stats: &[Stats]) -> Option<Apart> {
    // What only moves the output may follow.
    let index = program.outputs().pop()?;
    let writer = &program.ops[index];
    let Kind::Conv(conv) = &writer.kind else { return None };
    let (addend, factor) = conv.addend?;
    if f64::from(stats[index].max_abs()) * HEADROOM < LARGEST {
        return None;
    }
    let mut term = conv.clone();
    term.addend = None;
    let mut to = program.clone();
    to.ops.truncate(index);
    to.slots.truncate(index);
    let slot = program.slot(writer.out);
    let [name, value] = [&writer.name, &slot.name].map(|name| format!("{name}, without its sum"));
    let term = to.push(&name, &value, slot.shape, term, writer.origin.clone());
    let sum = Pointwise {
        addend: Some(Addend::Slot(addend, f64::from(factor))),
        ..Pointwise::of(term)
    };
    let mut now = to.push(&writer.name, &slot.name, slot.shape, sum, writer.origin.clone());
    for op in &program.ops[index + 1..] {
        let mut kind = op.kind.clone();
        kind.operator_mut().inputs_mut().into_iter().for_each(|id| *id = now);
        let slot = program.slot(op.out);
        now = to.push(&op.name, &slot.name, slot.shape, kind, op.origin.clone());
    }
    let origins = (0..=index).chain(index..program.ops.len()).collect();
    Some(Apart {
        program: to,
        origins,
        wide: Some(term),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Conv;
    use crate::program::SlotId;

    fn ends_in_a_sum() -> Program {
        let mut program = Program::default();
        let shape = [2, 4, 4];
        let first = program.push(
            "first",
            "first",
            shape,
            Conv::linear(vec![], vec![], 2),
            Default::default(),
        );
        let last = Conv {
            addend: Some((first, 0.5)),
            ..Conv::linear(vec![first], vec![1.0; 4], 2)
        };
        program.push("last", "last", shape, last, Default::default());
        program
    }

    #[test]
    fn a_large_output_is_a_sum_of_its_own() {
        let program = ends_in_a_sum();
        let stats = |largest: f32| {
            [1.0, largest].map(|max| {
                let mut stats = Stats::default();
                stats.max = max;
                stats
            })
        };
        assert!(take_apart(&program, &stats(6.3)).is_none());
        let apart = take_apart(&program, &stats(6.5)).expect("beyond 8 with its headroom");
        assert_eq!(apart.origins, [0, 1, 1]);
        assert_eq!(apart.wide, Some(SlotId(1)));
        let conv = apart.program.ops[1].kind.conv().expect("a convolution");
        assert_eq!(conv.addend, None);
        let Kind::Pointwise(sum) = &apart.program.ops[2].kind else {
            panic!("no sum at the end");
        };
        assert_eq!((sum.src, sum.addend), (SlotId(1), Some(Addend::Slot(SlotId(0), 0.5))));
    }
}
