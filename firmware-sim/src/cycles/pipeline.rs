//! A core's clock.

use super::instruction::{Class, Instruction, Registers};
use super::{others, v6m, v7m, v8m};
use crate::boards::Core;

/// A core, as far as it has rules of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Cortex-M0 with the single-cycle multiplier.
    M0,
    /// Cortex-M0+ with the single-cycle multiplier.
    M0Plus,
    /// Cortex-M3.
    M3,
    /// Cortex-M4, with or without its floating-point unit.
    M4,
    /// Cortex-M7: between one and two instructions a cycle, by class alone.
    M7,
    /// Cortex-M33.
    M33,
    /// RV32 of three or four stages: Hazard3, ESP32-C3.
    Rv32,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::M0,
        Self::M0Plus,
        Self::M3,
        Self::M4,
        Self::M7,
        Self::M33,
        Self::Rv32,
    ];

    /// The rules of a core; `None` where there are none (Cortex-M55).
    #[must_use]
    pub fn of(core: &Core) -> Option<Self> {
        let rules = [
            ("Cortex-M0", Self::M0),
            ("Cortex-M0+", Self::M0Plus),
            ("Cortex-M3", Self::M3),
            ("Cortex-M4F", Self::M4),
            ("Cortex-M7F", Self::M7),
            ("Cortex-M33", Self::M33),
        ];
        let found = rules.iter().find(|(name, _)| *name == core.name);
        let riscv = core.name.starts_with("RV32").then_some(Self::Rv32);
        found.map(|(_, kind)| *kind).or(riscv)
    }
}

/// Which end of what a source leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The fewest cycles.
    Least,
    /// The most.
    Most,
}

impl Bound {
    /// One of two.
    pub(super) fn of<T>(self, least: T, most: T) -> T {
        match self {
            Self::Least => least,
            Self::Most => most,
        }
    }
}

/// When a register can be read, in cycles from the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ready {
    /// By anything.
    pub any: u64,
    /// As what a product is added to.
    pub addend: u64,
    /// As what an extended number is added to.
    pub extended: u64,
    /// By a store of it.
    pub stored: u64,
}

/// The clock of a core, and what its rules remember of what ran.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub(super) kind: Kind,
    pub(super) bound: Bound,
    /// The cycle in which the next instruction may begin.
    pub(super) now: u64,
    /// The instruction before.
    pub(super) before: Option<Instruction>,
    /// Whether the one before began in the cycle of the one before it.
    pub(super) paired: bool,
    /// A cycle of the one before that the next one may share.
    pub(super) owed: bool,
    pub(super) ready: [Ready; 64],
    /// When conditions can be read.
    pub(super) flags: u64,
    /// When the floating-point unit takes the next instruction.
    pub(super) float: u64,
}

impl Pipeline {
    /// A core that has run nothing.
    #[must_use]
    pub fn new(kind: Kind, bound: Bound) -> Self {
        Self {
            kind,
            bound,
            now: 0,
            before: None,
            paired: false,
            owed: false,
            ready: [Ready::default(); 64],
            flags: 0,
            float: 0,
        }
    }

    /// Goes on by an instruction; `taken` of one behind which another one ran than the next.
    pub fn run(&mut self, instruction: &Instruction, taken: bool) {
        match self.kind {
            Kind::M0 | Kind::M0Plus => v6m::run(self, instruction, taken),
            Kind::M3 | Kind::M4 => v7m::run(self, instruction, taken),
            Kind::M33 => v8m::run(self, instruction, taken),
            Kind::M7 | Kind::Rv32 => others::run(self, instruction, taken),
        }
        self.before = Some(*instruction);
    }

    /// Cycles so far, in halves of a cycle on a Cortex-M7 and in whole ones elsewhere.
    #[must_use]
    pub fn cycles(&self) -> f64 {
        let now = (self.now + u64::from(self.owed)) as f64;
        if self.kind == Kind::M7 { now / 2.0 } else { now }
    }

    /// When all of `registers` can be read.
    pub(super) fn when(&self, registers: Registers, of: impl Fn(&Ready) -> u64) -> u64 {
        bits(registers).map(|one| of(&self.ready[one])).max().unwrap_or(0)
    }

    /// Makes `registers` ready.
    pub(super) fn set(&mut self, registers: Registers, ready: Ready) {
        for one in bits(registers) {
            self.ready[one] = ready;
        }
    }
}

/// The numbers of registers.
pub(super) fn bits(mut registers: Registers) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (registers != 0).then(|| {
            let one = registers.trailing_zeros() as usize;
            registers &= registers - 1;
            one
        })
    })
}

/// Whether the one before has left something in a register that this one reads.
pub(super) fn follows(before: Option<&Instruction>, registers: Registers, class: impl Fn(Class) -> bool) -> bool {
    before.is_some_and(|before| class(before.class) && before.writes & registers != 0)
}
