//! `mote eval`: what a trained model is worth on its data.

mod chain;

use super::failure::Failure;
use super::print::Held;
use mote_tools::chain::files::is_chain;
use std::path::PathBuf;

/// Measure a trained model
///
/// Of a diffusion chain (`mote train --preset heartbeat` or swiss-roll): the bound K on the log likelihood in bits with its terms,
/// L_null, and for the heartbeat the fraction of samples that are valid sequences.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote eval heartbeat/ --json
  mote eval heartbeat/ --model heartbeat.mote")]
pub struct Args {
    /// The folder that `mote train` wrote
    folder: PathBuf,
    /// Measure this model file of the chain as well, with its own integers
    #[arg(long, value_name = "M.mote")]
    model: Option<PathBuf>,
    /// Draws of every step that K is measured on
    #[arg(long, value_name = "N", default_value = "2000", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    draws: u32,
    /// Samples whose validity is counted
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    /// Seed of draws and samples
    #[arg(long, value_name = "S", default_value = "1")]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Held, Failure> {
    if is_chain(&args.folder) {
        return chain::run(args);
    }
    Err(
        Failure::new(format_args!("{} holds no trained chain", args.folder.display()))
            .help("give a folder that `mote train` wrote"),
    )
}
