//! `mote boards`: what is here, what is missing and how to install it.

use super::failure::Failure;
use super::print::{self, Held, bytes, heading, table};
use mote_cuda::driver::missing;
use mote_firmware_sim::{Availability, Board, boards};
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
pub fn run(args: &Args) -> Result<Held, Failure> {
    let found: Vec<(&Board, Availability)> = boards().iter().map(|board| (board, board.available())).collect();
    if args.json {
        print::json(&json!({ "boards": found.iter().map(object).collect::<Vec<_>>(), "cuda": cuda_object() }))?;
    } else {
        print::text(&(text(&found) + &cuda_text()))?;
    }
    Ok(Held::Yes)
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
