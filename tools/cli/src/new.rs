//! `mote new`: a firmware project around a model.

use super::failure::Failure;
use super::hints;
use super::print::{self, Verdict, heading, table};
use super::target::DescribedArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use mote_tools::project::{Kind, NewProject, Written};
use mote_tools::target::Profile;
use serde_json::json;
use std::path::PathBuf;

/// Write a firmware project around a model: complete, small, and built by its world's own command
///
/// The project draws an image. It has the features of the runtime that the model needs, the board's memory map, the model in flash, an
/// arena of the exact size, a bound for the stack, a place in flash for a saved run, a hook for the watchdog, cycles by the core's
/// counter, and a log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote new my-app --model my.mote --board microbit
  mote new my-app --model my.mote --board nrf52840 --kind embassy
  mote new my-app --model my.mote --board mps2-an386 --kind c")]
pub struct Args {
    /// The folder to write; its last part is the project's name
    folder: PathBuf,
    /// The model file, which is copied into the project
    #[arg(long, value_name = "M.mote")]
    model: PathBuf,
    /// The board: a simulated one, a chip, or a file that describes yours
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = hints::board(), hide_possible_values = true)]
    board: String,
    #[command(flatten)]
    described: DescribedArgs,
    /// The world that it is of
    #[arg(long, value_parser = kind(), default_value = "rust")]
    kind: Kind,
    /// Denoising steps of a run [default: 20, all of a chain, or what the file plans]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<u32>,
    /// A checkout of Mote, whose packages the project uses [default: the one that this command was built from]
    #[arg(long, value_name = "FOLDER")]
    mote: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Kinds by their names.
fn kind() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name)).try_map(|name| {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or("unknown kind")
    })
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    let board = args.described.target(Some(&args.board))?;
    let board = board.ok_or_else(|| Failure::usage("no board"))?;
    if board.profile != Profile::Size {
        return Err(Failure::usage("--profile: a project is compiled for size")
            .help("leave --profile out; its Cargo.toml has the profile, to be changed there"));
    }
    let project = NewProject {
        folder: args.folder.clone(),
        kind: args.kind,
        model: args.model.clone(),
        board,
        steps: args.steps,
        mote: args.mote.clone(),
    };
    let written = project.write()?;
    if args.json {
        print::json(&json!({
            "folder": args.folder.display().to_string(), "name": written.name, "kind": args.kind.name(), "board": args.board,
            "files": written.files, "commands": written.commands, "unchecked": written.unchecked,
        }))?;
    } else {
        print::text(&text(args, &written))?;
    }
    Ok(Verdict::Yes)
}

fn text(args: &Args, written: &Written) -> String {
    let row = |label: &str, value: String| vec![label.to_owned(), value];
    let mut rows = vec![row("files", written.files.join(", "))];
    rows.extend(
        written
            .unchecked
            .map(|unchecked| row("unchecked", unchecked.to_owned())),
    );
    let folder = args.folder.display().to_string();
    let mut text = format!("{}\n{}\n  build and run it:\n", heading(&folder), table(&rows));
    let inside = format!("cd {folder}");
    for line in std::iter::once(&inside).chain(&written.commands) {
        text += &format!("    {line}\n");
    }
    text
}
