//! What the timing of an instruction depends on.

use super::{Kind, arm, riscv};

/// Registers, a bit each: 16 or 32 of integers from bit 0, 32 single floats from bit 32.
pub type Registers = u64;

/// What an instruction is, as far as cores time it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Does nothing.
    Nop,
    /// Moves, adds, compares, shifts, of integers.
    Alu,
    /// The same with a register that is shifted on the way.
    ShiftedRegister,
    /// The same with a constant that is made by a shift.
    ShiftedConstant,
    /// Extends and adds (`sxtab` and kin).
    Extend,
    /// DSP and SIMD without a product.
    Simd,
    /// A product of 32 bits.
    Multiply,
    /// A product, added to a register.
    Accumulate,
    /// A product of 64 bits, or the upper half of one.
    LongMultiply,
    /// A product, added to 64 bits.
    LongAccumulate,
    /// A division of integers.
    Divide,
    /// Loads one register.
    Load,
    /// Loads two.
    LoadDouble,
    /// Loads a list.
    LoadMany,
    /// Stores one register.
    Store,
    /// Stores two.
    StoreDouble,
    /// Stores a list.
    StoreMany,
    /// A branch that may not be taken.
    Branch,
    /// One that is.
    Jump,
    /// A call.
    Call,
    /// A jump or call to where a register says.
    Indirect,
    /// A jump through a table.
    Table,
    /// Makes the next instructions conditional.
    It,
    /// Floats: sums, products, comparisons, conversions.
    Float,
    /// Floats: a product that is added.
    FloatAccumulate,
    /// Floats: division and square root.
    FloatDivide,
    /// Moves between floats and integers, or floats.
    FloatMove,
    /// Barriers and special registers.
    System,
    /// Tells another core (`sev`).
    Signal,
    /// Lets it go first (`yield`).
    Yield,
}

/// An instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it is.
    pub class: Class,
    /// Whether it has 16 bits.
    pub narrow: bool,
    /// What it writes.
    pub writes: Registers,
    /// What it reads, but for what follows.
    pub reads: Registers,
    /// What it makes an address of.
    pub address: Registers,
    /// What it adds a product to.
    pub addend: Registers,
    /// What it stores.
    pub stored: Registers,
    /// Registers of its list; 1 without.
    pub count: u32,
    /// Whether it writes its address back.
    pub writes_back: bool,
    /// Whether a register is added to its address.
    pub offset_register: bool,
    /// Whether it sets conditions.
    pub sets_flags: bool,
    /// Whether it loads or writes the program counter.
    pub to_pc: bool,
}

impl Instruction {
    /// One of a class that names no register.
    pub(super) const fn of(class: Class, narrow: bool) -> Self {
        Self {
            class,
            narrow,
            writes: 0,
            reads: 0,
            address: 0,
            addend: 0,
            stored: 0,
            count: 1,
            writes_back: false,
            offset_register: false,
            sets_flags: false,
            to_pc: false,
        }
    }

    /// From a line of disassembly for a core of this kind, such as `add.w r2, r2, #4`; whether it has 16 bits, disassemblers say by its code.
    #[must_use]
    pub fn parse(kind: Kind, text: &str, narrow: bool) -> Self {
        match kind {
            Kind::Rv32 => riscv::parse(text, narrow),
            _ => arm::parse(text, narrow),
        }
    }

    /// Whether it is of the floating-point unit.
    pub(super) fn is_float(&self) -> bool {
        matches!(
            self.class,
            Class::Float | Class::FloatAccumulate | Class::FloatDivide | Class::FloatMove
        )
    }

    /// Whether it may go on elsewhere.
    pub(super) fn is_branch(&self) -> bool {
        matches!(
            self.class,
            Class::Branch | Class::Jump | Class::Call | Class::Indirect | Class::Table
        )
    }
}
