//! Runs Mote's real firmware on simulated boards.
//!
//! 1. [`mod@boards`]: what can be simulated, with true memory sizes; [`Board::available`] says what is missing here.
//!    [`mod@chips`]: chips that are built with and cannot be simulated, with the source of each figure.
//! 2. `toolchain` finds a compiler for the board's core; `core_build` compiles the firmware once for each core and each set of the
//!    runtime's [`Parts`], of which an image holds those that its model needs.
//! 3. `memory_x` writes the board's memory map; [`Image::link`] puts firmware, model and arena together, or says what does
//!    not fit.
//! 4. [`RunRequest`] becomes a semihosting command line, so that one image serves any seed.
//! 5. [`runtime_flash`] says what the runtime alone takes of flash, and which of its modules how much.
//! 6. [`CArchive`] compiles the runtime's archive for C, and [`run_elf`] runs what a C compiler made with it.
//! 7. `qemu` runs the image under a time limit; `frames` decodes what it logs; [`RunReport`] is what came out.
//! 8. [`cycles`]: timing models of cores; [`Image::trace`] counts the cycles of what ran.
//!
//! The firmware's source is the folder `firmware` beside this crate, or `MOTE_FIRMWARE_DIR`; it is compiled in `target` there,
//! or in `MOTE_FIRMWARE_TARGET_DIR`.
//!
//! Every other count here is of instructions, not of cycles: QEMU runs one instruction a virtual nanosecond, and a real core
//! takes one or more cycles for each.

mod availability;
pub mod boards;
mod c;
pub mod chips;
mod core_build;
pub mod cycles;
mod elf;
mod error;
mod frames;
mod image;
mod memory_x;
mod minimal;
mod parts;
mod project;
mod qemu;
mod report;
mod request;
mod run;
mod temporary;
mod toolchain;

pub use availability::Availability;
pub use boards::{Board, Core, Cycles, Footprint, Region, boards, cores};
pub use c::{CArchive, run_elf, rust_flash_bytes, trace_elf};
pub use chips::{Chip, Ram, chips};
pub use elf::Sizes;
pub use error::{Memory, SimError};
pub use frames::{Level, LogLine};
pub use image::{Image, ImageOptions, compile_ahead};
pub use minimal::{FlashPart, RuntimeFlash, runtime_flash};
pub use parts::{Firmware, Parts};
pub use project::build_project;
pub use qemu::{End, Limits};
pub use report::{ImageRecord, OpRecord, RunReport, StepRecord};
pub use request::{Drill, Observe, Output, RunRequest, StartFrom};
pub use temporary::remove_temporaries;
pub use toolchain::Toolchain;

/// Links `model` into the firmware of `board`, runs it, and gives back what it reported.
///
/// To run one model more than once, keep the [`Image`] instead: linking is then done once.
///
/// # Errors
/// Everything that [`Image::link`] and [`Image::run`] can say.
pub fn run(board: &'static Board, model: &[u8], request: &RunRequest) -> Result<RunReport, SimError> {
    let options = ImageOptions {
        config: Some(request.config),
        features: request.features(),
        ..ImageOptions::default()
    };
    Image::link(board, model, &options)?.run(request)
}
