//! Texas Instruments.

use super::{Chip, KIB, NO_WAIT, Ram, ram, region, remembered};
use crate::boards::CORTEX_M3;

static RAM_LM3S: [Ram; 1] = [ram("SRAM", 0x2000_0000, 64 * KIB)];

pub(super) static CHIPS: [Chip; 1] = [Chip {
    name: "lm3s6965",
    description: "TI (Luminary) LM3S6965",
    core: &CORTEX_M3,
    flash: region(0, 256 * KIB),
    ram: &RAM_LM3S,
    memory: remembered("LM3S6965 datasheet, features"),
    clock_hz: 50_000_000,
    clock: remembered("LM3S6965 datasheet, features"),
    fetch: NO_WAIT,
    fetch_source: remembered("LM3S6965 datasheet: single-cycle flash up to 50 MHz"),
    power: None,
    board: Some("lm3s6965evb"),
}];
