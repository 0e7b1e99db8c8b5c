//! STMicroelectronics.

use super::{Chip, Fetch, Help, KIB, MIB, NO_WAIT, Power, Ram, ram, read, region, remembered};
use crate::boards::{CORTEX_M3, CORTEX_M4F, CORTEX_M7F, CORTEX_M33};

const FLASH: u32 = 0x0800_0000;
const SRAM: u32 = 0x2000_0000;

static RAM_F100: [Ram; 1] = [ram("SRAM", SRAM, 8 * KIB)];
static RAM_F405: [Ram; 2] = [
    ram("SRAM1 and SRAM2", SRAM, 128 * KIB),
    ram("CCM", 0x1000_0000, 64 * KIB),
];
static RAM_F411: [Ram; 1] = [ram("SRAM", SRAM, 128 * KIB)];
static RAM_F746: [Ram; 2] = [ram("SRAM", SRAM + 0x1_0000, 256 * KIB), ram("DTCM", SRAM, 64 * KIB)];
static RAM_F767: [Ram; 2] = [ram("SRAM", SRAM + 0x2_0000, 384 * KIB), ram("DTCM", SRAM, 128 * KIB)];
static RAM_H743: [Ram; 4] = [
    ram("AXI SRAM", 0x2400_0000, 512 * KIB),
    ram("DTCM", SRAM, 128 * KIB),
    ram("SRAM1 to SRAM3", 0x3000_0000, 288 * KIB),
    ram("SRAM4", 0x3800_0000, 64 * KIB),
];
static RAM_U575: [Ram; 1] = [ram("SRAM1 to SRAM3", SRAM, 768 * KIB)];
static RAM_L476: [Ram; 2] = [ram("SRAM1", SRAM, 96 * KIB), ram("SRAM2", 0x1000_0000, 32 * KIB)];
static RAM_L4R5: [Ram; 1] = [ram("SRAM1 to SRAM3", SRAM, 640 * KIB)];

/// Cycles to wait, bytes of a line, bytes of cache.
const fn cached(wait_cycles: f64, line_bytes: u32, bytes: u32) -> Fetch {
    Fetch {
        wait_cycles,
        line_bytes,
        help: Help::Cache(bytes),
    }
}

const fn draws(ua_per_mhz: f64) -> Power {
    Power {
        ua_per_mhz,
        millivolts: 3_300,
    }
}

const F405: Chip = Chip {
    name: "stm32f405rg",
    description: "ST STM32F405RG",
    core: &CORTEX_M4F,
    flash: region(FLASH, MIB),
    ram: &RAM_F405,
    memory: read("probe-rs target description STM32F4_Series, STM32F405RG"),
    clock_hz: 168_000_000,
    clock: read("STM32F405xx datasheet DocID022152, table 14"),
    fetch: cached(5.0, 16, KIB),
    fetch_source: remembered("RM0090, table 10: 5 wait states at 168 MHz; 64 lines of 128 bits"),
    power: None,
    board: Some("netduinoplus2"),
};

pub(super) static CHIPS: [Chip; 9] = [
    Chip {
        name: "stm32f100rb",
        description: "ST STM32F100RB",
        core: &CORTEX_M3,
        flash: region(FLASH, 128 * KIB),
        ram: &RAM_F100,
        memory: read("probe-rs target description STM32F1_Series, STM32F100RB"),
        clock_hz: 24_000_000,
        clock: remembered("STM32F100 datasheet, operating conditions"),
        fetch: NO_WAIT,
        fetch_source: read("STM32F10xxx FLASH_ACR, LATENCY: no wait state up to 24 MHz (as quoted)"),
        power: None,
        board: Some("stm32vldiscovery"),
    },
    F405,
    Chip {
        name: "stm32f411ce",
        description: "ST STM32F411CE",
        flash: region(FLASH, 512 * KIB),
        ram: &RAM_F411,
        memory: read("probe-rs target description STM32F4_Series, STM32F411CE"),
        clock_hz: 100_000_000,
        clock: remembered("STM32F411 datasheet, operating conditions"),
        fetch: cached(3.0, 16, KIB),
        fetch_source: remembered("RM0383: 3 wait states at 100 MHz; 64 lines of 128 bits"),
        power: Some((
            draws(100.0),
            remembered("STM32F411 datasheet, features: 100 uA/MHz, peripherals off"),
        )),
        board: None,
        ..F405
    },
    Chip {
        name: "stm32f746ng",
        description: "ST STM32F746NG",
        core: &CORTEX_M7F,
        ram: &RAM_F746,
        memory: read("probe-rs target description STM32F7_Series, STM32F746NG"),
        clock_hz: 216_000_000,
        clock: remembered("STM32F746 datasheet, operating conditions"),
        fetch: cached(7.0, 32, 4 * KIB),
        fetch_source: remembered("RM0385: 7 wait states at 216 MHz, 256 bits; 4 KiB of each L1 cache"),
        board: None,
        ..F405
    },
    Chip {
        name: "stm32f767zi",
        description: "ST STM32F767ZI",
        core: &CORTEX_M7F,
        flash: region(FLASH, 2 * MIB),
        ram: &RAM_F767,
        memory: read("probe-rs target description STM32F7_Series, STM32F767ZI"),
        clock_hz: 216_000_000,
        clock: remembered("STM32F767 datasheet, operating conditions"),
        fetch: cached(7.0, 32, 16 * KIB),
        fetch_source: remembered("RM0410: 7 wait states at 216 MHz, 256 bits; 16 KiB of each L1 cache"),
        board: None,
        ..F405
    },
    Chip {
        name: "stm32h743zi",
        description: "ST STM32H743ZI",
        core: &CORTEX_M7F,
        flash: region(FLASH, 2 * MIB),
        ram: &RAM_H743,
        memory: read("probe-rs target description STM32H7_Series, STM32H743ZI"),
        clock_hz: 480_000_000,
        clock: remembered("STM32H743 datasheet, operating conditions, VOS0, revision V"),
        fetch: cached(10.0, 32, 16 * KIB),
        fetch_source: remembered("RM0433: 4 wait states of the 240 MHz bus; 16 KiB of each L1 cache"),
        power: None,
        board: None,
    },
    Chip {
        name: "stm32u575zi",
        description: "ST STM32U575ZI",
        core: &CORTEX_M33,
        flash: region(FLASH, 2 * MIB),
        ram: &RAM_U575,
        memory: read("probe-rs target description STM32U5_Series, STM32U575ZI"),
        clock_hz: 160_000_000,
        clock: remembered("STM32U575 datasheet, operating conditions"),
        fetch: cached(4.0, 16, 8 * KIB),
        fetch_source: remembered("RM0456: 4 wait states at 160 MHz, 128 bits; ICACHE of 8 KiB"),
        power: Some((
            draws(19.5),
            remembered("STM32U575 datasheet, features: 19.5 uA/MHz at 3.3 V, with SMPS"),
        )),
        board: None,
    },
    Chip {
        name: "stm32l476rg",
        description: "ST STM32L476RG",
        ram: &RAM_L476,
        memory: read("probe-rs target description STM32L4_Series, STM32L476RG"),
        clock_hz: 80_000_000,
        clock: remembered("STM32L476 datasheet, operating conditions"),
        fetch: cached(4.0, 8, KIB),
        fetch_source: remembered("RM0351: 4 wait states at 80 MHz, 64 bits; ART of 1 KiB"),
        power: Some((
            draws(100.0),
            remembered("STM32L476 datasheet, features: 100 uA/MHz, run mode, LDO"),
        )),
        board: None,
        ..F405
    },
    Chip {
        name: "stm32l4r5zi",
        description: "ST STM32L4R5ZI",
        flash: region(FLASH, 2 * MIB),
        ram: &RAM_L4R5,
        memory: read("probe-rs target description STM32L4_Series, STM32L4R5ZI"),
        clock_hz: 120_000_000,
        clock: remembered("STM32L4R5 datasheet, operating conditions"),
        fetch: cached(5.0, 16, KIB),
        fetch_source: remembered("RM0432: 5 wait states at 120 MHz; ART of 1 KiB"),
        power: Some((
            draws(110.0),
            remembered("STM32L4R5 datasheet, features: 110 uA/MHz, run mode, LDO"),
        )),
        board: None,
        ..F405
    },
];
