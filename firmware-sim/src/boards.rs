//! The boards that can be simulated: one table.
//!
//! To add a board: an entry here, and a line in `tests/boards.rs`, which fails without it.

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

/// A simulated board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// The name that the command line takes.
    pub name: &'static str,
    /// What it is, in a few words.
    pub description: &'static str,
    /// The core that the code is built for.
    pub core: &'static str,
    /// Rust's name for that core.
    pub target: &'static str,
    /// The compiler's name for the core, where the target alone leaves some of its instructions out.
    pub cpu: Option<&'static str>,
    /// The optimization level of the firmware: `s`, since what must be fast is written by hand.
    pub opt_level: &'static str,
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
    /// Whether the core has a floating-point unit that the firmware uses (single precision).
    pub fpu: bool,
    /// Whether the core has the DSP instructions (`SMLAD` and kin).
    pub dsp: bool,
}

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

const THUMB_V6M: &str = "thumbv6m-none-eabi";
const THUMB_V7M: &str = "thumbv7m-none-eabi";
const THUMB_V7EM_HF: &str = "thumbv7em-none-eabihf";
const THUMB_V8M_HF: &str = "thumbv8m.main-none-eabihf";
const RISCV32IMAC: &str = "riscv32imac-unknown-none-elf";

/// The MPS2 boards: an FPGA with 4 MiB of code SSRAM at 0 and 4 MiB of data SSRAM at 0x20000000.
const MPS2_FLASH: Region = Region {
    origin: 0,
    length: 4 * MIB,
};
const MPS2_RAM: Region = Region {
    origin: 0x2000_0000,
    length: 4 * MIB,
};

const fn mps2(name: &'static str, description: &'static str, core: &'static str, target: &'static str) -> Board {
    Board {
        name,
        description,
        core,
        target,
        cpu: None,
        opt_level: "s",
        emulator: Emulator::Arm,
        machine: name,
        flash: MPS2_FLASH,
        ram: MPS2_RAM,
        clock: Clock::SysTick { hz: 25_000_000 },
        fpu: false,
        dsp: false,
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
        ..mps2("microbit", "BBC micro:bit, nRF51822", "Cortex-M0", THUMB_V6M)
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
        ..mps2(
            "stm32vldiscovery",
            "STM32 VL Discovery, STM32F100RB",
            "Cortex-M3",
            THUMB_V7M,
        )
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
        ..mps2(
            "lm3s6965evb",
            "Stellaris LM3S6965 evaluation board",
            "Cortex-M3",
            THUMB_V7M,
        )
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
        fpu: true,
        dsp: true,
        ..mps2(
            "netduinoplus2",
            "Netduino Plus 2, STM32F405RG",
            "Cortex-M4F",
            THUMB_V7EM_HF,
        )
    },
    mps2(
        "mps2-an385",
        "Arm MPS2 evaluation board, image AN385",
        "Cortex-M3",
        THUMB_V7M,
    ),
    Board {
        fpu: true,
        dsp: true,
        ..mps2(
            "mps2-an386",
            "Arm MPS2 evaluation board, image AN386",
            "Cortex-M4F",
            THUMB_V7EM_HF,
        )
    },
    Board {
        fpu: true,
        dsp: true,
        ..mps2(
            "mps2-an500",
            "Arm MPS2 evaluation board, image AN500",
            "Cortex-M7F",
            THUMB_V7EM_HF,
        )
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
        cpu: Some("cortex-m33"),
        fpu: true,
        dsp: true,
        ..mps2(
            "mps2-an505",
            "Arm MPS2+ evaluation board, image AN505",
            "Cortex-M33",
            THUMB_V8M_HF,
        )
    },
    Board {
        machine: "mps2-an385",
        ..mps2(
            "mps2-m0",
            "Cortex-M0 code on MPS2 AN385, for models that 16 KiB cannot hold",
            "Cortex-M0",
            THUMB_V6M,
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
        cpu: Some("cortex-m55"),
        fpu: true,
        dsp: true,
        ..mps2(
            "mps3-an547",
            "Arm MPS3 evaluation board, image AN547",
            "Cortex-M55",
            THUMB_V8M_HF,
        )
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
        ..mps2("virt", "QEMU's generic RISC-V board", "RV32IMAC", RISCV32IMAC)
    },
];

/// Every board, smallest cores first.
pub fn boards() -> &'static [Board] {
    &BOARDS
}

impl Board {
    /// The least stack with which a firmware counts as fitting, bytes: a little more than the bundled models were measured to use
    /// with every part of the runtime. `norm_conv`: where normalizations are made inside convolutions, one more call is on it.
    pub fn least_stack_bytes(&self, norm_conv: bool) -> u32 {
        let without = if self.target == THUMB_V7M { 3008 } else { 3520 };
        without + if norm_conv { 512 } else { 0 }
    }

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
