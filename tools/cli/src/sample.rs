//! `mote sample`: images from a model.

use super::args::{self, SamplerArgs, method_name, name, q16};
use super::failure::Failure;
use super::model_file::ModelFile;
use super::output_file::OutputFile;
use super::print::{self, Held};
use super::progress;
use super::samples::Out;
use super::starts;
use mote_runtime::Config;
use mote_runtime::sampler::arena_bytes;
use mote_runtime::schedule::coefficients::Prediction;
use mote_tools::backend::{Backend, Job, Origin, Target, Trace, Wanted};
use mote_tools::images::{Picture, Shape, encode, grid, scatter};
use serde_json::json;
use std::path::{Path, PathBuf};
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
  mote sample my.mote -o between.png --seed 3 --interpolate 8 --frames 9 --columns 9
  mote sample my.mote --out samples.npz --count 50000 --backend cuda")]
pub struct Args {
    /// The model file
    model: PathBuf,
    /// The PNG file to write
    #[arg(short, long, value_name = "OUT.png", required_unless_present = "out")]
    output: Option<PathBuf>,
    /// Write every image by itself, however many: into a folder as PNG files, or into one archive for NumPy
    #[arg(long, value_name = "DIR|FILE.npz", conflicts_with_all = ["output", "columns", "zoom"])]
    out: Option<PathBuf>,
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
    /// Where to run: cpu, oracle, cuda (cuda:layered, cuda:resident), board:NAME or board:NAME/compact (see `mote boards`)
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
    let target = Target {
        model: &model,
        bytes: file.bytes(),
    };
    if let Some(out) = &args.out {
        return many(args, out, target, config);
    }
    let path = args.output.as_deref().unwrap_or(Path::new(""));
    let output = OutputFile::prepare(path, &[file.path()])?;
    args.backend.available()?;
    let images = images(args, shape)?;
    let job = Job {
        config,
        images,
        known: known(args, shape)?,
        operators: false,
    };
    let bar = progress::bar(
        format!("sampling on {}", args.backend),
        u64::from(config.steps) * job.images.len() as u64,
    );
    let began = Instant::now();
    let traces = args.backend.run(target, &job, &|| bar.inc(1));
    bar.finish_and_clear();
    let (traces, seconds) = (traces?, began.elapsed().as_secs_f64());
    let picture = if model.header().prediction == Prediction::Kernel {
        points(&traces, model.header().channels.into(), args.zoom as usize)?
    } else {
        png(&traces, shape, args.columns, args.zoom as usize)?
    };
    output.write(&picture)?;
    let digests: Vec<String> = traces.iter().map(|trace| format!("{:016x}", trace.digest())).collect();
    let per_second = traces.len() as f64 / seconds.max(1e-9);
    if args.json {
        print::json(&json!({
            "file": output.shown(), "backend": args.backend.to_string(), "sampler": method_name(config.method),
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

/// The elements that --inpaint keeps.
fn known(args: &Args, shape: Shape) -> Result<Option<Vec<i32>>, Failure> {
    let both = args.inpaint.as_deref().zip(args.from.as_deref());
    both.map(|(mask, image)| starts::known(image, mask, shape)).transpose()
}

/// Every image by itself.
fn many(args: &Args, out: &Path, target: Target<'_>, config: Config) -> Result<Held, Failure> {
    let shape = Shape::of(target.model.header());
    args.backend.available()?;
    let job = Job {
        config,
        images: images(args, shape)?,
        operators: false,
        known: known(args, shape)?,
    };
    let out = Out::prepare(out, &[&args.model], job.images.len(), shape)?;
    let bar = progress::bar(
        format!("sampling on {}", args.backend),
        u64::from(config.steps) * job.images.len() as u64,
    );
    let began = Instant::now();
    let made = out.write(args.backend, target, &job, shape, &|steps| bar.inc(steps));
    bar.finish_and_clear();
    let (made, seconds) = (made?, began.elapsed().as_secs_f64());
    let (count, digest) = (made.digests.len(), format!("{:016x}", made.digest()));
    if args.json {
        print::json(&json!({
            "file": out.shown(), "backend": args.backend.to_string(), "sampler": method_name(config.method),
            "steps": config.steps, "seed": config.seed, "class": config.class, "count": count, "digest": digest,
            "seconds": seconds, "images_per_second": count as f64 / seconds.max(1e-9),
        }))?;
    } else {
        print::text(&format!(
            "{}: {count} images, {} steps each, in {seconds:.2} s on {}\n  digest {digest} (of the digests of all images)\n",
            out.shown(),
            config.steps,
            args.backend
        ))?;
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
    if args.out.is_none() && count.saturating_mul(each) > MOST_BYTES {
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

/// The samples of a Gaussian chain as points of the plane of their first two channels, from -2.5 to 2.5.
fn points(traces: &[Trace], channels: usize, zoom: usize) -> Result<Vec<u8>, Failure> {
    let real = |v: i32| f64::from(v) / 16_777_216.0;
    let of_pixel = |p: &u8| f64::from(*p) / 127.5 - 1.0;
    let point = |trace: &Trace| match trace.state[..] {
        [x, y, ..] if channels > 1 => [real(x), real(y)],
        // Boards send pixels, which end at -1 and 1.
        _ => core::array::from_fn(|i| trace.pixels.get(i).map_or(0.0, of_pixel)),
    };
    let points: Vec<[f64; 2]> = traces.iter().map(point).collect();
    encode(&scatter(&points, 256, 2.5).enlarged(zoom)).map_err(Failure::new)
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
