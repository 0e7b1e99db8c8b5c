//! Ambiq.

use super::{Chip, Fetch, Help, KIB, MIB, Power, Ram, ram, region, remembered};
use crate::boards::CORTEX_M4F;

static RAM_APOLLO4: [Ram; 2] = [
    ram("shared SRAM", 0x1006_0000, 1024 * KIB),
    ram("TCM", 0x1000_0000, 384 * KIB),
];

pub(super) static CHIPS: [Chip; 1] = [Chip {
    name: "apollo4",
    description: "Ambiq Apollo4 (AMAP42KK)",
    core: &CORTEX_M4F,
    flash: region(0x0001_8000, 2 * MIB - 0x1_8000),
    ram: &RAM_APOLLO4,
    memory: remembered("Apollo4 SoC datasheet, memory map; the first 96 KiB of MRAM are the boot loader's"),
    clock_hz: 96_000_000,
    clock: remembered("Apollo4 SoC datasheet, low power mode; 192 MHz as TurboSPOT"),
    fetch: Fetch {
        wait_cycles: 6.0,
        line_bytes: 16,
        help: Help::Cache(64 * KIB),
    },
    fetch_source: remembered("Apollo4 SoC datasheet: 64 KiB of cache; the wait is a guess"),
    power: Some((
        Power {
            ua_per_mhz: 4.0,
            millivolts: 1_800,
        },
        remembered("Apollo4 product brief: 4 uA/MHz from MRAM"),
    )),
    board: None,
}];
