//! Raspberry Pi.

use super::{Chip, Fetch, Help, KIB, MIB, Ram, ram, read, region, remembered};
use crate::boards::{CORTEX_M0PLUS, CORTEX_M33, RV32IMAC};

static RAM_RP2040: [Ram; 1] = [ram("SRAM", 0x2000_0000, 264 * KIB)];
static RAM_RP2350: [Ram; 1] = [ram("SRAM", 0x2000_0000, 520 * KIB)];

/// A miss of the XIP cache: 8 clocks of address, 4 to turn around, 16 for 8 bytes on four lines, at half the core's clock.
const XIP: Fetch = Fetch {
    wait_cycles: 56.0,
    line_bytes: 8,
    help: Help::Cache(16 * KIB),
};

const PICO: Chip = Chip {
    name: "pico",
    description: "Raspberry Pi Pico, RP2040, 2 MiB of QSPI flash",
    core: &CORTEX_M0PLUS,
    flash: region(0x1000_0000, 2 * MIB),
    ram: &RAM_RP2040,
    memory: read("probe-rs target description RP2040; flash of the Pico from memory"),
    clock_hz: 125_000_000,
    clock: remembered("pico-sdk's default; RP2040 datasheet: 133 MHz at most"),
    fetch: XIP,
    fetch_source: remembered("RP2040 datasheet 2.6.3, XIP: 16 KiB of cache; the miss is calculated"),
    power: None,
    board: None,
};

const PICO2: Chip = Chip {
    name: "pico2",
    description: "Raspberry Pi Pico 2, RP2350 with its Arm cores, 4 MiB of QSPI flash",
    core: &CORTEX_M33,
    flash: region(0x1000_0000, 4 * MIB),
    ram: &RAM_RP2350,
    memory: read("probe-rs target description RP235x; flash of the Pico 2 from memory"),
    clock_hz: 150_000_000,
    clock: remembered("RP2350 datasheet, features"),
    fetch_source: remembered("RP2350 datasheet 4.4, XIP: 16 KiB of cache; the miss is calculated"),
    ..PICO
};

pub(super) static CHIPS: [Chip; 6] = [
    PICO,
    Chip {
        name: "rp2040",
        description: "Raspberry Pi RP2040, with 2 MiB of QSPI flash",
        ..PICO
    },
    PICO2,
    Chip {
        name: "rp2350",
        description: "Raspberry Pi RP2350 with its Arm cores and 4 MiB of QSPI flash",
        ..PICO2
    },
    Chip {
        name: "pico2-riscv",
        description: "Raspberry Pi Pico 2, RP2350 with its RISC-V cores (Hazard3)",
        core: &RV32IMAC,
        ..PICO2
    },
    Chip {
        name: "rp2350-riscv",
        description: "Raspberry Pi RP2350 with its RISC-V cores (Hazard3) and 4 MiB of QSPI flash",
        core: &RV32IMAC,
        ..PICO2
    },
];
