//! The board of a project: memories, flags of compilers, what runs it, how its flash is written.

use super::Kind;
use crate::Error;
use crate::target::{Area, Target};
use mote_firmware_sim::boards::Emulator;
use mote_firmware_sim::{Board, Core, Region};

/// How flash is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// As memory: the simulator's boards.
    Memory,
    /// By the controller of an nRF51 or nRF52.
    Nvmc,
    /// Nobody has written one.
    None,
}

/// At most what is written before a saved run, and behind it to a whole word of flash.
const SAVED_HEAD_BYTES: u32 = 64;

/// Embassy's hardware layers that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embassy {
    /// embassy-nrf, with the feature of the chip.
    Nrf(&'static str),
    /// embassy-rp, with the feature of the chip.
    Rp(&'static str),
}

/// The board of a project.
#[derive(Debug)]
pub struct Place {
    pub name: String,
    pub description: String,
    /// The chip that it has, or its own name.
    pub chip: String,
    pub core: &'static Core,
    pub flash: Region,
    /// The one that stack, statics and arena share.
    pub ram: Region,
    /// What simulates it.
    pub board: Option<&'static Board>,
    pub driver: Driver,
    /// Bytes that are erased at once.
    pub page_bytes: u32,
    /// What the C compiler is told of the core.
    pub c_flags: &'static str,
    /// Whether it starts from a vector table, or the first instruction, at the beginning of flash.
    pub starts_alone: bool,
    pub embassy: Option<Embassy>,
    /// Places for a saved run.
    pub slots: u32,
}

impl Place {
    /// # Errors
    /// Of kind `Refused` where the kind has no such board, of kind `Usage` where it is not known where its memories lie.
    pub fn of(target: &Target, kind: Kind) -> Result<Self, Error> {
        let known = target.chip.map_or(target.name.as_str(), |chip| chip.name);
        // Who names a chip has the chip, whatever simulates it.
        let board = target.board.filter(|board| board.name == target.name);
        let (driver, page_bytes) = flash(board.map_or(known, |board| board.name));
        let c_flags = c_flags(target.core.name).ok_or_else(|| {
            Error::refused(format_args!(
                "nothing is known of a C compiler's flags for {}",
                target.core.name
            ))
            .help("choose another board")
        })?;
        let heads = ["rp2", "pico", "esp32", "imxrt", "teensy"];
        let place = Self {
            name: target.name.clone(),
            description: target.description.clone(),
            chip: known.to_owned(),
            core: target.core,
            flash: region(&target.name, "flash", Some(&target.flash))?,
            ram: region(&target.name, "ram", target.ram.first())?,
            board,
            driver,
            page_bytes,
            c_flags,
            starts_alone: !heads.iter().any(|head| known.starts_with(head)),
            embassy: embassy(known),
            // mote-store's two; the other kinds have one.
            slots: if kind == Kind::Embassy { 2 } else { 1 },
        };
        kind.allows(&place)?;
        Ok(place)
    }

    pub fn is_riscv(&self) -> bool {
        self.core.target.starts_with("riscv")
    }

    /// Rust's name of the core for code that passes no numbers in floating-point registers.
    pub fn soft_target(&self) -> String {
        self.core.target.replace("eabihf", "eabi")
    }

    /// Bytes of flash for a saved run of so many, with what is written before it.
    pub fn region_bytes(&self, snapshot: usize) -> u32 {
        let slot = (snapshot as u32 + SAVED_HEAD_BYTES).next_multiple_of(self.page_bytes);
        slot * self.slots
    }

    /// What is before the saved run, and the end of flash, where it lies.
    pub fn regions(&self, snapshot: usize) -> (Region, Region) {
        let length = self.region_bytes(snapshot).min(self.flash.length);
        let code = self.flash.length - length;
        let saved = Region {
            origin: self.flash.origin + code,
            length,
        };
        (
            Region {
                length: code,
                ..self.flash
            },
            saved,
        )
    }

    /// The command that runs an image, whose path comes last.
    pub fn runner(&self) -> String {
        let Some(board) = self.board else {
            return format!("probe-rs run --chip {}", probe(&self.chip));
        };
        let firmware = if board.emulator == Emulator::Riscv32 {
            " -bios none"
        } else {
            ""
        };
        format!(
            "{} -machine {}{firmware} -icount shift=0 -display none -monitor none -serial null -semihosting-config enable=on,target=native -kernel",
            board.emulator.program(),
            board.machine,
        )
    }
}

/// Where a memory lies.
fn region(board: &str, field: &str, area: Option<&Area>) -> Result<Region, Error> {
    let origin = area.and_then(|area| area.origin).ok_or_else(|| {
        Error::usage(format_args!("it is not known where {field} of {board} lies")).help(format_args!(
            "describe the board in a file, with {field}_start: docs/new.md"
        ))
    })?;
    let length = area.map_or(0, |area| area.bytes);
    // A linker counts addresses of 32 bits.
    let length = u32::try_from(length).unwrap_or(u32::MAX).min(u32::MAX - origin);
    Ok(Region { origin, length })
}

fn embassy(name: &str) -> Option<Embassy> {
    Some(match name {
        "nrf52832" => Embassy::Nrf("nrf52832"),
        "nrf52833" | "microbit-v2" => Embassy::Nrf("nrf52833"),
        "nrf52840" => Embassy::Nrf("nrf52840"),
        "rp2040" | "pico" => Embassy::Rp("rp2040"),
        "rp2350" | "pico2" => Embassy::Rp("rp235xa"),
        _ => return None,
    })
}

/// probe-rs' name of a chip; `probe-rs chip list` has them all.
fn probe(name: &str) -> &str {
    match name {
        "nrf51822" => "nRF51822_xxAA",
        "nrf52832" => "nRF52832_xxAA",
        "nrf52833" | "microbit-v2" => "nRF52833_xxAA",
        "nrf52840" => "nRF52840_xxAA",
        "nrf5340" => "nRF5340_xxAA",
        "rp2040" | "pico" => "RP2040",
        "rp2350" | "pico2" => "RP235x",
        other => other,
    }
}

/// Zephyr's name of a board; another's is what `west boards` says.
pub fn zephyr(name: &str) -> &str {
    match name {
        "microbit" => "bbc_microbit",
        "microbit-v2" => "bbc_microbit_v2",
        "lm3s6965evb" => "qemu_cortex_m3",
        "mps2-an385" => "mps2/an385",
        "virt" => "qemu_riscv32",
        "nrf52832" => "nrf52dk/nrf52832",
        "nrf52833" => "nrf52833dk/nrf52833",
        "nrf52840" => "nrf52840dk/nrf52840",
        "nrf5340" => "nrf5340dk/nrf5340/cpuapp",
        "rp2040" | "pico" => "rpi_pico",
        "rp2350" | "pico2" => "rpi_pico2/rp2350a/m33",
        _ => "YOUR_BOARD",
    }
}

/// How the flash is written, and bytes that are erased at once.
fn flash(name: &str) -> (Driver, u32) {
    match name {
        "microbit" | "nrf51822" => (Driver::Nvmc, 1024),
        "microbit-v2" => (Driver::Nvmc, 4096),
        name if name.starts_with("nrf52") => (Driver::Nvmc, 4096),
        // QEMU gives these boards memory there.
        name if name.starts_with("mps") || name == "virt" => (Driver::Memory, 4096),
        "stm32vldiscovery" | "lm3s6965evb" => (Driver::None, 1024),
        name if name.starts_with("stm32f7") => (Driver::None, 256 * 1024),
        name if name == "netduinoplus2" || name.starts_with("stm32f4") || name.starts_with("stm32h7") => {
            (Driver::None, 128 * 1024)
        }
        name if name.starts_with("stm32u5") => (Driver::None, 8192),
        _ => (Driver::None, 4096),
    }
}

/// Clang's flags of a core.
fn c_flags(core: &str) -> Option<&'static str> {
    Some(match core {
        "Cortex-M0" | "Cortex-M0+" => "--target=arm-none-eabi -mthumb -mcpu=cortex-m0",
        "Cortex-M3" => "--target=arm-none-eabi -mthumb -mcpu=cortex-m3",
        "Cortex-M4F" => "--target=arm-none-eabi -mthumb -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16",
        "Cortex-M7F" => "--target=arm-none-eabi -mthumb -mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-sp-d16",
        "Cortex-M33" => "--target=arm-none-eabi -mthumb -mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16",
        "Cortex-M55" => "--target=arm-none-eabi -mthumb -mcpu=cortex-m55 -mfloat-abi=hard",
        "RV32IMAC" => "--target=riscv32-none-elf -march=rv32imac -mabi=ilp32 -mcmodel=medany",
        "RV32IMC" => "--target=riscv32-none-elf -march=rv32imc -mabi=ilp32 -mcmodel=medany",
        "RV32IMAFC" => "--target=riscv32-none-elf -march=rv32imafc -mabi=ilp32f -mcmodel=medany",
        _ => return None,
    })
}
