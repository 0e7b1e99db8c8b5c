//! `mote validate`: the same bits everywhere, and how close they are to the float network.

mod pair;
mod statistics;
mod tables;

pub use tables::{backends, distances};

use super::args::{self, KnownArgs, SamplerArgs};
use super::failure::Failure;
use super::hints;
use super::print::{self, Verdict, verdict};
use super::progress;
use mote_runtime::Config;
use mote_tools::backend::{Backend, OpenModel};
use mote_tools::data::{Discrete, Split, measured};
use mote_tools::validate::{
    CheckedRuns, Distribution, FloatComparison, Layers, Outcome, Survey, against, belongs, exactness, layers,
};
use mote_tools::{Checkpoint, ErrorKind, FloatDevice, ModelFile, Request, Shard, Validation};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Hold every backend to the same bits, step by step
///
/// The digest of the state after every step is compared with a reference: the oracle, an independent implementation of the numeric
/// contract, for the seeds that it ran (see --oracle-seeds; it
/// runs even where --backends does not name it), and the runtime on this machine for the others. Where a backend differs, the first
/// operator whose output differs is named. With --against, the model is also compared with the float network.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote validate my.mote
  mote validate my.mote --backends oracle,cpu,board:netduinoplus2 --steps 50 --seeds 8
  mote validate my.mote --against my-checkpoint/ --min-psnr 40 --json
  mote validate my.mote --against my-checkpoint/ --seeds 96 --worst worst.png
  mote validate my.mote --against my-checkpoint/ --layers
  mote validate my.mote --against my-checkpoint/ --distribution 1000 --data train-images-idx3-ubyte.gz
  mote validate my.mote --against my-checkpoint/ --backends cuda --float cuda --seeds 1000 --distribution 50000
  mote validate my.mote --against my-checkpoint/ --distribution 50000 --shard 3/16 --out part-3.moments")]
pub struct Args {
    /// The model file
    model: PathBuf,
    /// Compare with the float network of this checkpoint as well
    #[arg(long, value_name = "CHECKPOINT")]
    against: Option<PathBuf>,
    /// Backends, separated by commas: oracle, cpu, portable, wasm, cuda (cuda:layered, cuda:resident), board:NAME, board:NAME/compact (smaller, slower) [default: oracle, cpu, portable, a GPU, and boards that are here on one seed]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = hints::backend(), hide_possible_values = true)]
    backends: Vec<Backend>,
    #[command(flatten)]
    sampler: SamplerArgs,
    #[command(flatten)]
    known: KnownArgs,
    /// Number of seeds, one image each
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=100_000), allow_negative_numbers = true)]
    seeds: u32,
    /// How many of them the oracle runs [default: all, or as many as take it about ten seconds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000), allow_negative_numbers = true)]
    oracle_seeds: Option<u32>,
    /// Compare the distribution of so many images with the float network's as well: Fréchet distances, with their noise floor
    #[arg(long, value_name = "N", requires = "against", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    distribution: Option<u32>,
    /// Write the statistics that the distances are computed of, and do nothing else: `mote merge` joins those of shards and prints the distances
    #[arg(long, value_name = "FILE.moments", requires = "distribution", conflicts_with_all = ["layers", "min_psnr", "inject_fault", "oracle_seeds", "seeds"])]
    out: Option<PathBuf>,
    /// Make only shard I, from 0, of N, a contiguous range of the images
    #[arg(long, value_name = "I/N", value_parser = args::shard, requires = "out")]
    shard: Option<Shard>,
    /// What runs the float network: cpu, or a GPU in f32 (cuda) or in f16 on tensor cores (cuda:f16) [default: cpu]
    #[arg(long, value_name = "DEVICE", requires = "against", value_parser = args::float_device)]
    float: Option<FloatDevice>,
    /// Compare both distributions with real images too: an .npz archive (train_x), an IDX file or a folder of PNG files, as `mote train` takes them
    #[arg(long, value_name = "DATA", requires = "distribution")]
    data: Option<PathBuf>,
    /// Draw the worst image: the model's, and the float network's beside it
    #[arg(long, value_name = "FILE.png", requires = "against", conflicts_with = "out")]
    worst: Option<PathBuf>,
    /// Say for every operator how far its output is from the float network's
    #[arg(long, requires = "against")]
    layers: bool,
    /// Fail below this mean PSNR against the float network, dB
    #[arg(long, value_name = "DB", requires = "against", allow_negative_numbers = true)]
    min_psnr: Option<f64>,
    /// Add a backend that rounds wrongly in operators of this kind, to see that it is found out
    #[arg(long, value_name = "KIND")]
    inject_fault: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// What is read: no output may be one of these.
    fn inputs(&self) -> Vec<&Path> {
        let inputs = [Some(&self.model), self.against.as_ref(), self.data.as_ref()];
        inputs.into_iter().flatten().map(PathBuf::as_path).collect()
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    if let Some(least) = args.min_psnr.filter(|least| !least.is_finite()) {
        return Err(Failure::usage(format_args!("--min-psnr is {least}")).help("give a number of dB, such as 40"));
    }
    args.sampler.run.options().check()?;
    args.known.factor()?;
    let device = args.float.unwrap_or_default();
    device.available()?;
    let out = statistics::prepare(args)?;
    let file = ModelFile::open(&args.model)?;
    let opened = file.opened();
    let picture = pair::prepare(args, file.model())?;
    let validation = Validation {
        request: Request {
            factor: args.known.factor()?,
            ..args.sampler.request()?
        },
        seeds: args.seeds as usize,
        backends: args.backends.clone(),
        oracle_seeds: args.oracle_seeds.map(|n| n as usize),
        fault: args.inject_fault.clone(),
    };
    let runs = validation.runs(opened)?;
    let config = runs.config;
    let checkpoint = args
        .against
        .as_deref()
        .map(Checkpoint::open)
        .transpose()?
        .map(print::noted);
    if let Some(checkpoint) = &checkpoint {
        belongs(opened, checkpoint)?;
        remark_on_origin(&file, checkpoint);
    }
    if let (Some(out), Some(checkpoint), Some(count)) = (&out, &checkpoint, args.distribution) {
        let data = data(args, checkpoint, count as usize)?;
        let survey = survey((args, count as usize), opened, checkpoint, &config, data.as_ref());
        return statistics::write(args, &survey, out);
    }
    let outcomes = with_bar(opened, &runs)?;
    let float = checkpoint
        .as_ref()
        .map(|checkpoint| compare(opened, checkpoint, &runs, device))
        .transpose()?;
    if let (Some(picture), Some(float)) = (&picture, &float) {
        pair::write(picture, file.model(), float)?;
    }
    let spread = match (&checkpoint, args.distribution) {
        (Some(checkpoint), Some(count)) => Some(distributed(args, opened, checkpoint, &config, count as usize)?),
        _ => None,
    };
    let by_layer = match &checkpoint {
        Some(checkpoint) if args.layers => Some(follow(opened, checkpoint, &runs)?),
        _ => None,
    };
    let close = float.as_ref().is_none_or(|float| float.held(args.min_psnr));
    let distinct = spread.as_ref().is_none_or(Distribution::held);
    let held = outcomes.iter().all(|outcome| outcome.held) && close && distinct;
    if args.json {
        print::json(&json!({
            "file": file.path().display().to_string(), "steps": config.steps, "seeds": runs.seeds.len(), "held": held,
            "backends": outcomes, "float": float, "layers": by_layer, "distribution": spread,
        }))?;
    } else {
        let mut text = backends(&outcomes);
        if let Some(float) = &float {
            text += &tables::quality(float, args.min_psnr, close);
        }
        if let Some(by_layer) = &by_layer {
            text += &tables::layers(by_layer);
        }
        if let Some(spread) = &spread {
            text += &tables::distances(spread);
        }
        print::text(&(text + &format!("\n{}\n", verdict(held))))?;
    }
    Ok(held.into())
}

/// [`exactness`] with a bar.
pub fn with_bar(opened: OpenModel<'_>, runs: &CheckedRuns) -> Result<Vec<Outcome>, Failure> {
    let bar = progress::bar("validating", 0);
    bar.set_length(runs.steps());
    let outcomes = exactness(opened, runs, &|name| {
        bar.set_message(name.to_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    Ok(outcomes?)
}

/// [`against`] with a bar.
pub fn compare(
    opened: OpenModel<'_>,
    checkpoint: &Checkpoint,
    runs: &CheckedRuns,
    device: FloatDevice,
) -> Result<FloatComparison, Failure> {
    let bar = progress::bar("float network", runs.seeds.len() as u64);
    let compared = against(opened, checkpoint, &runs.config, runs.images(), device, &|| bar.inc(1));
    bar.finish_and_clear();
    Ok(compared?)
}

/// [`layers`] with a bar.
fn follow(opened: OpenModel<'_>, checkpoint: &Checkpoint, runs: &CheckedRuns) -> Result<Layers, Failure> {
    let bar = progress::bar("operators", runs.seeds.len() as u64);
    let found = layers(opened, checkpoint, &runs.config, runs.images(), &|| bar.inc(1));
    bar.finish_and_clear();
    Ok(found?)
}

/// Real images, twice as many as are made where there are so many.
fn data(args: &Args, checkpoint: &Checkpoint, count: usize) -> Result<Option<Discrete>, Failure> {
    let shape = checkpoint.graph.sample_shape();
    let read = |path| measured(path, Split::Train, 2 * count, shape);
    let data = args.data.as_deref().map(read).transpose();
    data.map_err(|error| {
        Failure::coded(ErrorKind::Input, error).help("--data takes images as `mote train` does, in whole numbers")
    })
}

/// What the distances are of: images by the first backend that was named and makes many quickly.
fn survey<'a>(
    (args, count): (&Args, usize),
    opened: OpenModel<'a>,
    checkpoint: &'a Checkpoint,
    config: &'a Config,
    data: Option<&'a Discrete>,
) -> Survey<'a> {
    let quick = |backend: &&Backend| matches!(backend, Backend::Cpu | Backend::Portable | Backend::Cuda(_));
    Survey {
        opened,
        checkpoint,
        config,
        count,
        backend: args.backends.iter().find(quick).copied().unwrap_or(Backend::Cpu),
        device: args.float.unwrap_or_default(),
        data,
    }
}

/// The distances, with a bar.
fn distributed(
    args: &Args,
    opened: OpenModel<'_>,
    checkpoint: &Checkpoint,
    config: &Config,
    count: usize,
) -> Result<Distribution, Failure> {
    let data = data(args, checkpoint, count)?;
    let survey = survey((args, count), opened, checkpoint, config, data.as_ref());
    let bar = progress::bar("distributions", 3 * count as u64);
    let gathered = survey.statistics(Shard::WHOLE, &|images| bar.inc(images));
    bar.finish_and_clear();
    Ok(gathered?.distribution())
}

fn remark_on_origin(file: &ModelFile, checkpoint: &Checkpoint) {
    let recorded = file.provenance()["checkpoint_sha256"].as_str().map(str::to_owned);
    if recorded.is_some_and(|recorded| recorded != checkpoint.sha256) {
        print::note("the model was converted from other weights than this checkpoint's");
    }
}
