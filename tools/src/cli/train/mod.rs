//! `mote train`: from data to a checkpoint.

pub(super) mod chain;

use super::failure::Failure;
use super::print::Held;
use std::path::PathBuf;

/// Train a model
///
/// The presets heartbeat and swiss-roll train the two toys of Sohl-Dickstein et al. 2015, a binomial and a Gaussian diffusion chain,
/// on data that they make themselves. The folder then holds the chain, which `mote eval` and `mote convert` take, and report.html.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote train --preset heartbeat -o heartbeat/
  mote train --preset swiss-roll -o roll/ --seed 1 --minutes 5")]
pub struct Args {
    /// What to train
    #[arg(long, value_enum)]
    preset: Preset,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Seed of weights and batches
    #[arg(long, value_name = "S", default_value = "0")]
    seed: u64,
    /// Finish within about so many minutes; the step size then falls with the time [default: as long as it takes]
    #[arg(long, value_name = "N", value_parser = minutes)]
    minutes: Option<f64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What there is to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// 20 bits with a 1 in every fifth: a binomial chain of 2,000 steps
    Heartbeat,
    /// Points on a spiral: a Gaussian chain of 40 steps
    SwissRoll,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1e5 => Ok(value),
        _ => Err("a number of minutes, above 0".into()),
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<Held, Failure> {
    chain::run(args, args.preset)
}
