//! `mote inspect`: what a model file holds.

use super::args::name;
use super::failure::Failure;
use super::hints;
use super::plan;
use super::print::{self, Verdict, bytes, count, heading, table};
use super::target::{DescribedArgs, text};
use mote_firmware_sim::{Firmware, Parts};
use mote_runtime::internals::model::layout::FORMAT_VERSION;
use mote_runtime::internals::numeric::NUMERIC_VERSION;
use mote_runtime::{Method, Model};
use mote_tools::backend::apart::Cut;
use mote_tools::condition::FixedPoint;
use mote_tools::emit::stripped::missing;
use mote_tools::estimate::Estimate;
use mote_tools::inspect::{inspect, run_bytes};
use mote_tools::report::{MemoryMap, OperatorRow};
use mote_tools::samplers::sampler_name;
use mote_tools::{Arena, Fit, ModelFile, escaped};
use std::path::PathBuf;

/// Show what a model file holds, and which boards hold it
///
/// Flash, RAM and instructions of boards are estimates from measured firmware; `mote bench` measures them. Instructions are not
/// cycles.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mote inspect my.mote\n  mote inspect my.mote --board nrf52840\n  mote inspect my.mote --json | jq .boards"
)]
pub struct Args {
    /// The model file
    model: PathBuf,
    /// Say what it takes of this board: a simulated board or a chip (see `mote boards`), or a file that describes one
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = hints::board(), hide_possible_values = true)]
    board: Option<String>,
    #[command(flatten)]
    described: DescribedArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    let board = args.described.target(args.board.as_deref())?;
    let file = ModelFile::open(&args.model)?;
    let asked = board.map(|board| (file.fit(board.clone()), Estimate::of(&board, file.model())));
    if args.json {
        let mut object = inspect(&file);
        if let Some((fit, estimate)) = asked {
            object["board"] = serde_json::json!(fit);
            object["estimate"] = serde_json::json!(estimate);
        }
        print::json(&object)?;
    } else {
        let rows = OperatorRow::all(file.model());
        let last = match &asked {
            Some((fit, estimate)) => {
                let cut = Cut::remedy(fit, file.model(), file.bytes(), [0, 0]);
                let cut = cut.map_or(String::new(), |cut| format!("  {cut}\n"));
                text(Some(fit), estimate) + &cut
            }
            None => boards(&file.fits()),
        };
        print::text(&(facts(&file) + &operators(&rows) + &last))?;
    }
    Ok(Verdict::Yes)
}

/// Length and range of the condition vector.
fn condition(model: &Model<'_>) -> String {
    let Some(point) = FixedPoint::of(model) else {
        return "none".into();
    };
    let [low, high] = point.range();
    let dropped = point
        .null
        .map_or(String::new(), |null| format!(", {} stands for none", point.real(null)));
    format!(
        "{} numbers from {low} to {high}, of {} fraction bits{dropped}",
        model.condition_len(),
        point.bits
    )
}

fn facts(file: &ModelFile) -> String {
    let model = file.model();
    let (h, origin, memory) = (model.header(), file.provenance(), MemoryMap::of(model));
    let row = |label: &str, value: String| vec![label.to_owned(), value];
    let missing = missing(model);
    let unknown = if missing.contains(&"provenance") {
        "not in the file"
    } else {
        "unknown"
    };
    let word = |key: &str| {
        let said: String = origin[key].as_str().unwrap_or(unknown).chars().take(100).collect();
        escaped(&said)
    };
    let stripped = match missing[..] {
        [] => None,
        _ => Some(row(
            "left out",
            format!("{} (`mote convert --strip`)", missing.join(" and ")),
        )),
    };
    let classes = match (h.classes, h.null_class) {
        (0, _) => "none".into(),
        (n, Some(null)) => format!("{n}, {null} stands for no class"),
        (n, None) => n.to_string(),
    };
    let held = |method, label: &str| format!("{} under {label}", bytes(run_bytes(model, method, false) as u64));
    let with_state = match h.schedule.plan() {
        Some(planned) => held(planned.method(), sampler_name(planned.method())),
        None => format!(
            "{}, {}",
            held(Method::Ddim, "ddim and ddpm"),
            held(Method::DpmSolver2M, "dpm++ and heun")
        ),
    };
    let planned = h.schedule.plan().map(|planned| {
        let line = plan::described(model, planned);
        row("plans", format!("{line}: {}", plan::listed(model)))
    });
    let rows = [
        row("model", word("model")),
        row(
            "scheme",
            format!("{}, {} arithmetic", word("scheme"), name(h.arithmetic)),
        ),
        row(
            "sample",
            format!("{} x {} x {} (row, col, channel)", h.rows, h.cols, h.channels),
        ),
        row("classes", classes),
        row("condition", condition(model)),
        row(
            "runtime features",
            Parts::needed_by(model).of_firmware(Firmware::Compact).names().join(" ") + ", and fast for speed",
        ),
        row("predicts", name(h.prediction)),
        row(
            "sampled with",
            format!(
                "{} spacing, clipping {}, T = {}",
                name(h.schedule.spacing()),
                name(h.clip),
                h.train_steps
            ),
        ),
        row(
            "file",
            format!(
                "{}, weights {}",
                bytes(file.bytes().len() as u64),
                bytes(model.weights().len() as u64)
            ),
        ),
        row(
            "arena",
            format!(
                "{}, {} (no plan of it can be below {})",
                bytes(memory.arena_bytes as u64),
                match origin["arena"].as_str() {
                    None if missing.is_empty() => Arena::Fast.name().to_owned(),
                    _ => word("arena"),
                },
                bytes(memory.lower_bound_bytes as u64)
            ),
        ),
        row("with the state", with_state),
        row("work a step", format!("{} multiply-accumulates", count(h.macs))),
        row(
            "versions",
            format!(
                "format {FORMAT_VERSION}, numeric contract {NUMERIC_VERSION}, {}",
                word("converter")
            ),
        ),
        row("checkpoint", format!("sha256 {}", word("checkpoint_sha256"))),
        row("crc32", format!("{:08x}", model.crc())),
    ];
    let decoder = model.decoder().map(|decoder| {
        let ([channels, rows, cols], header) = (decoder.picture(), decoder.header());
        let value = format!(
            "{rows} x {cols} x {channels} (row, col, channel), {} of the file, arena {}, {} multiply-accumulates once a run",
            bytes(decoder.file_bytes().into()),
            bytes(header.arena_bytes.into()),
            count(header.macs)
        );
        row("picture", value)
    });
    let rows: Vec<Vec<String>> = rows.into_iter().chain(planned).chain(stripped).chain(decoder).collect();
    format!(
        "{}\n{}",
        heading(&escaped(&file.path().display().to_string())),
        table(&rows)
    )
}

fn operators(rows: &[OperatorRow]) -> String {
    let cells = |row: &OperatorRow| {
        vec![
            row.name.clone(),
            row.kind.clone(),
            row.shape.clone(),
            row.weights.clone(),
            count(row.macs),
            row.dtype.clone(),
        ]
    };
    let head = ["operator", "kind", "output", "weights", "MACs", "output as"]
        .map(str::to_owned)
        .to_vec();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    format!("\n{}\n{}", heading("Operators"), table(&lines))
}

/// The boards as a table.
pub fn boards(fits: &[Fit]) -> String {
    let cells = |fit: &Fit| {
        let of = |needed: u64, total: u64| format!("{} of {}", bytes(needed), bytes(total));
        vec![
            fit.name.clone(),
            fit.core.to_owned(),
            of(fit.flash_bytes, fit.flash_total_bytes),
            of(fit.ram_bytes, fit.ram_total_bytes),
            format!("~{}", count(fit.instructions_per_step)),
            if fit.fits {
                "fits".into()
            } else {
                format!("does not fit: {}", fit.why)
            },
        ]
    };
    let head = ["board", "core", "flash", "RAM", "instructions a step", ""]
        .map(str::to_owned)
        .to_vec();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(fits.iter().map(cells)).collect();
    format!(
        "\n{}\n{}  (estimates; instructions, not cycles; `mote bench` measures)\n",
        heading("Boards"),
        table(&lines)
    )
}
