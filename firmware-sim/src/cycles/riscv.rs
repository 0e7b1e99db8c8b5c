//! Lines of RV32 code, as QEMU's own disassembler writes them.

use super::instruction::{Class, Instruction, Registers};

const NAMES: [&str; 33] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2",
    "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6", "fp",
];

fn register(word: &str) -> Registers {
    match NAMES.iter().position(|name| *name == word) {
        None | Some(0) => 0,
        Some(32) => 1 << 8,
        Some(number) => 1 << number,
    }
}

fn class_of(name: &str) -> Class {
    match name {
        "nop" => Class::Nop,
        "j" => Class::Jump,
        "jal" | "call" => Class::Call,
        "jr" | "jalr" | "ret" | "tail" => Class::Indirect,
        "lw" | "lh" | "lb" | "lhu" | "lbu" | "flw" => Class::Load,
        "sw" | "sh" | "sb" | "fsw" => Class::Store,
        "mul" => Class::Multiply,
        "mulh" | "mulhu" | "mulhsu" => Class::LongMultiply,
        "div" | "divu" | "rem" | "remu" => Class::Divide,
        "beq" | "bne" | "blt" | "bge" | "bltu" | "bgeu" | "beqz" | "bnez" | "bltz" | "bgez" | "blez" | "bgtz"
        | "bgt" | "ble" | "bgtu" | "bleu" => Class::Branch,
        _ if name.starts_with("csr") || name.starts_with("fence") || matches!(name, "ecall" | "ebreak" | "wfi") => {
            Class::System
        }
        _ => Class::Alu,
    }
}

/// See [`Instruction::parse`].
pub(super) fn parse(text: &str, narrow: bool) -> Instruction {
    let (name, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
    let name = name.strip_prefix("c.").unwrap_or(name);
    let mut found = Instruction::of(class_of(name), narrow);
    let words = rest.split(|c: char| !c.is_ascii_alphanumeric());
    let all: Vec<Registers> = words.map(register).filter(|&one| one != 0).collect();
    let (first, after) = match all.split_first() {
        None => (0, 0),
        Some((first, after)) => (*first, after.iter().fold(0, |set, one| set | one)),
    };
    match found.class {
        Class::Load => (found.writes, found.address) = (first, after),
        Class::Store => (found.stored, found.address) = (first, after),
        Class::Branch | Class::Indirect => found.reads = first | after,
        Class::Nop | Class::Jump | Class::Call | Class::System => {}
        _ => (found.writes, found.reads) = (first, after | if all.len() == 2 { first } else { 0 }),
    }
    if name == "mv" || name == "li" || name == "lui" {
        found.reads = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_told_apart() {
        let load = parse("lw              a5,12(sp)", true);
        assert_eq!((load.class, load.writes, load.address), (Class::Load, 1 << 15, 1 << 2));
        let add = parse("add             a0,a0,a5", true);
        assert_eq!((add.writes, add.reads), (1 << 10, 1 << 10 | 1 << 15));
        assert_eq!(parse("bnez a0,-8", true).class, Class::Branch);
    }
}
