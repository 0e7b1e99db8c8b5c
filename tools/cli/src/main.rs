//! The `mote` command: arguments and printing. What it does, the library `mote-tools` does.
//!
//! A file a command, and what they share:
//!
//! - [`failure`]: what went wrong, and what to do; [`mod@print`]: stdout, JSON or text; [`progress`]: bars and lines on stderr.
//! - [`args`]: options of a run.

mod args;
mod bench;
mod boards;
mod convert;
mod cost;
mod crosscheck;
mod decode;
mod demo;
mod diff;
mod doctor;
mod eval;
mod failure;
mod flash;
mod hints;
mod inspect;
mod kernels;
mod manual;
mod merge;
mod new;
mod next;
mod plan;
mod print;
mod progress;
mod sample;
mod split;
mod target;
mod train;
mod validate;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use print::Verdict;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Puts trained diffusion models on microcontrollers: one file, sampled without a heap, to the same bytes on every machine.
#[derive(Debug, Parser)]
#[command(name = "mote", version, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    /// Without a command: what can be done with what lies in this folder, or demo where nothing does.
    #[command(subcommand)]
    command: Option<Command>,
    /// Show no progress
    #[arg(short, long, global = true)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  mote                                            what can be done here; where nothing is here, the demo
  mote demo                                       show everything on the bundled checkpoint
  mote train --data images.npz -o my-checkpoint   train a network that fits a board
  mote convert my-checkpoint/ -o my.mote          convert a diffusers checkpoint
  mote sample my.mote -o grid.png --count 16      make images
  mote validate my.mote --against my-checkpoint/  same bits everywhere? and how close to float?

Exit status: 0 it held, 1 a check did not hold or the work failed, 2 bad usage.";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Train(train::Args),
    Convert(convert::Args),
    Plan(plan::Args),
    Split(split::Args),
    New(new::Args),
    Inspect(inspect::Args),
    Diff(diff::Args),
    Sample(sample::Args),
    Decode(decode::Args),
    Merge(merge::Args),
    Validate(validate::Args),
    Crosscheck(crosscheck::Args),
    Eval(eval::Args),
    Bench(bench::Args),
    Boards(boards::Args),
    Doctor(doctor::Args),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  mote completions bash > ~/.local/share/bash-completion/completions/mote")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write a manual page of every command into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// A signal that ends the command removes what is not whole yet. Simulators end with the command themselves.
fn clean_up_on_signals() {
    const INTERRUPTED: i32 = 130;
    // Without the handler the next command finds what is left.
    let _ = ctrlc::set_handler(|| {
        mote_tools::files::remove_temporaries();
        mote_firmware_sim::remove_temporaries();
        std::process::exit(INTERRUPTED);
    });
}

/// Runs the command that the arguments ask for.
fn main() -> ExitCode {
    clean_up_on_signals();
    let cli = Cli::try_parse().unwrap_or_else(|error| failure::of_arguments(&error));
    let quiet = cli.quiet;
    let command = match cli.command {
        Some(command) => command,
        None => match next::suggestions(Path::new(".")) {
            None => Command::Demo(demo::Args::default()),
            Some(text) => return next::run(&text),
        },
    };
    let json = match &command {
        Command::Demo(args) => args.json,
        Command::Train(args) => args.json,
        Command::Convert(args) => args.json,
        Command::Plan(args) => args.json,
        Command::Split(args) => args.json,
        Command::New(args) => args.json,
        Command::Inspect(args) => args.json,
        Command::Diff(args) => args.json,
        Command::Sample(args) => args.json,
        Command::Decode(args) => args.json,
        Command::Merge(args) => args.json,
        Command::Validate(args) => args.json,
        Command::Crosscheck(args) => args.json,
        Command::Eval(args) => args.json,
        Command::Bench(args) => args.json,
        Command::Boards(args) => args.json,
        Command::Doctor(args) => args.json,
        Command::Completions { .. } | Command::Man { .. } => false,
    };
    progress::start(name(), quiet);
    let done = run(&command);
    progress::end();
    match done {
        Ok(Verdict::Yes) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::from(1),
        Err(error) => failure::report(&error, json),
    }
}

fn run(command: &Command) -> Result<Verdict, Failure> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Train(args) => train::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Split(args) => split::run(args),
        Command::New(args) => new::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Sample(args) => sample::run(args),
        Command::Decode(args) => decode::run(args),
        Command::Merge(args) => merge::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Crosscheck(args) => crosscheck::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Boards(args) => boards::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Completions { shell } => completions(*shell),
        Command::Man { folder } => manual::write(&Cli::command(), folder),
    }
}

/// `mote` and the command's name.
fn name() -> String {
    let mut words = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned());
    let name = words.find(|word| !word.starts_with('-'));
    format!("mote {}", name.unwrap_or_else(|| "demo".to_owned()))
}

/// The command as it was given; what is not UTF-8 in it is replaced.
fn command_line() -> String {
    let words = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned());
    std::iter::once("mote".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

fn completions(shell: clap_complete::Shell) -> Result<Verdict, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mote", &mut script);
    print::text(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
