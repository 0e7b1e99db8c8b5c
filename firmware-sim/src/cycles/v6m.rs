//! Cortex-M0 (TRM r0p0, table 3-1) and Cortex-M0+ (TRM r0p1, table 3-1): no instruction waits for another.

use super::instruction::{Class, Instruction};
use super::pipeline::{Kind, Pipeline};

pub(super) fn run(core: &mut Pipeline, one: &Instruction, taken: bool) {
    let plus = core.kind == Kind::M0Plus;
    let n = u64::from(one.count);
    core.now += match one.class {
        Class::Load | Class::Store => 2,
        Class::LoadMany if one.to_pc => n + if plus { 3 } else { 4 },
        Class::LoadMany | Class::StoreMany => 1 + n,
        Class::Branch if !taken => 1,
        Class::Branch | Class::Jump => 3 - u64::from(plus),
        Class::Call => 4 - u64::from(plus),
        Class::Indirect => 3 - u64::from(plus),
        Class::System => 4 - u64::from(plus),
        _ if one.to_pc => 3 - u64::from(plus),
        _ => 1,
    };
}
