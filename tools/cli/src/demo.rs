//! `mote demo`: everything, on the bundled checkpoint.

use super::convert::with_bar;
use super::failure::Failure;
use super::print::{self, Verdict, bytes, count, heading, table, verdict};
use super::{boards, command_line, progress, validate};
use mote_firmware_sim::{Availability, Firmware, Parts, compile_ahead};
use mote_runtime::Config;
use mote_tools::backend::{OpenModel, Sampling};
use mote_tools::files::{Format, OutputFile, folder};
use mote_tools::images::{encode, grid, sheet};
use mote_tools::report::live::{Expected, Live};
use mote_tools::report::{ReportData, assemble, html};
use mote_tools::validate::{CheckedBackend, CheckedRuns, FloatComparison, Outcome};
use mote_tools::{Backend, Board, Checkpoint, Conversion, Converted, FloatDevice, ModelFile, Scheme, Trace};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Boards that are tried: one of the size that people have, one with room.
const BOARDS: [&str; 2] = ["netduinoplus2", "mps2-an386"];
/// Images in the grid, and their steps.
const IMAGES: u64 = 16;
const STEPS: u32 = 20;
/// Seeds and steps that every backend is held to; short, as boards are simulated an instruction at a time.
const CHECKED: u64 = 2;
const CHECKED_STEPS: u32 = 10;
/// A mean PSNR below this, dB, would mean that the conversion is broken.
const LEAST_PSNR_DB: f64 = 30.0;
/// Side of a pixel in the pictures.
const ZOOM: usize = 4;

/// Show everything on the bundled checkpoint
///
/// Converts a small network for images of clothes, samples from it, runs the same seeds on every backend found here, compares them
/// bit by bit, compares with the float network, and writes images and a report.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  mote demo\n  mote demo -o demo --json")]
pub struct Args {
    /// Folder for model, images and report
    #[arg(short, long, value_name = "DIR", default_value = "mote-demo")]
    output: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            output: "mote-demo".into(),
            json: false,
        }
    }
}

/// What was made and found.
struct Shown {
    traces: Vec<Trace>,
    outcomes: Vec<Outcome>,
    float: FloatComparison,
    /// Digests that are known.
    expected: Vec<Expected>,
    held: bool,
}

/// Runs it. The boards' firmware is compiled meanwhile, which takes one core; what goes wrong with it, the boards will say.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let here = BOARDS
                .into_iter()
                .filter_map(Board::named)
                .filter(|board| board.available() == Availability::Ok);
            let parts = Parts::of(mote_tools::BUNDLED_PARTS);
            here.for_each(|board| drop(compile_ahead(board, &parts, Firmware::Fast)));
        });
        demonstrate(args)
    })
}

fn demonstrate(args: &Args) -> Result<Verdict, Failure> {
    folder(&args.output)?;
    let out = |name: &str, format| OutputFile::prepare(&args.output.join(name), format, &[]);
    let files = [
        out("fashion16-tiny.mote", Format::Model)?,
        out("grid.png", Format::Png)?,
        out("film.png", Format::Png)?,
        out("report.html", Format::Html)?,
    ];
    let checkpoint = Checkpoint::bundled()?;
    say(args, "1. Converting the bundled checkpoint");
    let converted = with_bar(|show| Conversion::new(Scheme::Auto).convert_with(&checkpoint, show))?;
    let file = converted.file()?;
    let (opened, model) = (file.opened(), file.model());
    files[0].write(file.bytes())?;
    let traces = sample(args, opened)?;
    // The picture first: it waits for no board.
    files[1].write(&encode(&sheet(&traces, model, None, ZOOM))?)?;
    say(args, &format!("   {} has them", files[1].shown()));
    let shown = show(args, opened, &checkpoint, traces)?;
    let frames = assemble::frames(model, &Config::of(model.header(), STEPS), None)?;
    let pictures: Vec<_> = frames.iter().map(|(frame, _)| frame.clone()).collect();
    files[2].write(&encode(&grid(&pictures, pictures.len()).enlarged(ZOOM))?)?;
    let mut data = ReportData::with_boards(opened, &command_line());
    data.samples = assemble::samples(&shown.traces, file.picture_shape())?;
    data.samples_caption = format!("Seeds 0 to {}, {STEPS} steps, on this machine.", IMAGES - 1);
    data.films = vec![assemble::film(&frames, "x_t, seed 0")?];
    data.quality = Some(assemble::quality(model, &shown.float)?);
    data.backends = assemble::backends(&shown.outcomes);
    data.sensitivity = assemble::sensitivity(&converted);
    data.live = Live::of(model, file.bytes(), CHECKED_STEPS).map(|live| Live {
        expected: shown.expected.clone(),
        ..live
    });
    files[3].write(html(&data).as_bytes())?;
    if args.json {
        print::json(&json!({
            "files": files.each_ref().map(OutputFile::shown), "held": shown.held, "backends": shown.outcomes,
            "float": shown.float, "digests": shown.traces.iter().map(|t| format!("{:016x}", t.digest())).collect::<Vec<_>>(),
        }))?;
    } else {
        print::text(&summary(&file, &converted, &checkpoint, &shown, &args.output))?;
    }
    Ok(shown.held.into())
}

fn sample(args: &Args, opened: OpenModel<'_>) -> Result<Vec<Trace>, Failure> {
    let config = Config::of(opened.model.header(), STEPS);
    say(args, "2. Sampling 16 images on this machine");
    let bar = progress::bar("sampling", IMAGES * u64::from(STEPS));
    let traces = Backend::Cpu.run(opened, &Sampling::of_seeds(config, 0..IMAGES), &|| bar.inc(1));
    bar.finish_and_clear();
    Ok(traces?)
}

fn show(args: &Args, opened: OpenModel<'_>, checkpoint: &Checkpoint, traces: Vec<Trace>) -> Result<Shown, Failure> {
    let config = Config::of(opened.model.header(), STEPS);
    say(
        args,
        "3. Holding every backend to the same bits (the first run builds the firmware)",
    );
    let boards = BOARDS
        .into_iter()
        .filter_map(Board::named)
        .map(|board| Backend::Board(board, Firmware::Fast));
    let backends = [Backend::Oracle(None), Backend::Cpu].into_iter().chain(boards);
    let runs = CheckedRuns {
        config: Config {
            steps: CHECKED_STEPS,
            ..config
        },
        seeds: (0..CHECKED).collect(),
        conditions: vec![],
        factor: None,
        backends: backends
            .map(|backend| CheckedBackend {
                backend,
                asked: false,
                seeds: CHECKED as usize,
            })
            .collect(),
        operators: false,
    };
    let outcomes = validate::with_bar(opened, &runs)?;
    say(args, "4. Comparing with the float network");
    let float = validate::compare(opened, checkpoint, &CheckedRuns { config, ..runs }, FloatDevice::Cpu)?;
    let config = Config {
        steps: CHECKED_STEPS,
        ..config
    };
    let checked = Backend::Cpu.run(opened, &Sampling::of_seeds(config, 0..CHECKED), &|| ())?;
    let there = outcomes.iter().filter(|outcome| outcome.held && outcome.images > 0);
    let mut expected: Vec<Expected> = there
        .flat_map(|outcome| {
            assemble::expected(
                &checked[..outcome.images.min(checked.len())],
                CHECKED_STEPS,
                &outcome.name,
            )
        })
        .collect();
    expected.extend(assemble::expected(&traces, STEPS, "cpu"));
    let held = outcomes.iter().all(|outcome| outcome.held) && float.held(Some(LEAST_PSNR_DB));
    Ok(Shown {
        traces,
        outcomes,
        expected,
        float,
        held,
    })
}

/// What is being done, for people.
fn say(args: &Args, what: &str) {
    if !args.json {
        let _ = std::io::Write::write_all(&mut anstream::stderr(), format!("{}\n", heading(what)).as_bytes());
    }
}

fn summary(file: &ModelFile, converted: &Converted, checkpoint: &Checkpoint, shown: &Shown, folder: &Path) -> String {
    let (header, size) = (file.model().header(), file.bytes().len());
    let fits: Vec<String> = file.fits().into_iter().filter(|f| f.fits).map(|f| f.name).collect();
    let row = |label: &str, value: String| vec![label.to_owned(), value];
    let float = &shown.float;
    let good = verdict(float.held(Some(LEAST_PSNR_DB)));
    let model = table(&[
        row("parameters", count(checkpoint.graph.param_count() as u64)),
        row(
            "model file",
            format!(
                "{}, of which weights {}",
                bytes(size as u64),
                bytes(converted.emitted.weight_bytes as u64)
            ),
        ),
        row("arena", bytes(header.arena_bytes.into())),
        row("work a step", format!("{} multiply-accumulates", count(header.macs))),
        row("fits", fits.join(", ")),
        row(
            "against float",
            format!(
                "x0 PSNR {:.1} dB mean, {:.1} dB worst of {}: {good}",
                float.x0_psnr_db_mean, float.x0_psnr_db_min, float.images
            ),
        ),
    ]);
    let mut text = format!(
        "\n{}\n{model}\n{}",
        heading("The model"),
        validate::backends(&shown.outcomes)
    );
    let found: Vec<_> = mote_firmware_sim::boards()
        .iter()
        .map(|board| (board, board.available()))
        .collect();
    let missing = boards::installs(&found);
    if !missing.is_empty() {
        text += &format!("\n{}\n", heading("Could not run here, and how to install it"));
        missing.iter().for_each(|line| text += &format!("  {line}\n"));
    }
    let place = |name: &str| folder.join(name).display().to_string();
    text += &format!("\n{}\n", heading("Look at"));
    text += &table(&[
        row(&place("report.html"), "the whole story on one page".into()),
        row(&place("grid.png"), format!("{IMAGES} images")),
        row(&place("film.png"), "one image, from noise on".into()),
        row(&place("fashion16-tiny.mote"), "try `mote inspect` on it".into()),
    ]);
    text + &format!("\n{}\n", verdict(shown.held))
}
