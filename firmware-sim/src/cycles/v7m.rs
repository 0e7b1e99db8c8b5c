//! Cortex-M3 (TRM, table 3-1 and "load/store timings") and Cortex-M4 (TRM, tables 3-1 and 7-1), with what jnk0le measured of both where
//! the manual says nothing. Where the two differ, the manual's is the most: a store behind a load.

use super::instruction::{Class, Instruction};
use super::pipeline::{Kind, Pipeline, follows};

pub(super) fn run(core: &mut Pipeline, one: &Instruction, taken: bool) {
    let before = core.before;
    let before = before.as_ref();
    if core.owed && !shares(core, one) {
        core.now += 1;
    }
    let eaten = core.owed && one.class == Class::Nop;
    core.owed = false;
    // No way forward leads from a data-processing instruction to an address.
    let computes = |class| !matches!(class, Class::Load | Class::LoadDouble | Class::LoadMany | Class::Store);
    if follows(before, one.address, computes) {
        core.now += 1;
    }
    core.now += floats(core, one, before);
    if eaten {
        // Both are done in the cycle that was owed.
        core.now += 1;
        return;
    }
    core.now += cycles(core, one, taken);
    // Of a store with a constant offset it is owed to memory alone: see `shares`.
    core.owed = matches!(one.class, Class::Load | Class::Store) && !one.to_pc;
}

/// Whether the cycle that the one before still owes is this one's first as well.
fn shares(core: &Pipeline, one: &Instruction) -> bool {
    let Some(before) = &core.before else { return true };
    let memory = matches!(one.class, Class::Load | Class::Store);
    let base = |of: &Instruction| of.address & of.address.wrapping_neg();
    let same_base = before.writes_back && one.writes_back && base(before) == base(one);
    let loaded = before.writes & !if before.writes_back { base(before) } else { 0 };
    match before.class {
        Class::Load => match one.class {
            Class::Nop => true,
            _ if !memory || loaded & one.address != 0 => false,
            Class::Load if core.kind == Kind::M3 => !one.writes_back,
            Class::Load => !same_base,
            // A store with a register for its offset takes two cycles of its own.
            _ if one.offset_register => true,
            _ => core.bound.of(true, false),
        },
        Class::Store if before.offset_register => one.class == Class::Nop,
        Class::Store => match one.class {
            Class::Load | Class::LoadDouble | Class::LoadMany => false,
            Class::Store => !same_base,
            _ => true,
        },
        _ => true,
    }
}

/// Cycles of an instruction alone, without what it owes.
fn cycles(core: &Pipeline, one: &Instruction, taken: bool) -> u64 {
    let (n, least_most) = (u64::from(one.count), |least, most| core.bound.of(least, most));
    let m4 = core.kind == Kind::M4;
    let refill = least_most(1, 3);
    match one.class {
        Class::Load if one.to_pc => 2 + 3,
        Class::Load | Class::Store => 1,
        Class::LoadMany if one.to_pc => 1 + n + refill,
        Class::LoadMany | Class::StoreMany => 1 + n,
        Class::LoadDouble | Class::StoreDouble => 3,
        Class::Multiply => 1,
        Class::Accumulate if m4 => 1,
        Class::LongMultiply | Class::LongAccumulate if m4 => 1,
        Class::Accumulate => 2,
        Class::LongMultiply => least_most(3, 5),
        Class::LongAccumulate => least_most(4, 7),
        Class::Divide => least_most(2, 12),
        Class::Branch if !taken => 1,
        Class::Branch | Class::Jump | Class::Call | Class::Indirect => 1 + refill,
        Class::Table => 3 + 3,
        Class::It => least_most(0, 1),
        Class::FloatAccumulate => 3,
        Class::FloatDivide => 14,
        Class::FloatMove if one.writes.count_ones() + one.reads.count_ones() > 3 => 2,
        Class::System => least_most(1, 4),
        _ if one.to_pc => 1 + refill,
        _ => 1,
    }
}

/// A result of the floating-point unit takes a cycle longer where the next one reads it; what a product is added to is read a cycle later.
fn floats(core: &Pipeline, one: &Instruction, before: Option<&Instruction>) -> u64 {
    let results = |class| matches!(class, Class::Float | Class::FloatAccumulate | Class::FloatDivide);
    let reads = one.reads | one.stored;
    let waits = core.kind == Kind::M4 && follows(before, reads, results);
    u64::from(waits)
}
