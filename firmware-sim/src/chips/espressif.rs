//! Espressif.
//!
//! RAM is what ESP-IDF or a bare application can have at most; radio stacks take of it. Code and weights are read from SPI flash through
//! a cache.

use super::{Chip, Fetch, Help, KIB, MIB, Power, Ram, ram, read, region, remembered};
use crate::boards::{RV32IMAC, RV32IMAFC, RV32IMC};

static RAM_C3: [Ram; 1] = [ram("SRAM, data bus", 0x3fc8_0000, 384 * KIB)];
static RAM_C6: [Ram; 1] = [ram("HP SRAM", 0x4080_0000, 512 * KIB)];
static RAM_P4: [Ram; 1] = [ram("HP L2MEM", 0x4ff0_0000, 768 * KIB)];

/// A miss: 12 clocks to begin, 64 for 32 bytes on four lines, of the 80 MHz flash at twice that clock.
const QUAD_80: f64 = 152.0;

const C3: Chip = Chip {
    name: "esp32c3",
    description: "Espressif ESP32-C3 with 4 MiB of flash",
    core: &RV32IMC,
    flash: region(0x4200_0000, 4 * MIB),
    ram: &RAM_C3,
    memory: read("probe-rs target description esp32c3; flash of the FN4 and FH4"),
    clock_hz: 160_000_000,
    clock: remembered("ESP32-C3 datasheet, CPU"),
    fetch: Fetch {
        wait_cycles: QUAD_80,
        line_bytes: 32,
        help: Help::Cache(16 * KIB),
    },
    fetch_source: remembered("ESP32-C3 datasheet: 16 KiB of cache; the miss is calculated"),
    power: Some((
        Power {
            ua_per_mhz: 175.0,
            millivolts: 3_300,
        },
        remembered("ESP32-C3 datasheet, modem-sleep: 28 mA, CPU running at 160 MHz"),
    )),
    board: None,
};

pub(super) static CHIPS: [Chip; 3] = [
    C3,
    Chip {
        name: "esp32c6",
        description: "Espressif ESP32-C6 with 4 MiB of flash, high-performance core",
        core: &RV32IMAC,
        ram: &RAM_C6,
        memory: read("probe-rs target description esp32c6; flash of the FH4"),
        clock: remembered("ESP32-C6 datasheet, CPU"),
        fetch: Fetch {
            wait_cycles: QUAD_80,
            line_bytes: 32,
            help: Help::Cache(32 * KIB),
        },
        fetch_source: remembered("ESP32-C6 datasheet: 32 KiB of cache; the miss is calculated"),
        power: None,
        ..C3
    },
    Chip {
        name: "esp32p4",
        description: "Espressif ESP32-P4 with 16 MiB of flash, one high-performance core",
        core: &RV32IMAFC,
        flash: region(0x4000_0000, 16 * MIB),
        ram: &RAM_P4,
        memory: read("probe-rs target description esp32p4; the size of the flash is the board's"),
        clock_hz: 360_000_000,
        clock: remembered("ESP32-P4 datasheet v0.5; later revisions run at 400 MHz"),
        fetch: Fetch {
            wait_cycles: 340.0,
            line_bytes: 64,
            help: Help::Cache(256 * KIB),
        },
        fetch_source: remembered("ESP32-P4 datasheet, L2 cache; the miss is calculated"),
        power: None,
        board: None,
    },
];
