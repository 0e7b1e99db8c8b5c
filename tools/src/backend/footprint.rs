//! What a model takes of a board, estimated without building firmware, so that `convert` and `inspect` say the same on every
//! machine. `mote bench` measures what is estimated here.

use mote_firmware_sim::{Board, Parts, boards};
use mote_runtime::blob::header::Arithmetic;
use mote_runtime::sampler::arena_bytes;
use mote_runtime::{Config, Feature, Model};
use serde::Serialize;

/// What the firmware itself takes on one kind of core, and how many instructions it spends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Firmware {
    /// Rust's name for the core.
    pub target: &'static str,
    /// The core, where the target leaves some of its instructions out.
    pub cpu: Option<&'static str>,
    /// Optimization level that the board is built at.
    pub opt_level: &'static str,
    /// Flash for code and constants with every part of the runtime, bytes, rounded up: an upper bound for any model.
    pub code_bytes: u64,
    /// The same with integer arithmetic and int16 weights alone.
    pub plain_bytes: u64,
    /// Instructions a multiply-accumulate, everything included, of integer models.
    pub integer_per_mac: f64,
    /// The same of f16 models.
    pub f16_per_mac: f64,
}

/// Measured with `MOTE_FIRMWARE_PARTS=all mote bench M.mote --steps 1 --backends board:NAME` on fashion16-tiny as w8a16 and as f16; counts are of
/// instructions, not cycles. The plain size is that of digits8-micro as w8a16, without the variable. A code's size has 4 % added, so that a model said to fit still does after a small change.
/// Its f16 does not fit mps3-an547: the count is that of the Cortex-M33, in the proportion of digits8-micro (19.97 to 20.08).
pub const FIRMWARE: [Firmware; 6] = [
    firmware("thumbv6m-none-eabi", None, [47_500, 81_100], [6.5, 380.0]),
    firmware("thumbv7m-none-eabi", None, [50_800, 81_800], [3.1, 209.0]),
    firmware("thumbv7em-none-eabihf", None, [59_100, 88_400], [1.6, 16.4]),
    firmware(
        "thumbv8m.main-none-eabihf",
        Some("cortex-m33"),
        [60_500, 90_500],
        [1.6, 17.5],
    ),
    firmware(
        "thumbv8m.main-none-eabihf",
        Some("cortex-m55"),
        [58_500, 88_500],
        [1.0, 17.4],
    ),
    firmware("riscv32imac-unknown-none-elf", None, [58_000, 96_500], [5.3, 195.0]),
];

impl Firmware {
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
}

/// RAM for statics, bytes; 12 to 16 were measured.
const STATICS_BYTES: u64 = 64;

const fn firmware(
    target: &'static str,
    cpu: Option<&'static str>,
    [plain_bytes, code_bytes]: [u64; 2],
    [integer_per_mac, f16_per_mac]: [f64; 2],
) -> Firmware {
    Firmware {
        target,
        cpu,
        opt_level: "s",
        code_bytes,
        plain_bytes,
        integer_per_mac,
        f16_per_mac,
    }
}

/// RAM beside arena and state: statics, and the least stack with which the firmware is linked. `norm_conv`: whether the model has
/// normalizations inside convolutions.
pub fn ram_beside_arena(board: &Board, norm_conv: bool) -> u64 {
    STATICS_BYTES + u64::from(board.least_stack_bytes(norm_conv))
}

/// The firmware of `board`.
pub fn firmware_of(board: &Board) -> &'static Firmware {
    let target = || FIRMWARE.iter().filter(|firmware| firmware.target == board.target);
    let exact = target().find(|firmware| (firmware.cpu, firmware.opt_level) == (board.cpu, board.opt_level));
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
    /// Of a model file of `bytes` bytes, sampled by DDIM or as it plans.
    pub fn of(board: &'static Board, model: &Model<'_>, bytes: usize, guided: bool) -> Self {
        let config = Config {
            guidance_q16: guided.then_some(0),
            ..Config::of(model.header(), 1)
        };
        Self::of_run(board, model, bytes, &config)
    }

    /// Of a model file of `bytes` bytes, sampled under `config`.
    pub fn of_run(board: &'static Board, model: &Model<'_>, bytes: usize, config: &Config) -> Self {
        let firmware = firmware_of(board);
        let per_mac = match model.header().arithmetic {
            Arithmetic::Integer => firmware.integer_per_mac,
            Arithmetic::F16 => firmware.f16_per_mac,
        };
        let calls = f64::from(config.method.calls()) * if config.guidance_q16.is_some() { 2.0 } else { 1.0 };
        let parts = Parts::needed_by(model).with(config.method.feature());
        let flash = bytes as u64 + firmware.code_for(&parts);
        let ram = arena_bytes(model, config) as u64 + ram_beside_arena(board, Feature::NormConv.needed_by(model));
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
                (firmware.target, firmware.cpu, firmware.opt_level),
                (board.target, board.cpu, board.opt_level),
                "{}",
                board.name
            );
        }
    }
}
