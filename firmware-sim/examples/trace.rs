//! The cycles of any program for a simulated board, by the timing model of its core or of another that runs the same code.
//!
//! ```text
//! cargo run --release -p mote-firmware-sim --example trace -- mps2-an505 program.elf
//! ```

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use mote_firmware_sim::cycles::Kind;
use mote_firmware_sim::{Board, Limits, cores, trace_elf};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, elf] = arguments.as_slice() else {
        return Err("give a board and a program: trace mps2-an505 program.elf".into());
    };
    let board = Board::named(name).ok_or("there is no such board: see `mote boards`")?;
    let limits = Limits {
        time: Duration::from_secs(3600),
        bytes: 1 << 20,
    };
    for core in cores()
        .iter()
        .filter(|core| core.runs_code_of(board.core) || core.name == board.core.name)
    {
        let Some(kind) = Kind::of(core) else { continue };
        let (end, _, traced) = trace_elf(board, Path::new(elf), limits, kind)?;
        let traced = traced.ok_or("QEMU's log is not whole")?;
        let [least, most] = traced.cycles;
        println!(
            "{}: {} instructions, {least:.0} to {most:.0} cycles, {end:?}",
            core.name, traced.instructions
        );
    }
    Ok(())
}
