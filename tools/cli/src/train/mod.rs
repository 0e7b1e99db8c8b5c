//! `mote train`: from data to a checkpoint. A module for each kind of model.

pub(super) mod chain;
mod unet;

use super::args::unit;
use super::failure::Failure;
use super::print::Verdict;
use crate::hints;
use mote_tools::files::folder_name;
use mote_tools::quantize::scheme::Scheme;
use std::path::PathBuf;

/// Train a network on images and save it as a checkpoint
///
/// DATA is an IDX file (gzip or plain; labels are found beside it), an .npz archive (train_x, train_y, test_x, test_y, or images, labels),
/// or a folder of PNG files (folders in it are classes). The checkpoint is a diffusers pipeline folder: `mote convert` takes it, and PyTorch
/// loads it. A run that was stopped is taken up where it was by the same command, and ends with the same weights.
///
/// The presets heartbeat and swiss-roll train the two toys of Sohl-Dickstein et al. 2015, a binomial and a Gaussian diffusion chain,
/// on data that they make themselves. The folder then holds the chain, which `mote eval` and `mote convert` take, and report.html.
/// They take --steps (4,000 and 6,000), --minutes, --batch (16 examples of each group of steps, 64 points), --lr and --seed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote train --data digits8.npz -o digits
  mote train --data train-images-idx3-ubyte.gz -o clothes --preset fashion16-tiny --minutes 30
  mote train --data photos/ -o photos --fit netduinoplus2
  mote train --data digits8.npz -o digits-w8a8 --distill-from digits --qat w8a8
  mote train --data digits8.npz -o digits-4 --distill-from digits --teacher-steps 16 --student-steps 4
  mote train --data digits8.npz -o digits-2 --distill-from digits-4 --student-steps 2
  mote train --data digits8.npz -o digits-flow --prediction flow
  mote train --preset heartbeat -o heartbeat/")]
pub struct Args {
    /// Images: an IDX file, an .npz archive, or a folder of PNG files
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// The checkpoint's folder; it also holds the run's state, its loss and samples, in training/
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Network, schedule and settings: digits8-micro, fashion16-tiny, heartbeat or swiss-roll [default: digits8-micro, or fashion16-tiny for images larger than 8x8]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Choose the widest network that fits this board as int8: a simulated board or a chip (see `mote boards`), or a file that describes one
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = hints::board(), hide_possible_values = true)]
    fit: Option<String>,
    #[command(flatten)]
    described: crate::target::DescribedArgs,
    /// Steps of the run [default: the preset's]
    #[arg(long, value_name = "N", conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(1..=mote_tools::train::state::MOST_STEPS))]
    steps: Option<u64>,
    /// As many steps as this machine does in so many minutes, measured once at the start
    #[arg(long, value_name = "M", value_parser = minutes)]
    minutes: Option<f64>,
    /// Images a step [default: the preset's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    batch: Option<u16>,
    /// Peak of the learning rate, after a warm-up and before a cosine down to a hundredth [default: the preset's]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    lr: Option<f64>,
    /// AdamW's weight decay [default: 0]
    #[arg(long, value_name = "D", value_parser = unit)]
    weight_decay: Option<f64>,
    /// Decay of the average of weights that is saved, below 1 [default: 0.999]
    #[arg(long, value_name = "D", value_parser = decay)]
    ema: Option<f64>,
    /// Seed of weights, noise and order
    #[arg(long, value_name = "S", default_value = "0")]
    seed: u64,
    /// What the network predicts [default: epsilon]
    #[arg(long, value_enum)]
    prediction: Option<Prediction>,
    /// Learn the variance too (L_hybrid); for DDPM's sampler
    #[arg(long)]
    learned_variance: bool,
    /// Train on labels too, for --class
    #[arg(long)]
    classes: bool,
    /// Share of labels that are replaced by the null class, for --guidance
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = unit, requires = "classes")]
    label_dropout: f64,
    /// Mirror images [default: the preset's]
    #[arg(long, value_name = "YES", num_args = 0..=1, default_missing_value = "true")]
    flip: Option<bool>,
    /// Move images by up to so many pixels [default: 0]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u8).range(0..=16))]
    shift: Option<u8>,
    /// Values that become black and white [default: the format's, or the smallest and the largest]
    #[arg(long, value_name = "LOW,HIGH", value_parser = range, allow_hyphen_values = true)]
    range: Option<[f32; 2]>,
    /// Images held out, where DATA itself holds none out [default: a tenth, at most 1000]
    #[arg(long, value_name = "N")]
    hold_out: Option<usize>,
    /// Take the network, its weights and its targets from this checkpoint
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["fit", "flash", "ram", "core", "clock", "profile", "classes", "learned_variance", "prediction"])]
    distill_from: Option<PathBuf>,
    /// Make a student that takes so few steps, by progressive distillation (Salimans and Ho 2022): it predicts v, at these steps alone
    #[arg(long, value_name = "N", requires = "distill_from", conflicts_with = "qat", value_parser = clap::value_parser!(u16).range(1..=256))]
    student_steps: Option<u16>,
    /// DDIM steps of the teacher that the student is held to, a multiple of its own [default: twice its own]
    #[arg(long, value_name = "M", requires = "student_steps", value_parser = clap::value_parser!(u16).range(2..=1024))]
    teacher_steps: Option<u16>,
    /// How the timesteps of flow matching are drawn [default: uniform]
    #[arg(long, value_enum)]
    times: Option<Times>,
    /// Train for these number formats, which the checkpoint then carries: w8a8, w8a16, w4a8 or w4a16
    #[arg(long, value_name = "SCHEME", requires = "distill_from", value_parser = hints::scheme(), hide_possible_values = true)]
    qat: Option<Scheme>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The toys of Sohl-Dickstein et al. 2015.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preset {
    /// 20 bits with a 1 in every fifth: a binomial chain of 2,000 steps.
    Heartbeat,
    /// Points on a spiral: a Gaussian chain of 40 steps.
    SwissRoll,
}

/// What a network predicts, by its diffusers names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Prediction {
    /// The noise
    Epsilon,
    /// Noise and image mixed
    #[value(name = "v_prediction")]
    Velocity,
    /// The image
    Sample,
    /// The velocity of flow matching, noise less image: noise levels are then its own
    Flow,
}

/// How the timesteps of flow matching are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Times {
    /// All alike
    Uniform,
    /// The sigmoid of a standard normal: more in the middle
    LogitNormal,
}

impl From<Times> for mote_train::objective::Times {
    fn from(times: Times) -> Self {
        match times {
            Times::Uniform => Self::Uniform,
            Times::LogitNormal => Self::LogitNormal,
        }
    }
}

impl From<Prediction> for mote_graph::schedule::Prediction {
    fn from(prediction: Prediction) -> Self {
        match prediction {
            Prediction::Epsilon => Self::Epsilon,
            Prediction::Velocity | Prediction::Flow => Self::Velocity,
            Prediction::Sample => Self::Sample,
        }
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    folder_name(&args.output)?;
    let preset = match args.preset.as_deref() {
        None | Some("digits8-micro" | "fashion16-tiny") => {
            let missing =
                || Failure::usage("--data is missing: what to train on").help("see DATA in `mote train --help`");
            return unet::run(args, args.data.as_deref().ok_or_else(missing)?);
        }
        Some("heartbeat") => Preset::Heartbeat,
        Some("swiss-roll") => Preset::SwissRoll,
        Some(other) => {
            return Err(Failure::usage(format_args!("no preset is named '{other}'"))
                .help("choose digits8-micro, fashion16-tiny, heartbeat or swiss-roll"));
        }
    };
    chain::run(args, preset)
}

fn positive(text: &str, most: f64) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value <= most {
        Ok(value)
    } else {
        Err(format!("it must be above 0, and at most {most}"))
    }
}

/// Under a decay of 1 the average stays at the first weights, whatever is trained.
fn decay(text: &str) -> Result<f64, String> {
    match unit(text)? {
        1.0 => Err("it must be below 1: an average that forgets nothing stays at the first weights".into()),
        decay => Ok(decay),
    }
}

fn minutes(text: &str) -> Result<f64, String> {
    positive(text, 100_000.0)
}

fn rate(text: &str) -> Result<f64, String> {
    positive(text, 1.0)
}

fn range(text: &str) -> Result<[f32; 2], String> {
    let parts: Vec<f32> = text.split(',').filter_map(|part| part.trim().parse().ok()).collect();
    match parts[..] {
        [low, high] if low < high => Ok([low, high]),
        _ => Err("expected two numbers, the lower first, such as 0,16".into()),
    }
}
