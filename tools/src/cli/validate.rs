//! `mote validate`: the same bits everywhere, and how close they are to the float network.

use super::args::{self, SamplerArgs};
use super::failure::Failure;
use super::model_file::{ModelFile, checkpoint, provenance};
use super::print::{self, Held, heading, table, verdict};
use super::progress;
use mote_firmware_sim::Board;
use mote_runtime::{Config, Model};
use mote_tools::backend::footprint::Fit;
use mote_tools::backend::{Backend, Target};
use mote_tools::import::Checkpoint;
use mote_tools::validate::{
    Choice, Distribution, DistributionError, FloatComparison, FloatDevice, Outcome, Plan, against, distribution,
    exactness,
};
use serde_json::json;
use std::path::PathBuf;

/// Boards that are run where none are named: those of them that can run here and that the model fits.
const DEFAULT_BOARDS: [&str; 3] = ["netduinoplus2", "mps2-an386", "virt"];

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
  mote validate my.mote --against my-checkpoint/ --distribution 1000
  mote validate my.mote --against my-checkpoint/ --backends cuda --float cuda --seeds 1000 --distribution 50000")]
pub struct Args {
    /// The model file
    model: PathBuf,
    /// Compare with the float network of this checkpoint as well
    #[arg(long, value_name = "CHECKPOINT")]
    against: Option<PathBuf>,
    /// Backends, separated by commas: oracle, cpu, portable, cuda (cuda:layered, cuda:resident), board:NAME [default: oracle, cpu, portable, a GPU, and boards that are here on one seed]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = args::backend)]
    backends: Vec<Backend>,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Number of seeds, one image each
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=100_000), allow_negative_numbers = true)]
    seeds: u32,
    /// How many of them the oracle runs [default: all, or as many as take it about ten seconds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000), allow_negative_numbers = true)]
    oracle_seeds: Option<u32>,
    /// Compare the distribution of so many images with the float network's as well: Fréchet distances, with their noise floor
    #[arg(long, value_name = "N", requires = "against", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    distribution: Option<u32>,
    /// What runs the float network: cpu, or a GPU in f32 (cuda) or in f16 on tensor cores (cuda:f16) [default: cpu]
    #[arg(long, value_name = "DEVICE", requires = "against", value_parser = args::float_device)]
    float: Option<FloatDevice>,
    /// Fail below this mean PSNR against the float network, dB
    #[arg(long, value_name = "DB", requires = "against")]
    min_psnr: Option<f64>,
    /// Add a backend that rounds wrongly in operators of this kind, to see that it is found out
    #[arg(long, value_name = "KIND", value_parser = fault)]
    inject_fault: Option<&'static str>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Kinds that the oracle can be made to round wrongly.
const FAULTS: [&str; 8] = [
    "conv",
    "group_norm",
    "attention",
    "silu",
    "input",
    "readout",
    "softmax",
    "sampler",
];

fn fault(text: &str) -> Result<&'static str, String> {
    FAULTS
        .into_iter()
        .find(|kind| *kind == text)
        .ok_or_else(|| format!("choose one of {}", FAULTS.join(", ")))
}

/// Runs it.
pub fn run(args: &Args) -> Result<Held, Failure> {
    if args.min_psnr.is_some_and(f64::is_nan) {
        return Err(Failure::usage("--min-psnr is not a number").help("give it in dB, such as 40"));
    }
    let device = args.float.unwrap_or_default();
    device.available()?;
    let file = ModelFile::read(&args.model)?;
    let model = file.parse()?;
    let config = args.sampler.config(model.header())?;
    let checkpoint = args.against.as_deref().map(checkpoint).transpose()?;
    if let Some(checkpoint) = &checkpoint {
        remark_on_origin(&model, checkpoint);
    }
    let target = Target {
        model: &model,
        bytes: file.bytes(),
    };
    let seeds = args.sampler.seeds(args.seeds as usize);
    let oracle_seeds = args
        .oracle_seeds
        .map_or_else(|| affordable_seeds(&model, &config), |n| n as usize);
    let mut choices = choices(&args.backends, target, &config);
    choices.extend(args.inject_fault.map(|kind| Choice {
        backend: Backend::Oracle(Some(kind)),
        asked: true,
        seeds: 1,
    }));
    for choice in choices
        .iter_mut()
        .filter(|choice| matches!(choice.backend, Backend::Oracle(_)))
    {
        choice.seeds = oracle_seeds;
    }
    let plan = Plan { config, seeds, choices };
    let outcomes = with_bar(target, &plan)?;
    let float = checkpoint
        .as_ref()
        .map(|checkpoint| compare(target, checkpoint, &plan, device))
        .transpose()?;
    let spread = match (&checkpoint, args.distribution) {
        (Some(checkpoint), Some(count)) => Some(distributed(args, target, checkpoint, &config, count as usize)?),
        _ => None,
    };
    let close = float
        .as_ref()
        .is_none_or(|float| args.min_psnr.is_none_or(|least| float.x0_psnr_db_mean >= least));
    let held = outcomes.iter().all(|outcome| outcome.held) && close;
    if args.json {
        print::json(&json!({
            "file": file.path().display().to_string(), "steps": config.steps, "seeds": plan.seeds.len(), "held": held,
            "backends": outcomes, "float": float, "distribution": spread,
        }))?;
    } else {
        let mut text = backends(&outcomes);
        if let Some(float) = &float {
            text += &quality(float, args.min_psnr, close);
        }
        if let Some(spread) = &spread {
            text += &distances(spread);
        }
        print::text(&(text + &format!("\n{}\n", verdict(held))))?;
    }
    Ok(held.into())
}

/// Multiply-accumulates that the oracle gets through in about ten seconds (measured: 0.6 to 0.9 G a second).
const ORACLE_MACS: u64 = 8_000_000_000;

/// Seeds that the oracle runs where nobody says how many.
fn affordable_seeds(model: &Model<'_>, config: &Config) -> usize {
    let calls = (1 + u64::from(config.guidance_q16.is_some())) * u64::from(config.method.calls());
    let macs = model.header().macs.saturating_mul(calls * u64::from(config.steps));
    (ORACLE_MACS / macs.max(1)).max(1) as usize
}

/// What is to be run: what was asked for, on every seed; or whatever is here, boards and the oracle on one seed as they are slow.
pub fn choices(asked: &[Backend], target: Target<'_>, config: &Config) -> Vec<Choice> {
    if !asked.is_empty() {
        // Desktop and boards share the runtime's code: without the oracle a fault in it would agree with itself.
        let reference = (!asked.contains(&Backend::Oracle(None))).then_some(Choice {
            backend: Backend::Oracle(None),
            asked: false,
            seeds: 1,
        });
        let named = asked.iter().map(|backend| Choice {
            backend: *backend,
            asked: true,
            seeds: usize::MAX,
        });
        return reference.into_iter().chain(named).collect();
    }
    let boards = DEFAULT_BOARDS.into_iter().filter_map(Board::named);
    let fitting = boards.filter(|board| Fit::of_run(board, target.model, target.bytes.len(), config).fits);
    let gpu = Some(Backend::Cuda(None)).filter(|gpu| gpu.available().is_ok());
    let found = [Backend::Oracle(None), Backend::Cpu, Backend::Portable]
        .into_iter()
        .chain(gpu)
        .chain(fitting.map(Backend::Board));
    let seeds = |backend| match backend {
        Backend::Cpu | Backend::Portable | Backend::Cuda(_) => usize::MAX,
        _ => 1,
    };
    found
        .map(|backend| Choice {
            backend,
            asked: false,
            seeds: seeds(backend),
        })
        .collect()
}

/// [`exactness`] with a bar.
pub fn with_bar(target: Target<'_>, plan: &Plan) -> Result<Vec<Outcome>, Failure> {
    let bar = progress::bar("validating", 0);
    let cpu = usize::from(!plan.choices.iter().any(|choice| choice.backend == Backend::Cpu)) * plan.seeds.len();
    let total = plan
        .choices
        .iter()
        .map(|choice| choice.seeds.min(plan.seeds.len()))
        .sum::<usize>()
        + cpu;
    bar.set_length(total as u64 * u64::from(plan.config.steps));
    let outcomes = exactness(target, plan, &|name| {
        bar.set_message(name.to_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    Ok(outcomes?)
}

/// [`against`] with a bar.
pub fn compare(
    target: Target<'_>,
    checkpoint: &Checkpoint,
    plan: &Plan,
    device: FloatDevice,
) -> Result<FloatComparison, Failure> {
    let bar = progress::bar("float network", plan.seeds.len() as u64);
    let compared = against(target, checkpoint, &plan.config, &plan.seeds, device, &|| bar.inc(1));
    bar.finish_and_clear();
    compared
        .map_err(|error| Failure::new(error).help("give --against the checkpoint that the model was converted from"))
}

/// [`distribution`] with a bar, by the first backend that was named and makes many images quickly.
fn distributed(
    args: &Args,
    target: Target<'_>,
    checkpoint: &Checkpoint,
    config: &Config,
    count: usize,
) -> Result<Distribution, Failure> {
    let quick = |backend: &&Backend| matches!(backend, Backend::Cpu | Backend::Portable | Backend::Cuda(_));
    let backend = args.backends.iter().find(quick).copied().unwrap_or(Backend::Cpu);
    let devices = (backend, args.float.unwrap_or_default());
    let bar = progress::bar("distributions", 3 * count as u64);
    let seeds = args.sampler.seeds(count);
    let compared = distribution(target, checkpoint, config, &seeds, devices, &|images| bar.inc(images));
    bar.finish_and_clear();
    compared.map_err(|error| match error {
        DistributionError::Backend(error) => error.into(),
        error => Failure::new(error).help("give --against the checkpoint that the model was converted from"),
    })
}

fn remark_on_origin(model: &Model<'_>, checkpoint: &Checkpoint) {
    let recorded = provenance(model)["checkpoint_sha256"].as_str().map(str::to_owned);
    if recorded.is_some_and(|recorded| recorded != checkpoint.sha256) {
        print::note("the model was converted from other weights than this checkpoint's");
    }
}

/// The backends as a table.
pub fn backends(outcomes: &[Outcome]) -> String {
    let cells = |outcome: &Outcome| {
        let result = match (&outcome.why, &outcome.first_divergence) {
            (Some(why), _) if !outcome.available => format!("not run: {why}"),
            (Some(why), _) => format!("{}: {why}", verdict(false)),
            (None, Some(first)) => {
                format!(
                    "{}: seed {}, step {}: {}",
                    verdict(false),
                    first.seed,
                    first.step,
                    first.operator
                )
            }
            (None, None) => verdict(true),
        };
        vec![
            outcome.name.clone(),
            outcome.images.to_string(),
            outcome.steps.to_string(),
            outcome.mismatches.to_string(),
            format!("{:.1}", outcome.seconds),
            outcome.digest.clone().unwrap_or_default(),
            result,
        ]
    };
    let head = ["backend", "images", "steps", "mismatches", "seconds", "digest", ""]
        .map(str::to_owned)
        .to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(outcomes.iter().map(cells)).collect();
    let mut text = format!("{}\n{}", heading("Same bits"), table(&rows));
    text += "  (a digest covers every step of the images that its backend made)\n";
    let mut helps: Vec<&str> = Vec::new();
    for help in outcomes.iter().filter_map(|outcome| outcome.help.as_deref()) {
        if !helps.contains(&help) {
            helps.push(help);
            text += &format!("  to run what was not: {help}\n");
        }
    }
    text
}

fn distances(spread: &Distribution) -> String {
    let mut rows = vec![
        ["space", "dimensions", "model", "noise floor"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for space in &spread.spaces {
        let distance = |v: f64| format!("{v:.4}");
        rows.push(vec![
            space.name.to_owned(),
            space.dimensions.to_string(),
            distance(space.model),
            distance(space.floor),
        ]);
    }
    format!(
        "\n{}\n  from {} images of the model ({}) to as many of the float network ({}) from other seeds; the floor is the float network's own\n{}",
        heading("Fréchet distances"),
        spread.images,
        spread.backend,
        spread.network,
        table(&rows)
    )
}

fn quality(float: &FloatComparison, least: Option<f64>, close: bool) -> String {
    let limit = least.map_or(String::new(), |least| {
        format!("  (at least {least} dB asked for: {})", verdict(close))
    });
    let against = match float.network.as_str() {
        "cpu" => "Against the float network".to_owned(),
        network => format!("Against the float network on {network}"),
    };
    let mut rows = vec![
        ["step", "timestep", "output SQNR dB", "state PSNR dB", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (i, t) in float.timesteps.iter().enumerate() {
        let (eps, state) = (float.eps_sqnr_db_by_step[i], float.state_psnr_db_by_step[i]);
        rows.push(vec![
            i.to_string(),
            t.to_string(),
            format!("{eps:.1}"),
            format!("{state:.1}"),
            String::new(),
        ]);
    }
    format!(
        "\n{}\n  x0 PSNR {:.2} dB mean, {:.2} dB worst of {} images{limit}\n{}",
        heading(&against),
        float.x0_psnr_db_mean,
        float.x0_psnr_db_min,
        float.images,
        table(&rows)
    )
}
