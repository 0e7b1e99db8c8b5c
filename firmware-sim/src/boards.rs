//! The boards that can be simulated: one table, with one entry a board and one a core.
//!
//! To add a board: an entry here, and a line in `tests/boards.rs`, which fails without it. A new core is an entry with its measured footprint.

use mote_runtime::Feature;

use crate::parts::Parts;

/// A memory, as the linker script sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Address of the first byte.
    pub origin: u32,
    /// Size in bytes.
    pub length: u32,
}

/// What counts instructions on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Cortex-M SysTick on the core's clock, at this many Hz in QEMU's model of the board.
    SysTick {
        /// Ticks a virtual second; an instruction is a virtual nanosecond.
        hz: u32,
    },
    /// RISC-V's counter of retired instructions.
    Retired,
}

impl Clock {
    /// `ticks` of this clock in instructions, rounded down.
    pub fn instructions(self, ticks: u64) -> u64 {
        match self {
            Self::SysTick { hz } => (u128::from(ticks) * 1_000_000_000 / u128::from(hz)) as u64,
            Self::Retired => ticks,
        }
    }

    /// Instructions a tick: a count is right to within one of these.
    pub fn granularity(self) -> f64 {
        match self {
            Self::SysTick { hz } => 1e9 / f64::from(hz),
            Self::Retired => 1.0,
        }
    }
}

/// Which QEMU program simulates a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emulator {
    /// `qemu-system-arm`.
    Arm,
    /// `qemu-system-riscv32`.
    Riscv32,
}

impl Emulator {
    /// The program's name.
    pub fn program(self) -> &'static str {
        match self {
            Self::Arm => "qemu-system-arm",
            Self::Riscv32 => "qemu-system-riscv32",
        }
    }

    /// The Debian package that holds it.
    pub fn package(self) -> &'static str {
        match self {
            Self::Arm => "qemu-system-arm",
            Self::Riscv32 => "qemu-system-misc",
        }
    }
}

/// A kind of core: what is compiled for it, and what the firmware takes on it.
#[derive(Debug)]
pub struct Core {
    /// Its name.
    pub name: &'static str,
    /// Rust's name for it.
    pub target: &'static str,
    /// The compiler's name for it, where the target alone leaves some of its instructions out; with `+nodsp` behind it, of an Armv8-M core
    /// without the DSP instructions.
    pub cpu: Option<&'static str>,
    /// The optimization level of the firmware: `s`, since what must be fast is written by hand.
    pub opt_level: &'static str,
    /// Whether it has a floating-point unit that the firmware uses (single precision).
    pub fpu: bool,
    /// Whether it has the DSP instructions (`SMLAD` and kin).
    pub dsp: bool,
    /// What the firmware takes on it.
    pub footprint: Footprint,
    /// Cycles an instruction of the firmware, without waiting for code memory.
    pub cycles: Cycles,
}

/// Cycles an instruction, the least and the most that the core's manual allows.
///
/// The order of a step's instructions was traced in QEMU (`firmware-sim/trace`): digits8-micro as w8a8, w8a16 and f16, fashion16-tiny
/// as w8a8. Each class of instruction then counts what the manual's table says. Where the table leaves a range (a load that may overlap the next
/// one, the refill after a branch), both ends are kept. Arm gives no tables for the M33, M7 and M55; public measurements take their place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cycles {
    /// Of integer models.
    pub integer: [f64; 2],
    /// Of f16 models.
    pub f16: [f64; 2],
    /// Where the cycles of an instruction are from.
    pub source: &'static str,
}

/// What the firmware takes on one kind of core, and how many instructions it spends, as measured.
///
/// `MOTE_FIRMWARE_PARTS=all mote bench M.mote --steps 1 --backends board:NAME` measures it, on fashion16-tiny as w8a16 and as f16. The plain
/// size is that of digits8-micro as w8a16, without the variable. Code sizes have 4 % added, so that a model that is said to fit still
/// fits after a small change. Counts are instructions, not cycles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Footprint {
    /// Flash for code and constants with every part of the runtime, bytes: an upper bound for any model.
    pub code_bytes: u64,
    /// The same with integer arithmetic and int16 weights alone.
    pub plain_bytes: u64,
    /// How many times as large the code is with cargo's own `--release` profile (opt-level 3, no LTO across crates, 16 units), at most.
    pub stock: f64,
    /// The least stack, bytes, with which a firmware counts as fitting: a little more than the bundled models were measured to use.
    pub stack_bytes: u32,
    /// Instructions a multiply-accumulate, everything included, of integer models.
    pub integer_per_mac: f64,
    /// The same of f16 models.
    pub f16_per_mac: f64,
}

/// See [`Footprint::stock`]: digits8-micro's firmware on a Cortex-M4F took 1.58 times the code that the profile for size takes.
const STOCK: f64 = 1.60;

/// RAM for statics, bytes; 12 to 16 were measured.
const STATICS_BYTES: u64 = 64;

impl Footprint {
    /// Flash for code and constants with these parts of the runtime, bytes: at most this much.
    pub fn code_for(&self, parts: &Parts) -> u64 {
        let plain = |part: &Feature| {
            matches!(
                part,
                Feature::Integer | Feature::W16 | Feature::NormConv | Feature::Schedule | Feature::Fast
            )
        };
        if parts.features().iter().all(plain) {
            self.plain_bytes
        } else {
            self.code_bytes
        }
    }

    /// The least stack, bytes. `norm_conv`: normalizations are made inside convolutions, which puts one more call on it.
    pub fn least_stack_bytes(&self, norm_conv: bool) -> u32 {
        self.stack_bytes + if norm_conv { 512 } else { 0 }
    }

    /// RAM beside arena and state, bytes: statics and the least stack.
    pub fn ram_bytes(&self, norm_conv: bool) -> u64 {
        STATICS_BYTES + u64::from(self.least_stack_bytes(norm_conv))
    }
}

/// A simulated board. Two are the same where their names are: those are unique.
#[derive(Clone, Debug)]
pub struct Board {
    /// The name that the command line takes.
    pub name: &'static str,
    /// What it is, in a few words.
    pub description: &'static str,
    /// Its core.
    pub core: &'static Core,
    /// Which QEMU runs it.
    pub emulator: Emulator,
    /// QEMU's name for the machine.
    pub machine: &'static str,
    /// Flash: code and model.
    pub flash: Region,
    /// RAM: stack, statics and arena.
    pub ram: Region,
    /// What counts instructions.
    pub clock: Clock,
}

impl PartialEq for Board {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Board {}

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

pub(crate) static CORTEX_M0: Core = Core {
    name: "Cortex-M0",
    target: "thumbv6m-none-eabi",
    cpu: None,
    opt_level: "s",
    fpu: false,
    dsp: false,
    footprint: Footprint {
        code_bytes: 81_100,
        plain_bytes: 47_500,
        stock: STOCK,
        stack_bytes: 3520,
        integer_per_mac: 6.5,
        f16_per_mac: 380.0,
    },
    cycles: Cycles {
        integer: [1.40, 1.45],
        f16: [1.35, 1.60],
        source: "Cortex-M0 TRM r0p0, table 3-1, single-cycle multiplier; f16 not traced",
    },
};

/// Runs the code of the Cortex-M0.
pub(crate) static CORTEX_M0PLUS: Core = Core {
    name: "Cortex-M0+",
    target: CORTEX_M0.target,
    cpu: CORTEX_M0.cpu,
    opt_level: CORTEX_M0.opt_level,
    fpu: false,
    dsp: false,
    footprint: CORTEX_M0.footprint,
    cycles: Cycles {
        integer: [1.34, 1.39],
        f16: [1.30, 1.55],
        source: "Cortex-M0+ TRM r0p1, table 3-1, single-cycle multiplier; f16 not traced",
    },
};

pub(crate) static CORTEX_M3: Core = Core {
    name: "Cortex-M3",
    target: "thumbv7m-none-eabi",
    cpu: None,
    opt_level: "s",
    fpu: false,
    dsp: false,
    footprint: Footprint {
        code_bytes: 81_800,
        plain_bytes: 50_800,
        stock: STOCK,
        stack_bytes: 3008,
        integer_per_mac: 3.1,
        f16_per_mac: 209.0,
    },
    cycles: Cycles {
        integer: [1.53, 1.90],
        f16: [1.30, 2.00],
        source: "Cortex-M3 TRM, table 3-1; f16 not traced",
    },
};

pub(crate) static CORTEX_M4F: Core = Core {
    name: "Cortex-M4F",
    target: "thumbv7em-none-eabihf",
    cpu: None,
    opt_level: "s",
    fpu: true,
    dsp: true,
    footprint: Footprint {
        code_bytes: 88_400,
        plain_bytes: 59_100,
        stock: STOCK,
        stack_bytes: 3520,
        integer_per_mac: 1.6,
        f16_per_mac: 16.4,
    },
    cycles: Cycles {
        integer: [1.51, 1.80],
        f16: [1.29, 1.91],
        source: "Cortex-M4 TRM, tables 3-1 and 7-1",
    },
};

/// Runs the code of the Cortex-M4F.
pub(crate) static CORTEX_M7F: Core = Core {
    name: "Cortex-M7F",
    target: CORTEX_M4F.target,
    cpu: CORTEX_M4F.cpu,
    opt_level: CORTEX_M4F.opt_level,
    fpu: true,
    dsp: true,
    footprint: CORTEX_M4F.footprint,
    cycles: Cycles {
        integer: [0.64, 1.61],
        f16: [0.51, 1.63],
        source: "no table of Arm's: one to two instructions a cycle",
    },
};

pub(crate) static CORTEX_M33: Core = Core {
    name: "Cortex-M33",
    target: "thumbv8m.main-none-eabihf",
    cpu: Some("cortex-m33"),
    opt_level: "s",
    fpu: true,
    dsp: true,
    footprint: Footprint {
        code_bytes: 90_500,
        plain_bytes: 60_500,
        stock: STOCK,
        stack_bytes: 3520,
        integer_per_mac: 1.6,
        f16_per_mac: 17.5,
    },
    cycles: Cycles {
        integer: [1.40, 1.64],
        f16: [1.11, 1.54],
        source: "no table of Arm's: public measurements of the RP2350",
    },
};

/// Its f16 model does not fit mps3-an547: that count is the Cortex-M33's, in the proportion of digits8-micro (19.97 to 20.08).
pub(crate) static CORTEX_M55: Core = Core {
    name: "Cortex-M55",
    target: "thumbv8m.main-none-eabihf",
    cpu: Some("cortex-m55"),
    opt_level: "s",
    fpu: true,
    dsp: true,
    footprint: Footprint {
        code_bytes: 88_500,
        plain_bytes: 58_500,
        stock: STOCK,
        stack_bytes: 3520,
        integer_per_mac: 1.0,
        f16_per_mac: 17.4,
    },
    cycles: Cycles {
        integer: [1.00, 2.00],
        f16: [1.00, 2.00],
        source: "not traced: a vector instruction takes two cycles, a scalar one one",
    },
};

pub(crate) static RV32IMAC: Core = Core {
    name: "RV32IMAC",
    target: "riscv32imac-unknown-none-elf",
    cpu: None,
    opt_level: "s",
    fpu: false,
    dsp: false,
    footprint: Footprint {
        code_bytes: 96_500,
        plain_bytes: 58_000,
        stock: STOCK,
        stack_bytes: 3520,
        integer_per_mac: 5.3,
        f16_per_mac: 195.0,
    },
    cycles: Cycles {
        integer: [1.03, 1.24],
        f16: [1.03, 1.50],
        source: "single issue, in order, as Hazard3 and the ESP32-C3; f16 not traced",
    },
};

/// Without atomic instructions, which the runtime does not use: sizes and counts are those of the RV32IMAC.
pub(crate) static RV32IMC: Core = Core {
    name: "RV32IMC",
    target: "riscv32imc-unknown-none-elf",
    cpu: None,
    opt_level: RV32IMAC.opt_level,
    fpu: false,
    dsp: false,
    footprint: RV32IMAC.footprint,
    cycles: RV32IMAC.cycles,
};

/// Integer models run the code of the RV32IMAC. Those of f16 models were not measured: the same figures are an upper bound.
pub(crate) static RV32IMAFC: Core = Core {
    name: "RV32IMAFC",
    target: "riscv32imafc-unknown-none-elf",
    cpu: None,
    opt_level: RV32IMAC.opt_level,
    fpu: true,
    dsp: false,
    footprint: RV32IMAC.footprint,
    cycles: RV32IMAC.cycles,
};

/// Every core that code can be compiled for, those of chips without an emulator as well.
static CORES: [&Core; 10] = [
    &CORTEX_M0,
    &CORTEX_M0PLUS,
    &CORTEX_M3,
    &CORTEX_M4F,
    &CORTEX_M7F,
    &CORTEX_M33,
    &CORTEX_M55,
    &RV32IMAC,
    &RV32IMC,
    &RV32IMAFC,
];

/// Every core.
pub fn cores() -> &'static [&'static Core] {
    &CORES
}

impl Core {
    /// The core of that name, in any case.
    pub fn named(name: &str) -> Option<&'static Self> {
        CORES.into_iter().find(|core| core.name.eq_ignore_ascii_case(name))
    }

    /// Whether code for `other` is the same code: so are sizes and instructions.
    pub fn runs_code_of(&self, other: &Self) -> bool {
        (self.target, self.cpu) == (other.target, other.cpu)
    }
}

/// The MPS2 boards: an FPGA with 4 MiB of code SSRAM at 0 and 4 MiB of data SSRAM at 0x20000000.
const MPS2_FLASH: Region = Region {
    origin: 0,
    length: 4 * MIB,
};
const MPS2_RAM: Region = Region {
    origin: 0x2000_0000,
    length: 4 * MIB,
};

const fn mps2(name: &'static str, description: &'static str, core: &'static Core) -> Board {
    Board {
        name,
        description,
        core,
        emulator: Emulator::Arm,
        machine: name,
        flash: MPS2_FLASH,
        ram: MPS2_RAM,
        clock: Clock::SysTick { hz: 25_000_000 },
    }
}

static BOARDS: [Board; 11] = [
    Board {
        flash: Region {
            origin: 0,
            length: 256 * KIB,
        },
        ram: Region {
            origin: 0x2000_0000,
            length: 16 * KIB,
        },
        clock: Clock::SysTick { hz: 16_000_000 },
        ..mps2("microbit", "BBC micro:bit, nRF51822", &CORTEX_M0)
    },
    Board {
        flash: Region {
            origin: 0x0800_0000,
            length: 128 * KIB,
        },
        ram: Region {
            origin: 0x2000_0000,
            length: 8 * KIB,
        },
        clock: Clock::SysTick { hz: 24_000_000 },
        ..mps2("stm32vldiscovery", "STM32 VL Discovery, STM32F100RB", &CORTEX_M3)
    },
    Board {
        flash: Region {
            origin: 0,
            length: 256 * KIB,
        },
        ram: Region {
            origin: 0x2000_0000,
            length: 64 * KIB,
        },
        // At reset: the 200 MHz PLL divided by 16.
        clock: Clock::SysTick { hz: 12_500_000 },
        ..mps2("lm3s6965evb", "Stellaris LM3S6965 evaluation board", &CORTEX_M3)
    },
    Board {
        flash: Region {
            origin: 0x0800_0000,
            length: MIB,
        },
        // The 64 KiB of core-coupled memory at 0x10000000 are not used.
        ram: Region {
            origin: 0x2000_0000,
            length: 128 * KIB,
        },
        clock: Clock::SysTick { hz: 168_000_000 },
        ..mps2("netduinoplus2", "Netduino Plus 2, STM32F405RG", &CORTEX_M4F)
    },
    mps2("mps2-an385", "Arm MPS2 evaluation board, image AN385", &CORTEX_M3),
    Board {
        ..mps2("mps2-an386", "Arm MPS2 evaluation board, image AN386", &CORTEX_M4F)
    },
    Board {
        ..mps2("mps2-an500", "Arm MPS2 evaluation board, image AN500", &CORTEX_M7F)
    },
    Board {
        // The secure aliases: the core starts in secure state.
        flash: Region {
            origin: 0x1000_0000,
            length: 4 * MIB,
        },
        ram: Region {
            origin: 0x3800_0000,
            length: 4 * MIB,
        },
        clock: Clock::SysTick { hz: 20_000_000 },
        ..mps2("mps2-an505", "Arm MPS2+ evaluation board, image AN505", &CORTEX_M33)
    },
    Board {
        machine: "mps2-an385",
        ..mps2(
            "mps2-m0",
            "Cortex-M0 code on MPS2 AN385, for models that 16 KiB cannot hold",
            &CORTEX_M0,
        )
    },
    Board {
        flash: Region {
            origin: 0,
            length: 512 * KIB,
        },
        ram: Region {
            origin: 0x2000_0000,
            length: 512 * KIB,
        },
        clock: Clock::SysTick { hz: 32_000_000 },
        ..mps2("mps3-an547", "Arm MPS3 evaluation board, image AN547", &CORTEX_M55)
    },
    Board {
        emulator: Emulator::Riscv32,
        // QEMU's generic board has only DRAM; this splits it as a microcontroller would be.
        flash: Region {
            origin: 0x8000_0000,
            length: 4 * MIB,
        },
        ram: Region {
            origin: 0x8400_0000,
            length: 512 * KIB,
        },
        clock: Clock::Retired,
        ..mps2("virt", "QEMU's generic RISC-V board", &RV32IMAC)
    },
];

/// Every board, smallest cores first.
pub fn boards() -> &'static [Board] {
    &BOARDS
}

impl Board {
    /// The board of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for board in boards() {
            assert!(std::ptr::eq(Board::named(board.name).unwrap(), board));
        }
        assert!(Board::named("no-such-board").is_none());
    }

    #[test]
    fn ticks_become_instructions() {
        assert_eq!(Clock::SysTick { hz: 25_000_000 }.instructions(3), 120);
        assert_eq!(
            Clock::SysTick { hz: 32_000_000 }.instructions(1 << 40),
            (1u64 << 40) * 125 / 4
        );
        assert_eq!(Clock::Retired.instructions(7), 7);
    }
}
