//! What a model takes of a board, estimated without building firmware, so that `convert` and `inspect` say the same on every
//! machine. `mote bench` measures what is estimated here.

use mote_firmware_sim::{Board, boards};
use mote_runtime::Model;
use mote_runtime::blob::header::Arithmetic;
use mote_runtime::sampler::arena_bytes;
use serde::Serialize;

/// What the firmware itself takes on one kind of core, and how many instructions it spends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Firmware {
    /// Rust's name for the core.
    pub target: &'static str,
    /// Optimization level that the board is built at.
    pub opt_level: &'static str,
    /// Flash for code and constants with every part of the runtime, bytes, rounded up: an upper bound for any model.
    pub code_bytes: u64,
    /// Instructions a multiply-accumulate, everything included, of integer models.
    pub integer_per_mac: f64,
    /// The same of f16 models.
    pub f16_per_mac: f64,
}

/// Measured with `MOTE_FIRMWARE_PARTS=all mote bench M.mote --steps 1 --backends board:NAME` on fashion16-tiny as w8a16 and as f16; counts are of
/// instructions, not cycles. The code's size has 4 % added, so that a model said to fit still does after a small change. For `s`
/// it is what the linker says of a model that does not fit, and the counts are those of `3` with 3.5 % added, as measured on
/// digits8-micro.
pub const FIRMWARE: [Firmware; 6] = [
    firmware("thumbv6m-none-eabi", "3", 108_000, [11.8, 370.0]),
    firmware("thumbv7m-none-eabi", "3", 105_000, [5.6, 204.0]),
    firmware("thumbv7m-none-eabi", "s", 66_000, [5.8, 211.0]),
    firmware("thumbv7em-none-eabihf", "3", 103_000, [5.8, 16.4]),
    firmware("thumbv8m.main-none-eabihf", "3", 104_000, [5.9, 16.4]),
    firmware("riscv32imac-unknown-none-elf", "3", 119_000, [7.1, 188.0]),
];

/// RAM for statics, bytes; 12 to 16 were measured.
const STATICS_BYTES: u64 = 64;

const fn firmware(target: &'static str, opt_level: &'static str, code_bytes: u64, per_mac: [f64; 2]) -> Firmware {
    let [integer_per_mac, f16_per_mac] = per_mac;
    Firmware {
        target,
        opt_level,
        code_bytes,
        integer_per_mac,
        f16_per_mac,
    }
}

/// RAM beside arena and state: statics, and the least stack with which the firmware is linked.
pub fn ram_beside_arena(board: &Board) -> u64 {
    STATICS_BYTES + u64::from(board.least_stack_bytes())
}

/// The firmware of `board`.
pub fn firmware_of(board: &Board) -> &'static Firmware {
    let target = || FIRMWARE.iter().filter(|firmware| firmware.target == board.target);
    let exact = target().find(|firmware| firmware.opt_level == board.opt_level);
    exact.or_else(|| target().next()).unwrap_or(&FIRMWARE[0])
}

/// Whether a model fits a board. A key of `inspect --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fit {
    /// The board.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Its core.
    pub core: &'static str,
    /// Whether model and firmware fit.
    pub fits: bool,
    /// Flash needed: model and firmware.
    pub flash_bytes: u64,
    /// Flash there.
    pub flash_total_bytes: u64,
    /// RAM needed: arena, state, statics and stack.
    pub ram_bytes: u64,
    /// RAM there.
    pub ram_total_bytes: u64,
    /// Instructions (not cycles) of one step, estimated.
    pub instructions_per_step: u64,
    /// What is short; empty where it fits.
    pub why: String,
}

impl Fit {
    /// Of a model file of `bytes` bytes.
    pub fn of(board: &'static Board, model: &Model<'_>, bytes: usize, guided: bool) -> Self {
        let firmware = firmware_of(board);
        let per_mac = match model.header().arithmetic {
            Arithmetic::Integer => firmware.integer_per_mac,
            Arithmetic::F16 => firmware.f16_per_mac,
        };
        let calls = if guided { 2.0 } else { 1.0 };
        let flash = bytes as u64 + firmware.code_bytes;
        let ram = arena_bytes(model, guided) as u64 + ram_beside_arena(board);
        let (flash_total, ram_total) = (u64::from(board.flash.length), u64::from(board.ram.length));
        let short = |what: &str, needed: u64, has: u64| {
            (needed > has).then(|| format!("needs {needed} bytes of {what}, has {has}"))
        };
        let why: Vec<String> = [short("flash", flash, flash_total), short("RAM", ram, ram_total)]
            .into_iter()
            .flatten()
            .collect();
        Self {
            name: board.name,
            description: board.description,
            core: board.core,
            fits: why.is_empty(),
            flash_bytes: flash,
            flash_total_bytes: flash_total,
            ram_bytes: ram,
            ram_total_bytes: ram_total,
            instructions_per_step: (model.header().macs as f64 * per_mac * calls) as u64,
            why: why.join("; "),
        }
    }

    /// Of every board.
    pub fn of_all(model: &Model<'_>, bytes: usize, guided: bool) -> Vec<Self> {
        boards()
            .iter()
            .map(|board| Self::of(board, model, bytes, guided))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_has_a_measured_firmware() {
        for board in boards() {
            let firmware = firmware_of(board);
            assert_eq!(
                (firmware.target, firmware.opt_level),
                (board.target, board.opt_level),
                "{}",
                board.name
            );
        }
    }
}
