//! `mote convert`: from a checkpoint to a model file.

mod chain;

use super::failure::Failure;
use super::model_file::{checkpoint, sha256};
use super::output_file::{OutputFile, folder};
use super::page;
use super::print::{self, Held, bytes, count};
use super::progress;
use mote_firmware_sim::{Board, Parts};
use mote_host::memory::AlignedBytes;
use mote_runtime::blob::tensor::TensorId;
use mote_runtime::schedule::coefficients::Clip;
use mote_runtime::{Feature, Model};
use mote_tools::backend::footprint::{Fit, firmware_of, ram_beside_arena};
use mote_tools::backend::named_board;
use mote_tools::chain::files::is_chain;
use mote_tools::convert::{ConvertError, Converted, Options, Progress, convert};
use mote_tools::emit::Emitted;
use mote_tools::import::Checkpoint;
use mote_tools::names::Names;
use mote_tools::plan;
use mote_tools::quantize::auto::{AutoError, Budget};
use mote_tools::quantize::context::QuantizeError;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::report::{MemoryMap, OperatorRow};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Convert a trained checkpoint to a model file
///
/// CHECKPOINT is a diffusers pipeline folder that holds unet/ (config.json and diffusion_pytorch_model.safetensors) and
/// scheduler/, or its unet/ folder; or a chain's folder, which `mote train --preset` wrote. The same checkpoint and options give the same bytes on every machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote convert fashion16-tiny/ -o fashion.mote
  mote convert fashion16-tiny/ -o fashion.mote --scheme w8a8 --board netduinoplus2
  mote convert fashion16-tiny/ -o fashion.mote --report report/ --json")]
pub struct Args {
    /// The checkpoint's folder
    checkpoint: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "M.mote")]
    output: PathBuf,
    /// Number formats: auto (chosen tensor by tensor), f16, w8a16, w8a8, w4a16 or w4a8
    #[arg(long, default_value = "auto", value_parser = scheme)]
    scheme: Scheme,
    /// Stay within this board's flash and RAM, or refuse (see `mote boards`)
    #[arg(long, value_name = "NAME", value_parser = named_board)]
    board: Option<&'static Board>,
    /// Memory for the convolutions' columns of input: fast gives each a block of them, small does so only where that does not enlarge the arena; it changes speed, never a result [default: fast, or small where only that fits the board]
    #[arg(long, value_enum)]
    arena: Option<Arena>,
    /// Kernel family that the weights are laid out for: one layout serves every family at full speed, so the file is the same
    #[arg(long, value_enum, default_value = "portable")]
    packing: Packing,
    /// Write a report of the conversion, report.html, into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Families of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Packing {
    /// For every core
    Portable,
    /// Cortex-M4, M7, M33
    Dsp,
    /// Cortex-M55
    Helium,
}

/// What the arena is planned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Arena {
    /// A block of columns for every convolution
    Fast,
    /// A block where it is free
    Small,
}

impl From<Arena> for plan::Arena {
    fn from(arena: Arena) -> Self {
        match arena {
            Arena::Fast => Self::Fast,
            Arena::Small => Self::Small,
        }
    }
}

fn scheme(text: &str) -> Result<Scheme, String> {
    text.parse()
}

/// Runs it.
pub fn run(args: &Args) -> Result<Held, Failure> {
    if is_chain(&args.checkpoint) {
        return chain::run(args);
    }
    let output = OutputFile::prepare(&args.output, &[])?;
    if let Some(report) = &args.report {
        folder(report)?;
        OutputFile::prepare(&report.join("report.html"), &[])?;
    }
    let checkpoint = checkpoint(&args.checkpoint)?;
    let converted = with_bar(&checkpoint, args.scheme, args.board, args.arena.map(plan::Arena::from))?;
    let file = AlignedBytes::copy_of(&converted.emitted.bytes);
    let model = Model::parse(file.bytes())?;
    if let Some(board) = args.board {
        check_fit(board, &model, file.bytes().len(), args, &checkpoint)?;
    }
    output.write(file.bytes())?;
    if let (plan::Arena::Small, None, Some(board)) = (converted.arena, args.arena, args.board) {
        print::note(format_args!(
            "the fast arena does not fit {}: this is the small one, the same bits in more instructions (`--arena`)",
            board.name
        ));
    }
    if model.header().clip == Clip::Stock {
        print::note(
            "the checkpoint clips x0 and keeps epsilon, as diffusers does; this brightens images and spoils guidance: \
             compare `mote sample --clip off` and `--clip rederived`",
        );
    }
    if let Some(report) = &args.report {
        let page = page::of_conversion(&model, &converted, &checkpoint)?;
        OutputFile::prepare(&report.join("report.html"), &[])?.write(page.as_bytes())?;
    }
    if args.json {
        print::json(&object(args, &output, &model, &converted, &checkpoint))?;
    } else {
        print::text(&summary(args, &output, &model, &converted, &checkpoint))?;
    }
    Ok(Held::Yes)
}

/// Converts, with bars on stderr.
pub fn with_bar(
    checkpoint: &Checkpoint,
    scheme: Scheme,
    board: Option<&'static Board>,
    arena: Option<plan::Arena>,
) -> Result<Converted, Failure> {
    let options = Options {
        scheme,
        budget: board.map(|board| budget(board, checkpoint)),
        arena,
    };
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
    let converted = convert(checkpoint, &options, &show);
    bar.finish_and_clear();
    converted.map_err(|error| match (error, board) {
        (ConvertError::Quantize(QuantizeError::Auto(error)), Some(board)) => too_small(board, checkpoint, &error),
        (error, _) => Failure::new(error).help("see CHECKPOINT in `mote convert --help`"),
    })
}

/// That `auto` found nothing for `board`, and which boards it would find something for.
fn too_small(board: &'static Board, checkpoint: &Checkpoint, error: &AutoError) -> Failure {
    let parts = parts_of_integers(checkpoint);
    let needs = |board: &Board| {
        let flash = error.model_needed as u64 + firmware_of(board).code_for(&parts);
        (
            flash,
            error.arena_needed as u64 + ram_beside_activations(board, checkpoint),
        )
    };
    let fits = |board: &&Board| {
        let (flash, ram) = needs(board);
        flash <= board.flash.length.into() && ram <= board.ram.length.into()
    };
    let boards: Vec<&str> = mote_firmware_sim::boards()
        .iter()
        .filter(fits)
        .map(|board| board.name)
        .collect();
    let (flash, ram) = needs(board);
    let what = format!(
        "{} does not fit {} with weights of 8 bits: at its smallest it needs {flash} bytes of flash, of {}, and {ram} bytes of RAM, of {}",
        checkpoint.name, board.name, board.flash.length, board.ram.length
    );
    let int4 = if ram <= board.ram.length.into() {
        "try --scheme w4a8, whose weights take two fifths less flash; "
    } else {
        ""
    };
    Failure::new(what).help(match boards.as_slice() {
        [] => format!("{int4}no board here holds it: train a smaller network"),
        boards => format!("{int4}it fits {}; or train a smaller network", boards.join(", ")),
    })
}

/// State, statics and stack.
fn ram_beside_activations(board: &Board, checkpoint: &Checkpoint) -> u64 {
    let state = checkpoint.graph.sample_shape().iter().product::<usize>() as u64 * 4;
    state.next_multiple_of(16) + ram_beside_arena(board, true)
}

/// The parts of the runtime that the checkpoint needs as integers, from its f16 model, which takes no calibration; all where
/// there is none.
fn parts_of_integers(checkpoint: &Checkpoint) -> Parts {
    let parts = |converted: Converted| {
        let file = AlignedBytes::copy_of(&converted.emitted.bytes);
        let needed = Parts::needed_by(&Model::parse(file.bytes()).ok()?);
        let others = needed.features().iter().copied().filter(|part| *part != Feature::F16);
        Some(Parts::of(others.chain([Feature::Integer, Feature::W16])))
    };
    let converted = convert(checkpoint, &Options::of(Scheme::F16), &|_| {});
    converted.ok().and_then(parts).unwrap_or_else(Parts::all)
}

/// What is left of a board for model file and arena.
fn budget(board: &'static Board, checkpoint: &Checkpoint) -> Budget {
    let left = |total: u32, taken: u64| u64::from(total).saturating_sub(taken) as usize;
    Budget {
        model_bytes: left(
            board.flash.length,
            firmware_of(board).code_for(&parts_of_integers(checkpoint)),
        ),
        arena_bytes: left(board.ram.length, ram_beside_activations(board, checkpoint)),
    }
}

/// Refuses a model that its board cannot hold, and says what would.
fn check_fit(
    board: &'static Board,
    model: &Model<'_>,
    size: usize,
    args: &Args,
    from: &Checkpoint,
) -> Result<(), Failure> {
    let fit = Fit::of(board, model, size, false);
    if fit.fits {
        return Ok(());
    }
    let smaller: &[Scheme] = match args.scheme {
        Scheme::F16 => &[Scheme::W8A16, Scheme::W8A8, Scheme::W4A16, Scheme::W4A8],
        Scheme::W8A16 => &[Scheme::W8A8, Scheme::W4A16, Scheme::W4A8],
        Scheme::W8A8 | Scheme::W4A16 => &[Scheme::W4A8],
        Scheme::W4A8 | Scheme::Auto => &[],
    };
    let holds = |scheme: Scheme| {
        let file = AlignedBytes::copy_of(
            &with_bar(from, scheme, Some(board), args.arena.map(plan::Arena::from))
                .ok()?
                .emitted
                .bytes,
        );
        let model = Model::parse(file.bytes()).ok()?;
        Fit::of(board, &model, file.bytes().len(), false)
            .fits
            .then(|| format!("--scheme {scheme} fits it"))
    };
    let mut help: Vec<String> = smaller.iter().find_map(|scheme| holds(*scheme)).into_iter().collect();
    let boards = fitting(model, size);
    help.push(match boards.as_slice() {
        [] => "no board here holds this model".into(),
        boards => format!("this model fits {}", boards.join(", ")),
    });
    let what = format!(
        "{} as {} does not fit {}: it {}",
        from.name, args.scheme, fit.name, fit.why
    );
    Err(Failure::new(what).help(help.join("; ")))
}

fn object(
    args: &Args,
    output: &OutputFile,
    model: &Model<'_>,
    converted: &Converted,
    checkpoint: &Checkpoint,
) -> Value {
    let (header, emitted) = (model.header(), &converted.emitted);
    json!({
        "file": output.shown(),
        "bytes": emitted.bytes.len(),
        "sha256": sha256(&emitted.bytes),
        "crc32": format!("{:08x}", model.crc()),
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": checkpoint.sha256,
        "scheme": args.scheme.name(),
        "packing": "portable",
        "arena": converted.arena.name(),
        "params": checkpoint.graph.param_count(),
        "weight_bytes": emitted.weight_bytes,
        "arena_bytes": header.arena_bytes,
        "arena_lower_bound_bytes": emitted.plan.lower_bound_bytes,
        "macs_per_step": header.macs,
        "board": args.board.map(|board| Fit::of(board, model, emitted.bytes.len(), false)),
        "tensors": tensors(model),
    })
}

/// Activations first, then weights.
pub fn tensors(model: &Model<'_>) -> Vec<Value> {
    let names = Names::of(model);
    let blocks = MemoryMap::of(model).blocks;
    let activations = blocks
        .iter()
        .enumerate()
        .filter(|(_, block)| !block.scratch)
        .map(|(i, block)| {
            let tensor = model.tensor(TensorId(i as u16));
            json!({
                "name": names.tensor(i), "kind": "activation", "dtype": block.dtype, "bytes": block.bytes,
                "shape": tensor.map(|t| [t.rows, t.cols, t.channels]), "scale": tensor.map(|t| t.scale),
                "zero_point": tensor.map(|t| t.zero_point), "offset": block.offset,
            })
        });
    let rows = OperatorRow::all(model);
    let weights = rows.iter().filter(|row| !row.weights.is_empty()).map(|row| {
        json!({ "name": format!("{}.weight", row.name), "kind": "weight", "dtype": row.weights, "bytes": row.weight_bytes })
    });
    activations.chain(weights).collect()
}

fn row(label: &str, value: String) -> Vec<String> {
    vec![label.to_owned(), value]
}

/// How large the file is.
fn file_row(emitted: &Emitted) -> Vec<String> {
    let (size, weights) = (emitted.bytes.len(), bytes(emitted.weight_bytes as u64));
    row(
        "file",
        format!("{} ({size} bytes), weights {weights}", bytes(size as u64)),
    )
}

/// What a step costs, which boards hold the model, and its hash.
fn last_rows(model: &Model<'_>, emitted: &Emitted) -> [Vec<String>; 3] {
    let work = format!("{} multiply-accumulates", count(model.header().macs));
    let fits = match fitting(model, emitted.bytes.len())[..] {
        [] => "no board here".into(),
        ref fits => fits.join(", "),
    };
    [
        row("work a step", work),
        row("fits", fits),
        row("sha256", sha256(&emitted.bytes)),
    ]
}

/// Names of the boards that hold a model of so many bytes.
fn fitting(model: &Model<'_>, size: usize) -> Vec<&'static str> {
    let all = Fit::of_all(model, size, false);
    all.iter().filter(|fit| fit.fits).map(|fit| fit.name).collect()
}

fn summary(
    args: &Args,
    output: &OutputFile,
    model: &Model<'_>,
    converted: &Converted,
    checkpoint: &Checkpoint,
) -> String {
    let (header, emitted) = (model.header(), &converted.emitted);
    let mut rows = vec![
        row(
            "checkpoint",
            format!(
                "{}, {} parameters",
                checkpoint.name,
                count(checkpoint.graph.param_count() as u64)
            ),
        ),
        row("scheme", args.scheme.to_string()),
        file_row(emitted),
        row(
            "arena",
            format!(
                "{}, {} (no plan of it can be below {})",
                bytes(header.arena_bytes.into()),
                converted.arena.name(),
                bytes(emitted.plan.lower_bound_bytes as u64)
            ),
        ),
    ];
    rows.extend(last_rows(model, emitted));
    if let Some(report) = &args.report {
        rows.push(row("report", report.join("report.html").display().to_string()));
    }
    format!("{}\n{}", print::heading(&output.shown()), print::table(&rows))
}
