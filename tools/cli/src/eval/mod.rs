//! `mote eval`: what a trained model is worth, in bits, and how its samplers behave.
//!
//! - [`chain`]: a diffusion chain of 2015, its bound K and its samples; [`checkpoint`]: a diffusers checkpoint.
//! - [`options`]: which options go with which task.
//! - [`measures`], [`drawings`]: what came of a task, as JSON, as text and as a picture.

mod chain;
mod checkpoint;
mod drawings;
mod measures;
mod options;

use super::args::unit;
use super::failure::Failure;
use super::print::Verdict;
use clap::ValueEnum;
use mote_tools::chain::files::is_chain;
use mote_tools::eval::convergence_on_normal_data;
use mote_tools::files::{Format, OutputFile};
use std::path::PathBuf;

/// Measure a trained checkpoint: bits a dimension, likelihood, reconstruction, samplers
///
/// With --data alone: the variational bound of DDPM, term by term. All numbers are of the float network.
/// Of a diffusion chain (`mote train --preset heartbeat` or swiss-roll): the bound K on the log likelihood in bits with its terms,
/// L_null, and for the heartbeat the fraction of samples that are valid sequences.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote eval my-checkpoint/ --data digits.npz --images 64
  mote eval my-checkpoint/ --data t10k-images-idx3-ubyte.gz --likelihood ode
  mote eval my-checkpoint/ --data digits.npz --reconstruct 10,20,50,100
  mote eval my-checkpoint/ --sampler predictor-corrector --sde sub-vp --steps 200 -o samples.png
  mote eval my-checkpoint/ --interpolate -o between.png
  mote eval my-student/ --distance-to my-checkpoint/ --steps 2 --count 1000
  mote eval --convergence -o convergence.svg
  mote eval heartbeat/ --model heartbeat.mote

DATA is what `mote train` takes, in whole numbers: an .npz archive (test_x, test_y, train_x, train_y, or images, labels), an IDX
file of images (gzip or plain; labels are found beside it), or a folder of PNG files (folders in it are classes). Images of
another size are averaged over areas or get a border of the first corner's value.")]
pub struct Args {
    /// What was trained: a checkpoint's folder
    #[arg(required_unless_present = "convergence")]
    trained: Option<PathBuf>,
    /// Images to measure on
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    /// Which arrays of an archive; what names no parts is measured whole, trained on or not [default: test]
    #[arg(long, value_enum)]
    split: Option<Split>,
    /// Images measured, spread evenly over the data [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    images: Option<u32>,
    /// Timesteps of the bound measured an image, one at random from each of as many strata [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    timesteps: Option<u32>,
    /// Variance of the reverse process [default: the checkpoint's]
    #[arg(long, value_enum)]
    variance: Option<Variance>,
    /// Measure the likelihood instead: `ode` is the exact one of the probability-flow ODE
    #[arg(long, value_enum, group = "task", requires = "data")]
    likelihood: Option<Likelihood>,
    /// Absolute and relative error allowed a step of an adaptive solver [default: 1e-5]
    #[arg(long, value_name = "E", value_parser = tolerance)]
    tolerance: Option<f64>,
    /// Encode images by DDIM and decode them again, in each of these numbers of steps
    #[arg(
        long,
        value_name = "S,S,...",
        value_delimiter = ',',
        group = "task",
        requires = "data",
        value_parser = steps
    )]
    reconstruct: Vec<usize>,
    /// Draw how the error of DDIM and DPM-Solver++(2M) falls with their steps: on normal data, or on a checkpoint's network
    #[arg(long, group = "task", requires = "output")]
    convergence: bool,
    /// Draw --count images by DDIM in --steps steps, and measure the Fréchet distance of their pixels to this checkpoint's; with --data also to real ones
    #[arg(long, value_name = "CHECKPOINT", group = "task")]
    distance_to: Option<PathBuf>,
    /// DDIM steps of the checkpoint that --distance-to names [default: 20]
    #[arg(long, value_name = "N", requires = "distance_to", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    their_steps: Option<u32>,
    /// Draw images on the great circles between noises (rows) by DDIM
    #[arg(long, group = "task", requires = "output")]
    interpolate: bool,
    /// Draw samples by this sampler
    #[arg(long, value_enum, group = "task", requires = "output")]
    sampler: Option<Sampler>,
    /// The process that is simulated backwards [default: vp]
    #[arg(long, value_enum)]
    sde: Option<Sde>,
    /// Steps of a sampler [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: Option<u32>,
    /// DDIM's noise level [default: 0]
    #[arg(long, value_name = "E", value_parser = unit)]
    eta: Option<f64>,
    /// Pictures that are drawn, or rows of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    count: Option<u32>,
    /// Class label of a conditional network [default: the data's labels, or the null class]
    #[arg(long, value_name = "C")]
    class: Option<usize>,
    /// Draw each pixel as a square of N by N [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    zoom: Option<u32>,
    /// Seed of everything random
    #[arg(long, value_name = "S", default_value = "0")]
    seed: u64,
    /// Measure this model file of a chain as well, with its own integers
    #[arg(long, value_name = "M.mote")]
    model: Option<PathBuf>,
    /// Draws of every step that a chain's K is measured on [default: 2000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    draws: Option<u32>,
    /// Samples of a chain whose validity is counted [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: Option<u32>,
    /// The picture to write: PNG, or SVG for --convergence
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Parts of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Split {
    /// What was held out
    Test,
    /// What was trained on
    Train,
}

/// Variances of the reverse process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Variance {
    /// The forward posterior's
    FixedSmall,
    /// Beta
    FixedLarge,
    /// The network's own, between the two
    LearnedRange,
}

/// Ways to a likelihood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Likelihood {
    /// Along the probability-flow ODE
    Ode,
}

/// Samplers of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sampler {
    /// Song, Meng and Ermon 2021; see --eta
    Ddim,
    /// Ho et al. 2020, ancestral; see --variance
    Ddpm,
    /// Song et al. 2021, the reverse SDE
    EulerMaruyama,
    /// The same, with a Langevin step after each
    PredictorCorrector,
    /// Song et al. 2021, the probability-flow ODE, adaptive; see --tolerance
    Ode,
}

/// Processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sde {
    /// Variance preserving
    Vp,
    /// Sub-variance preserving
    SubVp,
}

/// Runs it: what is done is decided by what the folder holds, then by the task.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    options::check(args)?;
    match &args.trained {
        Some(folder) if is_chain(folder) => chain::run(args, folder),
        Some(folder) => checkpoint::run(args, folder),
        None => drawings::convergence(args, || convergence_on_normal_data(args.seed)),
    }
}

/// The file to be written, known to be writable before the work.
fn output(args: &Args) -> Result<OutputFile, Failure> {
    let path = args.output.as_deref();
    let path = path.ok_or_else(|| Failure::usage("no file to write").help("give -o OUT"))?;
    let format = if args.convergence { Format::Svg } else { Format::Png };
    let inputs = [&args.trained, &args.data, &args.model].into_iter().flatten();
    OutputFile::prepare(path, format, &inputs.map(PathBuf::as_path).collect::<Vec<_>>())
}

fn tolerance(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1e-12..=0.1).contains(&value) {
        Ok(value)
    } else {
        Err("it must lie between 1e-12 and 0.1".into())
    }
}

fn steps(text: &str) -> Result<usize, String> {
    let value: usize = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if (1..=100_000).contains(&value) {
        Ok(value)
    } else {
        Err("give numbers of steps from 1 to 100000".into())
    }
}
