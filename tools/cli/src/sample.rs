//! `mote sample`: images from a model.

use super::args::{self, KnownArgs, SamplerArgs, name};
use super::failure::Failure;
use super::hints;
use super::print::{self, Verdict};
use super::progress;
use indicatif::ProgressBar;
use mote_runtime::{Config, arena_bytes};
use mote_tools::backend::{Origin, Sampling};
use mote_tools::files::{Format, OutputFile};
use mote_tools::images::{ImageSink, Signal, encode, fits_one_picture, sheet};
use mote_tools::request::{file_of_noise, known_elements, noise_of_file, sample_of_png, steps_of};
use mote_tools::samplers::sampler_name;
use mote_tools::{Backend, Conditions, ModelFile, Request, Shard, StartFrom};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Sample images from a model file and write them as one PNG
///
/// The images stand in a grid without gaps, in the order of their seeds. The same seed gives the same bytes on every backend.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote sample my.mote -o grid.png --count 16 --steps 50 --seed 7
  mote sample my.mote -o two.png --class 3 --guidance 3 --count 2
  mote sample my.mote -o same.png --backend board:netduinoplus2
  mote sample my.mote -o ref.png --noise vectors.safetensors:noise --prev diffusers
  mote sample my.mote -o new.png --from old.png --strength 0.5
  mote sample my.mote -o quick.png --sampler dpm++ --steps 10
  mote sample my.mote -o whole.png --from damaged.png --inpaint mask.png --count 4
  mote sample my.mote -o between.png --seed 3 --interpolate 8 --frames 9 --columns 9
  mote sample my.mote --out samples.npz --count 50000 --backend cuda
  mote sample my.mote --out part-3.npz --count 50000 --shard 3/16
  mote sample policy.mote -o actions.json --condition 0.1,-0.3,0.25,0,1,0.5,-1,0.75 --steps 10
  mote sample roll.mote -o points.npz --known 0.5,? --known-noise 0.2 --count 100
  mote sample policy.mote -o actions.npz --condition observations.npz:cond")]
pub struct Args {
    /// The model file
    model: PathBuf,
    /// The PNG file to write; for a model whose samples are signals or actions, an archive for NumPy or a JSON file
    #[arg(short, long, value_name = "OUT.png|.npz|.json", required_unless_present = "out")]
    output: Option<PathBuf>,
    /// Write every image by itself, however many: into a folder as PNG files, or into one archive for NumPy (signals and actions: as numbers, or as JSON)
    #[arg(long, value_name = "DIR|FILE.npz|FILE.json", conflicts_with_all = ["output", "columns", "zoom"])]
    out: Option<PathBuf>,
    /// Make only shard I, from 0, of N: a contiguous range of the seeds. `mote merge` joins the parts
    #[arg(long, value_name = "I/N", value_parser = args::shard, requires = "out", conflicts_with_all = ["interpolate", "output"])]
    shard: Option<Shard>,
    #[command(flatten)]
    sampler: SamplerArgs,
    #[command(flatten)]
    known: KnownArgs,
    /// Number of images [default: 1, or as many as --noise or --condition holds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), allow_negative_numbers = true)]
    count: Option<u32>,
    /// Columns of the grid [default: a square]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    columns: Option<u32>,
    /// Write each pixel as a square of N by N
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=64))]
    zoom: u32,
    /// Start from the noise in this tensor, float (sample, channel, row, col) [KEY default: noise]
    #[arg(long, value_name = "FILE.safetensors[:KEY]", conflicts_with = "from")]
    noise: Option<OsString>,
    /// Start from this PNG image, noised
    #[arg(long, value_name = "IMAGE")]
    from: Option<PathBuf>,
    /// Share of the steps that an image from --from goes through, 0 to 1 [default: 0.5; with --inpaint, start from noise]
    #[arg(long, value_name = "F", value_parser = args::unit, requires = "from", allow_negative_numbers = true)]
    strength: Option<f64>,
    /// Make only the white part of this PNG mask; the black part is that of --from, pixel for pixel
    #[arg(long, value_name = "MASK", requires = "from")]
    inpaint: Option<PathBuf>,
    /// Start between the noise of --seed and that of this seed, in --frames images
    #[arg(long, value_name = "SEED2", value_parser = args::seed, conflicts_with_all = ["from", "noise", "count"])]
    interpolate: Option<u64>,
    /// Images from one seed to the other, both included
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u32).range(2..=10_000), requires = "interpolate")]
    frames: u32,
    /// Where to run: cpu, oracle, wasm, cuda (cuda:layered, cuda:resident), board:NAME or board:NAME/compact (see `mote boards`)
    #[arg(long, value_name = "BACKEND", default_value = "cpu", value_parser = hints::backend(), hide_possible_values = true)]
    backend: Backend,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    args.sampler.run.options().check()?;
    args.known.factor()?;
    match (&args.out, &args.output) {
        (Some(out), _) => many(args, out),
        (None, Some(output)) if is_numbers(output) => {
            no_grid(args, output)?;
            many(args, output)
        }
        (None, Some(output)) => one_picture(args, output),
        (None, None) => Err(Failure::usage("no file to write").help("give -o OUT.png, or --out DIR")),
    }
}

/// Refuses what says how a picture is laid out, where numbers are written.
fn no_grid(args: &Args, output: &Path) -> Result<(), Failure> {
    let given = [("--columns", args.columns.is_some()), ("--zoom", args.zoom != 1)];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(Failure::usage(format_args!(
            "{option} is for a picture, and {} holds numbers",
            output.display()
        ))
        .help("leave it out, or give -o OUT.png")),
    }
}

/// Whether a file is of numbers and no picture.
fn is_numbers(output: &Path) -> bool {
    let ending = output.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    matches!(ending.as_deref(), Some("npz" | "json"))
}

/// What is asked for. Files that it starts from are read.
fn request(args: &Args, file: &ModelFile) -> Result<Request, Failure> {
    let shape = file.shape();
    if let (Some(_), Some(_)) = (file.model().decoder(), &args.from) {
        return Err(Failure::usage(
            "this model's samples are latents, which its decoder makes pictures of: a picture is no start for it",
        )
        .help("leave --from, --strength and --inpaint out; --noise takes latents"));
    }
    let from = args
        .from
        .as_deref()
        .map(|path| sample_of_png(path, shape))
        .transpose()?;
    let known = match (&args.inpaint, &from) {
        (Some(mask), Some(image_q24)) => Some(known_elements(image_q24, mask, shape)?),
        _ => None,
    };
    let start = match (&args.noise, args.interpolate) {
        (Some(noise), _) => StartFrom::Noise(noise_of_file(noise, shape)?),
        (None, Some(second)) if from.is_none() => StartFrom::Between { second },
        _ => StartFrom::of_image(from, args.strength, known.is_some()),
    };
    let frames = args.interpolate.map(|_| args.frames);
    Ok(Request {
        count: frames.or(args.count).map(|count| count as usize),
        start,
        known,
        factor: args.known.factor()?,
        ..args.sampler.request()?
    })
}

/// Files that are read, which no output may replace.
fn inputs(args: &Args) -> Vec<PathBuf> {
    let noise = args.noise.as_deref().map(file_of_noise);
    let condition = args.sampler.condition.as_deref().and_then(Conditions::file_of);
    let given = [&args.from, &args.inpaint].into_iter().flatten().cloned();
    given
        .chain(noise)
        .chain(condition)
        .chain([args.model.clone()])
        .collect()
}

fn paths(inputs: &[PathBuf]) -> Vec<&Path> {
    inputs.iter().map(PathBuf::as_path).collect()
}

/// All images in one picture.
fn one_picture(args: &Args, output: &Path) -> Result<Verdict, Failure> {
    let output = OutputFile::prepare(output, Format::Png, &paths(&inputs(args)))?;
    let file = ModelFile::open(&args.model)?;
    args.backend.available()?;
    let (model, zoom) = (file.model(), args.zoom as usize);
    if let Some(signal) = Signal::of(model.header()) {
        return Err(signal.no_picture());
    }
    let sampling = request(args, &file)?.sampling(model)?;
    fits_one_picture(sampling.images.len(), file.picture_shape(), zoom)?;
    let count = sampling.images.len();
    let bar = bar(args, &sampling, count);
    let began = Instant::now();
    let traces = args.backend.run(file.opened(), &sampling, &|| bar.inc(1));
    bar.finish_and_clear();
    let (traces, seconds) = (traces?, began.elapsed().as_secs_f64());
    let columns = args.columns.map(|columns| columns as usize);
    output.write(&encode(&sheet(&traces, model, columns, zoom))?)?;
    let digests: Vec<String> = traces.iter().map(|trace| format!("{:016x}", trace.digest())).collect();
    if args.json {
        let mut object = facts(args, (&sampling, count), output.shown(), seconds);
        object["spacing"] = name(sampling.config.spacing).into();
        object["eta"] = (f64::from(sampling.config.eta_q16) / 65536.0).into();
        object["guidance"] = args.sampler.guidance.into();
        object["clip"] = name(sampling.config.clip).into();
        object["arena_bytes"] = arena_bytes(model, &sampling.config).into();
        object["digests"] = digests.into();
        print::json(&object)?;
    } else {
        let mut text = summary(args, (&sampling, count), &output.shown(), seconds);
        for (trace, digest) in traces.iter().zip(&digests).take(8) {
            text += &format!("  seed {}  digest {digest}\n", trace.seed);
        }
        if traces.len() > 8 {
            text += &format!("  and {} more\n", traces.len() - 8);
        }
        print::text(&text)?;
    }
    Ok(Verdict::Yes)
}

/// Every image by itself.
fn many(args: &Args, out: &Path) -> Result<Verdict, Failure> {
    let shard = args.shard.unwrap_or_default();
    ImageSink::check_name(out, shard)?;
    let file = ModelFile::open(&args.model)?;
    args.backend.available()?;
    let sampling = request(args, &file)?.sampling(file.model())?;
    let (shape, count) = (file.picture_shape(), shard.range(sampling.images.len()).len());
    let signal = Signal::of(file.model().header());
    let sink = ImageSink::prepare(out, &paths(&inputs(args)), count, shape, signal)?;
    let bar = bar(args, &sampling, count);
    let began = Instant::now();
    let made = sink.write(args.backend, file.opened(), (&sampling, shard), shape, &|| bar.inc(1));
    bar.finish_and_clear();
    let (made, seconds) = (made?, began.elapsed().as_secs_f64());
    let digest = format!("{:016x}", made.digest());
    if args.json {
        let mut object = facts(args, (&sampling, count), sink.shown(), seconds);
        object["digest"] = digest.into();
        if !shard.is_whole() {
            object["shard"] = shard.to_string().into();
        }
        print::json(&object)?;
    } else {
        let text = summary(args, (&sampling, count), &sink.shown(), seconds);
        let of = if shard.is_whole() {
            "of the digests of all images".to_owned()
        } else {
            format!("of the digests of shard {shard}; `mote merge` joins them")
        };
        print::text(&format!("{text}  digest {digest} ({of})\n"))?;
    }
    Ok(Verdict::Yes)
}

/// What every run says of itself in JSON.
fn facts(args: &Args, (sampling, count): (&Sampling, usize), file: String, seconds: f64) -> Value {
    let config = &sampling.config;
    json!({
        "file": file, "backend": args.backend.to_string(), "sampler": sampler_name(config.method), "steps": config.steps,
        "steps_run": steps_run(sampling), "seed": config.seed, "class": config.class, "count": count, "seconds": seconds,
        "images_per_second": count as f64 / seconds.max(1e-9),
    })
}

/// The same in a line.
fn summary(args: &Args, (sampling, count): (&Sampling, usize), file: &str, seconds: f64) -> String {
    format!(
        "{file}: {count} images, {} steps each, in {seconds:.2} s on {}\n",
        steps_run(sampling),
        args.backend
    )
}

/// Steps that each image goes through: fewer than the run's where it starts from an image.
fn steps_run(sampling: &Sampling) -> u32 {
    let Config { steps, .. } = sampling.config;
    match sampling.images.first().map(|image| &image.origin) {
        Some(Origin::Image { strength_q16, .. }) => steps_of(steps, *strength_q16),
        _ => steps,
    }
}

fn bar(args: &Args, sampling: &Sampling, count: usize) -> ProgressBar {
    let steps = u64::from(steps_run(sampling)) * count as u64;
    progress::bar(format!("sampling on {}", args.backend), steps)
}
