//! `mote sample`: images from a model.

use super::args::{self, SamplerArgs, name, q16};
use super::failure::Failure;
use super::model_file::ModelFile;
use super::output_file::OutputFile;
use super::print::{self, Held};
use super::progress;
use super::starts;
use mote_runtime::sampler::arena_bytes;
use mote_tools::backend::{Backend, Job, Origin, Target, Trace, Wanted};
use mote_tools::images::{Picture, Shape, encode, grid};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Bytes of pixels that one call makes at most.
const MOST_BYTES: usize = 1 << 30;

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
  mote sample my.mote -o between.png --seed 3 --interpolate 8 --frames 9 --columns 9")]
pub struct Args {
    /// The model file
    model: PathBuf,
    /// The PNG file to write
    #[arg(short, long, value_name = "OUT.png")]
    output: PathBuf,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Number of images [default: 1, or as many as --noise holds]
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
    noise: Option<String>,
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
    /// Where to run: cpu, oracle, cuda or board:NAME (see `mote boards`)
    #[arg(long, value_name = "BACKEND", default_value = "cpu", value_parser = args::backend)]
    backend: Backend,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Held, Failure> {
    let file = ModelFile::read(&args.model)?;
    let model = file.parse()?;
    let config = args.sampler.config(model.header())?;
    let shape = Shape::of(model.header());
    let output = OutputFile::prepare(&args.output, &[file.path()])?;
    args.backend.available()?;
    let images = images(args, shape)?;
    let known = args.inpaint.as_deref().zip(args.from.as_deref());
    let job = Job {
        config,
        images,
        known: known
            .map(|(mask, image)| starts::known(image, mask, shape))
            .transpose()?,
        operators: false,
    };
    let bar = progress::bar(
        format!("sampling on {}", args.backend),
        u64::from(config.steps) * job.images.len() as u64,
    );
    let began = Instant::now();
    let traces = args.backend.run(
        Target {
            model: &model,
            bytes: file.bytes(),
        },
        &job,
        &|| bar.inc(1),
    );
    bar.finish_and_clear();
    let (traces, seconds) = (traces?, began.elapsed().as_secs_f64());
    output.write(&png(&traces, shape, args.columns, args.zoom as usize)?)?;
    let digests: Vec<String> = traces.iter().map(|trace| format!("{:016x}", trace.digest())).collect();
    let per_second = traces.len() as f64 / seconds.max(1e-9);
    if args.json {
        print::json(&json!({
            "file": output.shown(), "backend": args.backend.to_string(), "sampler": args.sampler.sampler.name(),
            "steps": config.steps, "spacing": name(config.spacing), "eta": f64::from(config.eta_q16) / 65536.0,
            "seed": config.seed, "class": config.class, "guidance": args.sampler.guidance, "clip": name(config.clip),
            "arena_bytes": arena_bytes(&model, &config), "count": traces.len(), "digests": digests, "seconds": seconds, "images_per_second": per_second,
        }))?;
    } else {
        let mut text = format!(
            "{}: {} images, {} steps each, in {seconds:.2} s on {}\n",
            output.shown(),
            traces.len(),
            config.steps,
            args.backend
        );
        for (trace, digest) in traces.iter().zip(&digests).take(8) {
            text += &format!("  seed {}  digest {digest}\n", trace.seed);
        }
        if traces.len() > 8 {
            text += &format!("  and {} more\n", traces.len() - 8);
        }
        print::text(&text)?;
    }
    Ok(Held::Yes)
}

fn images(args: &Args, shape: Shape) -> Result<Vec<Wanted>, Failure> {
    let asked = match args.interpolate {
        Some(_) => Some(args.frames as usize),
        None => args.count.map(|count| count as usize),
    };
    let most = asked.unwrap_or(1).min(MOST_BYTES / shape.len().max(1));
    let strength = match args.inpaint {
        Some(_) => args.strength,
        None => args.strength.or(Some(0.5)),
    };
    let origins = match (&args.noise, &args.from, strength, args.interpolate) {
        (Some(noise), ..) => starts::noise(noise, shape)?,
        (None, Some(from), Some(strength), _) => vec![starts::image(from, strength, shape)?; most],
        (None, None, _, Some(second)) => between(second, most),
        (None, ..) => vec![],
    };
    let count = match (asked, args.noise.is_some()) {
        (Some(count), true) if count > origins.len() => {
            return Err(Failure::usage(format_args!(
                "--count {count}, but --noise holds {} samples",
                origins.len()
            ))
            .help("leave --count out"));
        }
        (Some(count), _) => count,
        (None, true) => origins.len(),
        (None, false) => 1,
    };
    let each = shape.len() * (args.zoom * args.zoom) as usize;
    if count.saturating_mul(each) > MOST_BYTES {
        let most = MOST_BYTES / each.max(1);
        return Err(Failure::usage(format_args!("{count} images do not fit one PNG file"))
            .help(format_args!("give --count up to {most}")));
    }
    let mut origins = origins.into_iter();
    let seeds = match args.interpolate {
        Some(_) => vec![args.sampler.seed; count],
        None => args.sampler.seeds(count),
    };
    Ok(seeds
        .into_iter()
        .map(|seed| Wanted {
            seed,
            origin: origins.next().unwrap_or(Origin::Seed),
        })
        .collect())
}

/// Starts evenly spread from the image's own noise to that of `second`.
fn between(second: u64, frames: usize) -> Vec<Origin> {
    let last = frames.saturating_sub(1).max(1) as f64;
    let part = |frame: usize| q16(frame as f64 / last) as u32;
    (0..frames)
        .map(|frame| Origin::Between {
            second,
            part_q16: part(frame),
        })
        .collect()
}

/// The grid as a PNG file.
pub fn png(traces: &[Trace], shape: Shape, columns: Option<u32>, zoom: usize) -> Result<Vec<u8>, Failure> {
    let pictures: Vec<Picture> = traces
        .iter()
        .map(|trace| Picture::of_sample(&trace.pixels, shape))
        .collect();
    let square = (1..).find(|side| side * side >= pictures.len()).unwrap_or(1);
    let columns = columns.map_or(square, |columns| columns as usize).min(pictures.len());
    encode(&grid(&pictures, columns).enlarged(zoom)).map_err(Failure::new)
}
