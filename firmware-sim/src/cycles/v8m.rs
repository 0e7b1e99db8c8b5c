//! Cortex-M33: Arm gives no table. What jnk0le measured on an RP2350 ("pipeline cycle test", `cortex_m33.md`) takes its place.

use super::instruction::{Class, Instruction};
use super::pipeline::{Pipeline, Ready, bits};

/// Registers of the floating-point unit.
const FLOATS: u64 = !0xFFFF_FFFF;

/// A register that a load which began at `at` has written: a product may be added to it, and it may be stored, a cycle sooner.
fn loaded(at: u64) -> Ready {
    Ready {
        any: at + 2,
        addend: at + 1,
        extended: at + 2,
        stored: at + 1,
    }
}

pub(super) fn run(core: &mut Pipeline, one: &Instruction, taken: bool) {
    let before = core.before;
    // Two instructions of 16 bits begin together where the second does nothing, or branches.
    let second = one.narrow
        && !core.paired
        && before.is_some_and(|before| before.narrow && !before.is_branch() && before.class != Class::Nop);
    let flags_before = before.is_some_and(|before| before.sets_flags);
    let joins = second
        && match one.class {
            Class::Nop | Class::It => true,
            Class::Branch if !taken => true,
            Class::Branch | Class::Jump => !flags_before,
            _ => false,
        };
    // The cycle in which it begins.
    let mut at = if joins { core.now.saturating_sub(1) } else { core.now };
    let wait = core
        .when(one.reads | one.address, |ready| ready.any)
        .max(core.when(one.stored, |ready| ready.stored))
        .max(core.when(one.addend, |ready| match one.class {
            Class::Extend => ready.extended,
            _ => ready.addend,
        }));
    if one.is_float() {
        return floats(core, one, at);
    }
    at = at.max(wait);
    if (one.writes | one.stored) & FLOATS != 0 {
        at = at.max(core.float);
    }
    if one.class == Class::Branch && core.flags > at {
        at = core.flags;
    }
    let cycles = cycles(core, one, taken);
    core.paired = joins && at < core.now;
    // A branch that begins with the one before takes its second cycle alone.
    core.now = (at + cycles).max(core.now);
    let last = core.now;
    let plain = |at: u64| Ready {
        any: at,
        addend: at,
        extended: at,
        stored: at,
    };
    let ready = match one.class {
        Class::Load | Class::LoadDouble | Class::LoadMany => loaded(at),
        Class::Accumulate
        | Class::LongAccumulate
        | Class::Multiply
        | Class::LongMultiply
        | Class::Extend
        | Class::ShiftedRegister
        | Class::ShiftedConstant => Ready {
            any: at + 2,
            addend: at + 1,
            extended: at + 1,
            stored: at + 1,
        },
        Class::Simd => plain(at + 2),
        _ => plain(last),
    };
    let base = one.address & one.address.wrapping_neg();
    if matches!(one.class, Class::LoadDouble | Class::LoadMany) {
        // One after the other.
        for (index, register) in bits(one.writes).enumerate() {
            core.ready[register] = loaded(at + index as u64);
        }
    } else {
        core.set(one.writes, ready);
    }
    // The floating-point unit's loads are there a cycle sooner.
    core.set(one.writes & FLOATS, plain(last));
    if one.writes_back {
        core.set(base, plain(at + 1));
    }
    if one.sets_flags {
        core.flags = at + if one.class == Class::ShiftedRegister { 2 } else { 0 };
    }
}

fn cycles(core: &Pipeline, one: &Instruction, taken: bool) -> u64 {
    let n = u64::from(one.count);
    let refill = core.bound.of(1, 2);
    match one.class {
        Class::LoadMany if one.to_pc => n + core.bound.of(2, 4),
        Class::LoadMany | Class::StoreMany => n,
        Class::LoadDouble | Class::StoreDouble => 2,
        // Those that set conditions throughout two stages.
        Class::Multiply if one.narrow => 2,
        Class::ShiftedConstant if one.sets_flags => 2,
        Class::Divide => core.bound.of(2, 11),
        Class::Branch if !taken => 1,
        Class::Branch | Class::Jump if one.narrow => 2,
        Class::Branch | Class::Jump | Class::Call | Class::Indirect => 1 + refill,
        Class::Load if one.to_pc => 2 + refill,
        Class::Table => 3 + refill,
        Class::It => 1,
        Class::System => core.bound.of(1, 4),
        _ if one.to_pc => 1 + refill,
        _ => 1,
    }
}

/// The floating-point unit takes an instruction a cycle before its operands are there, and then none until they were.
fn floats(core: &mut Pipeline, one: &Instruction, at: u64) {
    let operands = core.when(one.reads | one.stored, |ready| ready.any);
    let addend = core.when(one.addend, |ready| ready.addend);
    let early = u64::from(one.class != Class::FloatMove);
    let at = at.max(core.float).max(addend).max(operands.saturating_sub(early));
    let begins = at.max(operands);
    let to_integers = one.writes & !FLOATS != 0;
    let from_integers = one.reads & !FLOATS != 0;
    let pair = one.writes.count_ones().max(one.reads.count_ones()) > 1;
    // Cycles that it takes, cycles to its result, and to its result as what a product is added to.
    let (takes, result, added, busy) = match one.class {
        Class::FloatAccumulate => (1, 4, 3, 3),
        Class::FloatDivide => (core.bound.of(1, 1), 14, 14, 14),
        Class::FloatMove if to_integers && pair => (2, 2, 2, 2),
        Class::FloatMove if to_integers => (1, 2, 2, 1),
        Class::FloatMove if from_integers && pair => (1, 2, 2, 1),
        Class::FloatMove => (1, 1, 1, 1),
        _ => (1, 2, 2, 1),
    };
    core.paired = false;
    core.now = at + takes;
    core.float = begins + busy;
    let ready = Ready {
        any: begins + result,
        addend: begins + added,
        extended: begins + result,
        stored: begins + result,
    };
    core.set(one.writes, ready);
}
