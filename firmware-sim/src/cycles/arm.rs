//! Lines of Thumb code, as Capstone and LLVM write them.

use super::instruction::{Class, Instruction, Registers};

const CONDITIONS: [&str; 16] = [
    "eq", "ne", "hs", "cs", "lo", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le",
];
/// Beginnings of names, and what they are. The first that fits counts.
const NAMES: [(&str, Class); 90] = {
    use Class as C;
    [
        ("nop", C::Nop),
        ("sev", C::Signal),
        ("yield", C::Yield),
        ("cbz", C::Branch),
        ("cbnz", C::Branch),
        ("blx", C::Indirect),
        ("bx", C::Indirect),
        ("tbb", C::Table),
        ("tbh", C::Table),
        ("push", C::StoreMany),
        ("vpush", C::StoreMany),
        ("stm", C::StoreMany),
        ("vstm", C::StoreMany),
        ("pop", C::LoadMany),
        ("vpop", C::LoadMany),
        ("ldm", C::LoadMany),
        ("vldm", C::LoadMany),
        ("ldrd", C::LoadDouble),
        ("strd", C::StoreDouble),
        ("ldr", C::Load),
        ("vldr", C::Load),
        ("str", C::Store),
        ("vstr", C::Store),
        ("sdiv", C::Divide),
        ("udiv", C::Divide),
        ("smlal", C::LongAccumulate),
        ("smlsld", C::LongAccumulate),
        ("umlal", C::LongAccumulate),
        ("umaal", C::LongAccumulate),
        ("smull", C::LongMultiply),
        ("umull", C::LongMultiply),
        ("mla", C::Accumulate),
        ("mls", C::Accumulate),
        ("smla", C::Accumulate),
        ("smls", C::Accumulate),
        ("smmla", C::Accumulate),
        ("smmls", C::Accumulate),
        ("usada8", C::Accumulate),
        ("mul", C::Multiply),
        ("smul", C::Multiply),
        ("smuad", C::Multiply),
        ("smusd", C::Multiply),
        ("smmul", C::Multiply),
        ("usad8", C::Multiply),
        ("sxta", C::Extend),
        ("uxta", C::Extend),
        ("sxtb16", C::Extend),
        ("uxtb16", C::Extend),
        ("qadd", C::Simd),
        ("qsub", C::Simd),
        ("qdadd", C::Simd),
        ("qdsub", C::Simd),
        ("qasx", C::Simd),
        ("qsax", C::Simd),
        ("sadd", C::Simd),
        ("uadd", C::Simd),
        ("ssub", C::Simd),
        ("usub", C::Simd),
        ("sasx", C::Simd),
        ("ssax", C::Simd),
        ("shadd", C::Simd),
        ("uhadd", C::Simd),
        ("uqadd", C::Simd),
        ("uqsub", C::Simd),
        ("pkh", C::Simd),
        ("sel", C::Simd),
        ("ssat", C::Simd),
        ("usat", C::Simd),
        ("vfma", C::FloatAccumulate),
        ("vfms", C::FloatAccumulate),
        ("vfnm", C::FloatAccumulate),
        ("vmla", C::FloatAccumulate),
        ("vmls", C::FloatAccumulate),
        ("vnml", C::FloatAccumulate),
        ("vdiv", C::FloatDivide),
        ("vsqrt", C::FloatDivide),
        ("vmov", C::FloatMove),
        ("vmrs", C::FloatMove),
        ("vmsr", C::FloatMove),
        ("v", C::Float),
        ("msr", C::System),
        ("mrs", C::System),
        ("dsb", C::System),
        ("dmb", C::System),
        ("isb", C::System),
        ("cps", C::System),
        ("svc", C::System),
        ("bkpt", C::System),
        ("it", C::It),
        ("", C::Alu),
    ]
};
/// Beginnings of names whose first operand is read and not written.
const COMPARISONS: [&str; 4] = ["cmp", "cmn", "tst", "teq"];
/// Beginnings of names whose two operands are one that is written, and one that is read.
const MOVES: [&str; 9] = ["mov", "mvn", "sxt", "uxt", "rev", "clz", "rbit", "neg", "adr"];
const PC: Registers = 1 << 15;

fn class_of(name: &str) -> Class {
    match name.strip_prefix('b') {
        Some("") => return Class::Jump,
        Some("l") => return Class::Call,
        Some(condition) if CONDITIONS.contains(&condition) => return Class::Branch,
        _ => {}
    }
    if let Some(others) = name.strip_prefix("it")
        && others.chars().all(|letter| matches!(letter, 't' | 'e'))
    {
        return Class::It;
    }
    let found = NAMES
        .iter()
        .find(|(begin, class)| name.starts_with(begin) && *class != Class::It);
    found.map_or(Class::Alu, |(_, class)| *class)
}

/// The register that a word names, or several of them.
fn register(word: &str) -> Registers {
    let number = |from: usize| word.get(from..).and_then(|digits| digits.parse::<u32>().ok());
    match word {
        "sb" => 1 << 9,
        "sl" => 1 << 10,
        "fp" => 1 << 11,
        "ip" => 1 << 12,
        "sp" => 1 << 13,
        "lr" => 1 << 14,
        "pc" => PC,
        _ => match (word.as_bytes().first(), number(1)) {
            (Some(b'r'), Some(n @ 0..=15)) => 1 << n,
            (Some(b's'), Some(n @ 0..=31)) => 1 << (32 + n),
            (Some(b'd'), Some(n @ 0..=15)) => 3 << (32 + 2 * n),
            (Some(b'q'), Some(n @ 0..=7)) => 15 << (32 + 4 * n),
            _ => 0,
        },
    }
}

/// All registers in a text; `r0-r3` and `s0-s3` are four.
fn registers(text: &str) -> Registers {
    let mut all = 0;
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
        all |= match word.split_once('-') {
            None => register(word),
            Some((first, last)) => {
                let (first, last) = (register(first), register(last));
                let below = |one: Registers| one.checked_shl(1).unwrap_or(0).wrapping_sub(1) | one;
                if first == 0 || last == 0 {
                    0
                } else {
                    (below(1 << (63 - last.leading_zeros()))) & !(first & first.wrapping_neg()).wrapping_sub(1)
                }
            }
        };
    }
    all
}

/// A constant that 12 bits hold by a rotation, and not by 8 bits or their repetition.
fn is_shifted(constant: u32) -> bool {
    let byte = constant & 0xFF;
    let halves = byte | byte << 16;
    let upper = (constant >> 8 & 0xFF) << 8;
    !(constant <= 0xFF || constant == halves || constant == halves | halves << 8 || constant == upper | upper << 16)
}

/// The value of `#12`, `#-3` or `#0x1fc0`.
fn constant(word: &str) -> Option<u32> {
    let digits = word.trim().strip_prefix('#')?;
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits),
    };
    let value = match digits.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Splits at commas that are in no brackets.
fn operands(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    if !text[from..].trim().is_empty() {
        parts.push(text[from..].trim());
    }
    parts
}

/// See [`Instruction::parse`].
pub(super) fn parse(text: &str, narrow: bool) -> Instruction {
    let (mnemonic, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
    let name = mnemonic.split('.').next().unwrap_or_default();
    let class = class_of(name);
    let parts = operands(rest);
    let mut found = Instruction::of(class, narrow);
    let all: Vec<Registers> = parts.iter().map(|part| registers(part)).collect();
    let of = |range: std::ops::Range<usize>| {
        all.get(range.start.min(all.len())..range.end.min(all.len()))
            .unwrap_or_default()
            .iter()
            .fold(0, |set, one| set | one)
    };
    found.writes_back = rest.contains('!') || rest.contains("],");
    match class {
        Class::Nop | Class::It | Class::System => {}
        Class::Branch | Class::Jump | Class::Call | Class::Indirect => found.reads = of(0..1),
        Class::Table => found.address = registers(rest),
        Class::Load | Class::LoadDouble => {
            let first = if class == Class::Load { 1 } else { 2 };
            found.writes = of(0..first);
            found.address = of(first..9);
            found.to_pc = found.writes & PC != 0;
        }
        Class::Store | Class::StoreDouble => {
            let first = if class == Class::Store { 1 } else { 2 };
            found.stored = of(0..first);
            found.address = of(first..9);
        }
        Class::LoadMany | Class::StoreMany => {
            let list = all.last().copied().unwrap_or(0);
            found.count = list.count_ones().max(1);
            let stack = name.contains("push") || name.contains("pop");
            found.address = if stack { 1 << 13 } else { of(0..1) };
            found.writes_back |= stack;
            if class == Class::LoadMany {
                (found.writes, found.to_pc) = (list, list & PC != 0);
            } else {
                found.stored = list;
            }
        }
        Class::Accumulate => (found.writes, found.reads, found.addend) = (of(0..1), of(1..3), of(3..4)),
        Class::LongAccumulate => (found.writes, found.reads, found.addend) = (of(0..2), of(2..4), of(0..2)),
        Class::LongMultiply => (found.writes, found.reads) = (of(0..2), of(2..4)),
        Class::FloatAccumulate => (found.writes, found.reads, found.addend) = (of(0..1), of(1..3), of(0..1)),
        Class::Extend if all.len() > 2 && !name.contains("xtb16") => {
            (found.writes, found.addend, found.reads) = (of(0..1), of(1..2), of(2..3));
        }
        // Two integers and two floats, in either direction.
        Class::FloatMove if all.len() == 4 => (found.writes, found.reads) = (of(0..2), of(2..4)),
        Class::FloatMove if all.len() == 3 && of(0..1) < 1 << 32 => (found.writes, found.reads) = (of(0..2), of(2..3)),
        _ => ordinary(&mut found, name, &parts, &all),
    }
    if found.writes_back {
        found.writes |= found.address & found.address.wrapping_neg();
    }
    let brackets = rest.split_once('[').map_or("", |(_, inside)| inside);
    found.offset_register = matches!(class, Class::Load | Class::Store)
        && registers(brackets.split(']').next().unwrap_or_default()).count_ones() > 1;
    found
}

/// An instruction that writes its first operand and reads the others.
fn ordinary(found: &mut Instruction, name: &str, parts: &[&str], all: &[Registers]) {
    let after = all.iter().skip(1).fold(0, |set, one| set | one);
    let first = all.first().copied().unwrap_or(0);
    let compares = COMPARISONS.iter().any(|begin| name.starts_with(begin)) || name.starts_with("vcmp");
    let moves = MOVES.iter().any(|begin| name.starts_with(begin)) && name != "movt";
    let adds_to_itself = !moves && (all.len() == 2 || name == "movt" || name.starts_with("bfi"));
    found.reads = after
        | if compares || adds_to_itself && found.class != Class::Float {
            first
        } else {
            0
        };
    found.writes = if compares { 0 } else { first };
    found.to_pc = found.writes & PC != 0;
    let setting = name.strip_suffix('s').is_some_and(|name| !name.is_empty());
    found.sets_flags = compares || setting && !matches!(name, "mls" | "vmls" | "vfms");
    if found.class != Class::Alu {
        return;
    }
    let shifts = |part: &&str| {
        ["lsl", "lsr", "asr", "ror", "rrx"]
            .iter()
            .any(|shift| part.starts_with(shift))
    };
    let last = parts.last().copied().unwrap_or_default();
    let short = name.ends_with('w') || name == "movt" || name.ends_with('x') || name.starts_with("bf");
    if parts.len() > 2 && parts.iter().any(shifts) {
        found.class = Class::ShiftedRegister;
    } else if !found.narrow
        && !short
        // Moves of any constant go as others do.
        && !["mov", "lsl", "lsr", "asr", "ror", "ubf", "sbf"].iter().any(|shift| name.starts_with(shift))
        && constant(last).is_some_and(is_shifted)
    {
        found.class = Class::ShiftedConstant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_told_apart() {
        let load = parse("ldr.w r0, [r1, r2, lsl #2]", false);
        assert_eq!((load.class, load.writes, load.address), (Class::Load, 1, 0b110));
        assert!(load.offset_register && !load.writes_back);
        let after = parse("ldrsb.w r3, [r4], #1", false);
        assert_eq!(
            (after.writes, after.address, after.writes_back),
            (0b11000, 0b10000, true)
        );
        let product = parse("smlad r5, r6, r7, r5", false);
        assert_eq!(
            (product.class, product.reads, product.addend),
            (Class::Accumulate, 0b1100_0000, 0b10_0000)
        );
        let list = parse("ldmia.w r0!, {r4-r7, r8}", false);
        assert_eq!((list.class, list.count, list.writes), (Class::LoadMany, 5, 0x1F1));
        let pop = parse("pop {r4, pc}", true);
        assert!(pop.to_pc && pop.count == 2);
        assert_eq!(parse("adds r0, r1", true).reads, 0b11);
        assert_eq!(parse("cmp r0, r1", true).writes, 0);
        assert_eq!(parse("vmov r0, r1, d3", false).writes, 0b11);
        assert_eq!(parse("vldmia r0!, {s4-s7}", false).count, 4);
    }

    #[test]
    fn names_are_classes() {
        let class = |text| parse(text, false).class;
        assert_eq!(class("bls #0x10"), Class::Branch);
        assert_eq!(class("bl #0x10"), Class::Call);
        assert_eq!(class("bic.w r0, r0, #1"), Class::Alu);
        assert_eq!(class("itte ne"), Class::It);
        assert_eq!(class("add.w r0, r1, r2, ror #23"), Class::ShiftedRegister);
        assert_eq!(class("lsl.w r0, r1, #3"), Class::Alu);
        assert_eq!(class("adds.w r0, r1, #0x1fc0"), Class::ShiftedConstant);
        assert_eq!(class("eor.w r6, r7, #0x1b1b1b1b"), Class::Alu);
        assert_eq!(class("addw r6, r7, #0xff9"), Class::Alu);
        assert_eq!(class("sxtb16 r0, r1, ror #8"), Class::Extend);
        assert_eq!(class("subs r0, #1"), Class::Alu);
        assert_eq!(class("vsub.f32 s0, s1, s2"), Class::Float);
    }
}
