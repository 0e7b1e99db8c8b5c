//! `mote convert`: from a checkpoint to a model file.

mod chain;
mod decoder;
mod summary;

use super::failure::Failure;
use super::hints;
use super::print::{self, Verdict};
use super::target::DescribedArgs;
use super::{command_line, progress};
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_tools::files::{Format, OutputFile, folder};
use mote_tools::report::assemble;
use mote_tools::request::conversion::{Found, checked_name, is_latent, is_range};
use mote_tools::{Checkpoint, ConversionRequest, Progress, Scheme, Target, plan};
use std::ffi::OsString;
use std::path::PathBuf;
use summary::{object, summary};

/// Convert a trained checkpoint to a model file
///
/// CHECKPOINT is a diffusers pipeline folder that holds unet/ (config.json and diffusion_pytorch_model.safetensors) and
/// scheduler/, or its unet/ or unet_ema/ folder, or one folder that holds all of these files; or net.pt2 of torch.export.save or net.onnx of torch.onnx.export, or its folder with mote.json and scheduler/; or a
/// policy's .ckpt, or its folder; or an autoencoder's folder, whose decoder alone becomes the file; or a chain's folder, which `mote train --preset` wrote. The same checkpoint and options give the same bytes on every machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote convert fashion16-tiny/ -o fashion.mote
  mote convert fashion16-tiny/ -o fashion.mote --scheme w8a8 --board netduinoplus2
  mote convert fashion16-tiny/ -o fashion.mote --board nrf52840
  mote convert fashion16-tiny/ -o fashion.mote --flash 512K --ram 128K --core cortex-m4f --clock 64MHz
  mote convert fashion16-tiny/ -o fashion.mote --report report/ --json
  mote convert taesd/ -o decoder.mote --latent 16x16 --scheme w8a8")]
pub struct Args {
    /// The checkpoint's folder or file
    checkpoint: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "M.mote")]
    output: PathBuf,
    /// Number formats: auto (chosen tensor by tensor), f16, w16a16, w8a16, w8a8, w4a16 or w4a8
    #[arg(long, default_value = "auto", value_parser = hints::scheme(), hide_possible_values = true)]
    scheme: Scheme,
    /// Stay within this board's flash and RAM, or refuse: a simulated board or a chip (see `mote boards`), or a file that describes one
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = hints::board(), hide_possible_values = true)]
    board: Option<String>,
    #[command(flatten)]
    described: DescribedArgs,
    /// What activations get of memory: fast gives each convolution a block of columns of its input, small does so only where that does not enlarge the arena, with the same bits; large keeps every activation whole, so that more of them can have 16 bits in w8a8 and w4a8 [default: fast, or small where only that fits the board]
    #[arg(long, value_enum)]
    arena: Option<Arena>,
    /// Spend conversion time on the images, of w8a8, w8a16, w4a8 and w4a16: bring channels to like sizes, round weights together, and give activations 16 bits by measured error where no arena grows. A step may take more instructions, and a note says how many
    #[arg(long)]
    refine: bool,
    /// The model's name [default: the checkpoint's own, whatever its folder is called]
    #[arg(long, value_name = "NAME", value_parser = checked_name)]
    name: Option<String>,
    /// The label that stands for no class, for guidance and for runs without --class [default: the one that the checkpoint names, as those of `mote train` do]
    #[arg(long, value_name = "C")]
    null_class: Option<usize>,
    /// Keep the labels below N and that of no class, which becomes label N: a table may have rows for labels that were never trained
    #[arg(long, value_name = "N")]
    labels: Option<usize>,
    /// Condition vectors to calibrate with, an array of a .npz, .npy or safetensors file (row, ...) [default: those that the checkpoint's mote.json names, else drawn from the range]
    #[arg(long, value_name = "FILE.npz[:KEY]")]
    calibration: Option<OsString>,
    /// The least and the largest number of a condition vector; runs clamp to it [default: what the checkpoint's mote.json says]
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true, value_parser = range)]
    condition_range: Option<[f64; 2]>,
    /// The number that stood for every number of a condition vector where training dropped it: runs can be guided then
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    condition_null: Option<f64>,
    /// Rows and columns of a latent, for an autoencoder's folder alone, whose decoder becomes the file [default: what its config.json says]
    #[arg(long, value_name = "ROWSxCOLS", value_parser = extents)]
    latent: Option<[usize; 2]>,
    /// Of a network that learned its variances (variance_type learned_range): cut them away, or keep them for --sampler ddpm, which adds their channels to the output
    #[arg(long, value_enum, default_value = "cut")]
    learned_variance: LearnedVariance,
    /// Leave names and provenance out of the file: a device never reads them, and samples are the same
    #[arg(long)]
    strip: bool,
    /// Write a report of the conversion, report.html, into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What becomes of variances that a network learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LearnedVariance {
    /// The mean alone is deployed
    Cut,
    /// The file holds both
    Keep,
}

/// What the arena is planned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Arena {
    /// A block of columns for every convolution
    Fast,
    /// A block where it is free
    Small,
    /// As fast, with every activation kept whole and computed once
    Large,
}

impl From<Arena> for plan::Arena {
    fn from(arena: Arena) -> Self {
        match arena {
            Arena::Fast => Self::Fast,
            Arena::Small => Self::Small,
            Arena::Large => Self::Large,
        }
    }
}

/// Rows and columns.
fn extents(text: &str) -> Result<[usize; 2], String> {
    let sides = text.split_once('x').map(|(rows, cols)| [rows, cols].map(str::parse));
    match sides {
        Some([Ok(rows), Ok(cols)]) if is_latent([rows, cols]) => Ok([rows, cols]),
        _ => Err("extents are rows and columns from 1 to 8192, such as 16x16".into()),
    }
}

/// A range, least number first.
fn range(text: &str) -> Result<[f64; 2], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|v| v.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([low, high]) if is_range([*low, *high]) => Ok([*low, *high]),
        _ => Err("a range is two numbers, the least first, such as -1,1".into()),
    }
}

/// What is asked for.
fn request(args: &Args, board: Option<&Target>) -> ConversionRequest {
    ConversionRequest {
        board: board.cloned(),
        arena: args.arena.map(Into::into),
        refine: args.refine,
        name: args.name.clone(),
        null_class: args.null_class,
        labels: args.labels,
        calibration: args.calibration.clone(),
        condition_range: args.condition_range,
        condition_null: args.condition_null,
        latent: args.latent,
        keep_variances: args.learned_variance == LearnedVariance::Keep,
        strip: args.strip,
        report: args.report.as_ref().map(|_| command_line()),
        ..ConversionRequest::of(args.scheme)
    }
}

/// The network's checkpoint, with the notes of how it was read.
fn asked(args: &Args, request: &ConversionRequest) -> Result<Checkpoint, Failure> {
    let mut checkpoint = print::noted(Checkpoint::open(&args.checkpoint)?);
    request.said_of(&mut checkpoint)?;
    if checkpoint.graph.classes.is_some() && checkpoint.null_class.is_none() {
        print::note(
            "the network has labels, and the checkpoint names none that stands for no class: runs need --class, and there is no \
             guidance (`--null-class` says which one it is)",
        );
    }
    Ok(checkpoint)
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    let board = args.described.target(args.board.as_deref())?;
    let request = request(args, board.as_ref());
    match Found::at(&args.checkpoint) {
        Found::Chain => return chain::run(args, &request),
        Found::Decoder(folder) => return decoder::run(args, &request, &folder),
        Found::Network => {}
    }
    let output = OutputFile::prepare(&args.output, Format::Model, &[&args.checkpoint])?;
    let report = args.report.as_deref().map(|report| {
        folder(report)?;
        OutputFile::prepare(&report.join("report.html"), Format::Html, &[&args.checkpoint])
    });
    let report = report.transpose()?;
    report.as_ref().map_or(Ok(()), |report| report.apart(&output))?;
    let checkpoint = asked(args, &request)?;
    let converted = with_bar(|show| request.network(&checkpoint, show))?;
    converted.notes.iter().for_each(print::note);
    let file = converted.file()?;
    output.write(file.bytes())?;
    if let (plan::Arena::Small, None, Some(board)) = (converted.arena, args.arena, &board) {
        print::note(format_args!(
            "the fast arena does not fit {}: this is the small one, the same bits in more instructions (`--arena`)",
            board.name
        ));
    }
    if let Some(note) = converted.conditions.as_ref().and_then(|given| given.note.as_deref()) {
        print::note(note);
    }
    if file.model().header().clip == Clip::Stock {
        print::note(
            "the checkpoint clips x0 and keeps epsilon, as diffusers does; this brightens images and spoils guidance: \
             compare `mote sample --clip off` and `--clip rederived`",
        );
    }
    if let Some(report) = &report {
        let bar = progress::bar("drawing the report", 1);
        let show = |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        };
        let page = assemble::of_conversion_with(&converted, &checkpoint, &command_line(), &show);
        bar.finish_and_clear();
        report.write(page?.as_bytes())?;
    }
    if args.json {
        print::json(&object(args, board.as_ref(), &output, &file, &converted, &checkpoint))?;
    } else {
        print::text(&summary(args, board.as_ref(), &output, &file, &converted, &checkpoint))?;
    }
    Ok(Verdict::Yes)
}

/// Converts, with bars on stderr.
pub fn with_bar<T>(convert: impl FnOnce(&(dyn Fn(Progress) + Sync)) -> Result<T, Failure>) -> Result<T, Failure> {
    let bar = progress::bar("reading", 1);
    let show = |progress: Progress| {
        let (what, done, of) = match progress {
            Progress::Calibrating(done, of) => ("calibrating", done, of),
            Progress::Measuring(done, of) => ("measuring sensitivity", done, of),
        };
        bar.set_message(what);
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    };
    let converted = convert(&show);
    bar.finish_and_clear();
    converted
}
