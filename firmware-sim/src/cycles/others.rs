//! Cores of which little is published: by class alone, with a range.
//!
//! A Cortex-M7 begins two instructions a cycle at best, and none sooner than a Cortex-M33 at worst; its clock counts halves of cycles. An RV32 of
//! three or four stages is as Hazard3's and the ESP32-C3's manuals say: a load or product may be waited for, a taken branch refills.

use super::instruction::{Class, Instruction};
use super::pipeline::{Kind, Pipeline, follows};

pub(super) fn run(core: &mut Pipeline, one: &Instruction, taken: bool) {
    core.now += match core.kind {
        Kind::M7 => dual(core, one, taken),
        _ => single(core, one, taken),
    };
}

/// Halves of a cycle.
fn dual(core: &Pipeline, one: &Instruction, taken: bool) -> u64 {
    let (n, bound) = (u64::from(one.count), core.bound);
    let waited = follows(
        core.before.as_ref(),
        one.reads | one.address | one.stored | one.addend,
        |class| {
            use Class as C;
            matches!(
                class,
                C::Load | C::LoadDouble | C::Multiply | C::Accumulate | C::LongMultiply | C::LongAccumulate | C::Float
            )
        },
    );
    match one.class {
        Class::LoadMany if one.to_pc => bound.of(2 + n, 8 + 2 * n),
        Class::LoadMany | Class::StoreMany => bound.of(n, 2 + 2 * n),
        Class::LoadDouble | Class::StoreDouble => bound.of(1, 4 + 2 * u64::from(waited)),
        Class::Divide => bound.of(4, 24),
        Class::FloatDivide => bound.of(28, 32),
        Class::Branch if !taken => bound.of(1, 2),
        Class::Branch => bound.of(1, 4),
        Class::Jump | Class::Call | Class::Indirect | Class::Table => bound.of(2, 6),
        Class::FloatAccumulate => bound.of(1, 6 + 2 * u64::from(waited)),
        _ => bound.of(1, 2 + 2 * u64::from(waited)),
    }
}

fn single(core: &Pipeline, one: &Instruction, taken: bool) -> u64 {
    let bound = core.bound;
    let before = core.before.as_ref();
    let reads = one.reads | one.address | one.stored;
    let waits = if follows(before, reads, |class| class == Class::Load) {
        bound.of(1, 2)
    } else if follows(before, reads, |class| class == Class::Multiply) {
        bound.of(0, 2)
    } else {
        0
    };
    waits
        + match one.class {
            Class::LongMultiply => bound.of(1, 4),
            Class::Divide => bound.of(6, 38),
            Class::Branch if taken => bound.of(1, 3),
            Class::Jump | Class::Call | Class::Indirect => bound.of(2, 3),
            _ => 1,
        }
}
