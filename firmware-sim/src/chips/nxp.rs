//! NXP.

use super::{Chip, Fetch, Help, KIB, MIB, Ram, ram, read, region, remembered};
use crate::boards::CORTEX_M7F;

/// As the FlexRAM is divided after reset.
static RAM_RT1062: [Ram; 2] = [
    ram("OCRAM", 0x2020_0000, 512 * KIB),
    ram("DTCM", 0x2000_0000, 128 * KIB),
];
/// As Teensyduino divides the FlexRAM where the code takes no more than 128 KiB of ITCM.
static RAM_TEENSY: [Ram; 2] = [
    ram("DTCM", 0x2000_0000, 384 * KIB),
    ram("OCRAM", 0x2020_0000, 512 * KIB),
];

const RT1062: Chip = Chip {
    name: "imxrt1062",
    description: "NXP i.MX RT1062 with 8 MiB of QSPI flash",
    core: &CORTEX_M7F,
    flash: region(0x6000_0000, 8 * MIB),
    ram: &RAM_RT1062,
    memory: remembered("i.MX RT1060 reference manual, memory map; FlexRAM as after reset"),
    clock_hz: 600_000_000,
    clock: remembered("i.MX RT1060 datasheet, consumer grade"),
    fetch: Fetch {
        wait_cycles: 350.0,
        line_bytes: 32,
        help: Help::Cache(32 * KIB),
    },
    fetch_source: remembered("32 KiB of each L1 cache; the miss is calculated from 133 MHz on four lines"),
    power: None,
    board: None,
};

pub(super) static CHIPS: [Chip; 2] = [
    RT1062,
    Chip {
        name: "teensy41",
        description: "PJRC Teensy 4.1, i.MX RT1062, 8 MiB of QSPI flash",
        ram: &RAM_TEENSY,
        memory: read("probe-rs target description MIMXRT1060: addresses; the division from memory"),
        ..RT1062
    },
];
