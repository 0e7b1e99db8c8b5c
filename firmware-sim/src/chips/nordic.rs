//! Nordic Semiconductor.

use super::{Chip, Fetch, Help, KIB, MIB, NO_WAIT, Power, Ram, ram, read, region, remembered};
use crate::boards::{CORTEX_M0, CORTEX_M4F, CORTEX_M33};

/// RAM at its usual place.
const fn main_ram(length: u32) -> [Ram; 1] {
    [ram("RAM", 0x2000_0000, length)]
}

static RAM_16K: [Ram; 1] = main_ram(16 * KIB);
static RAM_64K: [Ram; 1] = main_ram(64 * KIB);
static RAM_128K: [Ram; 1] = main_ram(128 * KIB);
static RAM_256K: [Ram; 1] = main_ram(256 * KIB);
static RAM_512K: [Ram; 1] = main_ram(512 * KIB);

/// The instruction cache of the nRF52: weights do not pass through it.
const NRF52_FETCH: Fetch = Fetch {
    wait_cycles: 2.0,
    line_bytes: 16,
    help: Help::Cache(2 * KIB),
};

const NRF52832: Chip = Chip {
    name: "nrf52832",
    description: "Nordic nRF52832",
    core: &CORTEX_M4F,
    flash: region(0, 512 * KIB),
    ram: &RAM_64K,
    memory: read("probe-rs target description nRF52_Series, nRF52832_xxAA"),
    clock_hz: 64_000_000,
    clock: remembered("nRF52832 Product Specification v1.8, CPU"),
    fetch: NRF52_FETCH,
    fetch_source: remembered("nRF52832 Product Specification v1.8, CPU, W_FLASH; NVMC, cache"),
    power: Some((
        Power {
            ua_per_mhz: 58.0,
            millivolts: 3_000,
        },
        remembered("nRF52832 Product Specification v1.8, CoreMark from flash, DC/DC, 3 V"),
    )),
    board: None,
};

const NRF52833: Chip = Chip {
    name: "nrf52833",
    description: "Nordic nRF52833",
    ram: &RAM_128K,
    memory: read("probe-rs target description nRF52_Series, nRF52833_xxAA"),
    clock: remembered("nRF52833 Product Specification v1.5, CPU"),
    fetch_source: remembered("nRF52833 Product Specification v1.5, CPU, W_FLASH; NVMC, cache"),
    power: None,
    ..NRF52832
};

pub(super) static CHIPS: [Chip; 6] = [
    Chip {
        name: "nrf51822",
        description: "Nordic nRF51822, of the micro:bit v1",
        core: &CORTEX_M0,
        flash: region(0, 256 * KIB),
        ram: &RAM_16K,
        memory: read("probe-rs target description nRF51_Series, nRF51822_xxAA"),
        clock_hz: 16_000_000,
        clock: remembered("nRF51 Series Reference Manual v3.0, CPU"),
        fetch: NO_WAIT,
        fetch_source: remembered("nRF51822 Product Specification v3.1, CPU"),
        power: Some((
            Power {
                ua_per_mhz: 275.0,
                millivolts: 3_000,
            },
            remembered("nRF51822 Product Specification v3.1, CPU running from flash at 16 MHz"),
        )),
        board: Some("microbit"),
    },
    NRF52832,
    NRF52833,
    Chip {
        name: "microbit-v2",
        description: "BBC micro:bit v2, nRF52833",
        ..NRF52833
    },
    Chip {
        name: "nrf52840",
        description: "Nordic nRF52840",
        flash: region(0, MIB),
        ram: &RAM_256K,
        memory: read("probe-rs target description nRF52_Series, nRF52840_xxAA"),
        clock: remembered("nRF52840 Product Specification v1.7, CPU"),
        fetch_source: remembered("nRF52840 Product Specification v1.7, CPU, W_FLASH; NVMC, cache"),
        power: Some((
            Power {
                ua_per_mhz: 52.0,
                millivolts: 3_000,
            },
            remembered("nRF52840 Product Specification v1.7, CoreMark from flash, DC/DC, 3 V"),
        )),
        ..NRF52832
    },
    Chip {
        name: "nrf5340",
        description: "Nordic nRF5340, application core",
        core: &CORTEX_M33,
        flash: region(0, MIB),
        ram: &RAM_512K,
        memory: read("probe-rs target description nRF53_Series, nRF5340_xxAA"),
        clock_hz: 128_000_000,
        clock: remembered("nRF5340 Product Specification v1.5, application core"),
        fetch: Fetch {
            wait_cycles: 5.0,
            line_bytes: 16,
            help: Help::Cache(8 * KIB),
        },
        fetch_source: remembered("nRF5340 Product Specification v1.5, cache; the wait is a guess"),
        power: None,
        board: None,
    },
];
