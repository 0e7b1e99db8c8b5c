//! Converts a checkpoint for a board, and says what it takes of it.
//!
//!     cargo run --release -p mote-tools --example convert -- [CHECKPOINT] [OUT.mote]
//!
//! Without a checkpoint the bundled one is converted.

use mote_tools::{Checkpoint, Conversion, Error, Fit, Scheme, board_named};
use std::path::{Path, PathBuf};

fn main() -> Result<(), Error> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (checkpoint, output) = (args.next(), args.next());
    let fit = run(
        checkpoint.as_deref(),
        output.as_deref().unwrap_or(Path::new("example.mote")),
    )?;
    println!(
        "{}: {} of {} bytes of flash, {} of {} bytes of RAM",
        fit.name, fit.flash_bytes, fit.flash_total_bytes, fit.ram_bytes, fit.ram_total_bytes
    );
    Ok(())
}

/// Converts to int8 for a Cortex-M4 with 192 KiB of RAM, and writes the model file.
pub fn run(checkpoint: Option<&Path>, output: &Path) -> Result<Fit, Error> {
    let checkpoint = checkpoint.map_or_else(Checkpoint::bundled, Checkpoint::open)?;
    let board = board_named("netduinoplus2")?;
    let file = Conversion::new(Scheme::W8A8)
        .for_board(board)
        .convert(&checkpoint)?
        .file()?;
    file.write(output)?;
    Ok(file.fit(board))
}
