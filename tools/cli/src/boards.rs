//! `mote boards`: what is here, what is missing and how to install it.

use super::failure::Failure;
use super::print::{self, Verdict, bytes, heading, table};
use mote_cuda::driver::missing;
use mote_firmware_sim::{Availability, Board, Chip, boards, chips};
use serde_json::{Value, json};

/// List the simulated boards and the GPU, and what is missing to run them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mote boards\n  mote boards --json")]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    let found: Vec<(&Board, Availability)> = boards().iter().map(|board| (board, board.available())).collect();
    if args.json {
        print::json(
            &json!({ "boards": found.iter().map(object).collect::<Vec<_>>(), "chips": chips().map(chip_object).collect::<Vec<_>>(), "cuda": cuda_object() }),
        )?;
    } else {
        print::text(&(text(&found) + &chips_text() + &cuda_text()))?;
    }
    Ok(Verdict::Yes)
}

fn cuda_object() -> Value {
    let missing = missing();
    let (what, how) = missing.map_or((vec![], vec![]), |(what, how)| (vec![what], vec![how]));
    json!({ "available": what.is_empty(), "missing": what, "install": how })
}

fn cuda_text() -> String {
    let here = match missing() {
        None => "one is here: use it as cuda, as in `mote validate M.mote --backends cpu,cuda`".to_owned(),
        Some((what, how)) => format!("missing {what}: {how}"),
    };
    format!("\n{}\n  {here}\n", heading("Graphics processors (CUDA)"))
}

fn object((board, availability): &(&Board, Availability)) -> Value {
    let (missing, install) = match availability {
        Availability::Ok => (vec![], vec![]),
        Availability::Missing { what, how } => (what.clone(), how.clone()),
    };
    json!({
        "name": board.name, "description": board.description, "core": board.core.name, "target": board.core.target,
        "flash_bytes": board.flash.length, "ram_bytes": board.ram.length, "fpu": board.core.fpu, "dsp": board.core.dsp,
        "available": availability.is_ok(), "missing": missing, "install": install,
    })
}

fn text(found: &[(&Board, Availability)]) -> String {
    let head = ["board", "core", "flash", "RAM", "here", "what it is"]
        .map(str::to_owned)
        .to_vec();
    let cells = |(board, availability): &(&Board, Availability)| {
        let here = if availability.is_ok() { "yes" } else { "no" };
        let sizes = [board.flash.length, board.ram.length].map(|length| bytes(length.into()));
        let [flash, ram] = sizes;
        vec![
            board.name.into(),
            board.core.name.into(),
            flash,
            ram,
            here.into(),
            board.description.into(),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(found.iter().map(cells)).collect();
    let mut text = format!("{}\n{}", heading("Simulated boards"), table(&rows));
    let missing = installs(found);
    if missing.is_empty() {
        text += "\n  Everything is here: use them as board:NAME, as in `mote validate M.mote --backends cpu,board:netduinoplus2`;\n  board:NAME/compact is its smaller and slower firmware.\n";
    } else {
        text += &format!("\n{}\n", heading("Missing"));
        missing.iter().for_each(|line| text += &format!("  {line}\n"));
    }
    text
}

/// Chips that models are fitted to and estimated for.
fn chips_text() -> String {
    let head = ["chip", "core", "flash", "RAM", "clock", "what it is"]
        .map(str::to_owned)
        .to_vec();
    let cells = |chip: &Chip| {
        vec![
            chip.name.into(),
            chip.core.name.into(),
            bytes(chip.flash.length.into()),
            bytes(chip.ram.first().map_or(0, |ram| ram.region.length).into()),
            format!("{} MHz", chip.clock_hz / 1_000_000),
            chip.description.into(),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(chips().map(cells)).collect();
    format!(
        "\n{}\n{}\n  Models are fitted to these and estimated for them, not run: `mote inspect M.mote --board nrf52840`. `mote boards --json` names the\n  source of each figure. A file or --flash, --ram and --core describe another board.\n",
        heading("Chips"),
        table(&rows)
    )
}

fn chip_object(chip: &Chip) -> Value {
    let areas: Vec<Value> = chip
        .ram
        .iter()
        .map(|ram| json!({ "name": ram.name, "origin": ram.region.origin, "bytes": ram.region.length }))
        .collect();
    json!({
        "name": chip.name, "description": chip.description, "core": chip.core.name, "target": chip.core.target,
        "flash_origin": chip.flash.origin, "flash_bytes": chip.flash.length, "ram": areas, "clock_hz": chip.clock_hz,
        "wait_cycles": chip.fetch.wait_cycles, "line_bytes": chip.fetch.line_bytes,
        "ua_per_mhz": chip.power.map(|(power, _)| power.ua_per_mhz),
        "millivolts": chip.power.map(|(power, _)| power.millivolts),
        "simulated_board": chip.board,
        "sources": {
            "memory": chip.memory.to_string(), "clock": chip.clock.to_string(), "wait": chip.fetch_source.to_string(),
            "current": chip.power.map(|(_, source)| source.to_string()),
        },
    })
}

/// What is missing, and how to install it, each once.
pub fn installs(found: &[(&Board, Availability)]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (_, availability) in found {
        if let Availability::Missing { what, how } = availability {
            for (what, how) in what.iter().zip(how) {
                let line = format!("{what}: {how}");
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
    }
    lines
}
