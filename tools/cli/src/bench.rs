//! `mote bench`: what a step costs.

use super::cost::{markdown, text};
use super::failure::Failure;
use super::flash;
use super::hints;
use super::kernels;
use super::print::{self, Verdict};
use super::progress;
use super::target;
use mote_firmware_sim::{Firmware, RuntimeFlash};
use mote_tools::backend::{Backend, BackendError};
use mote_tools::bench::Bench;
use mote_tools::estimate::Estimate;
use mote_tools::kernels::KernelCount;
use mote_tools::validate::backends_to_check;
use mote_tools::{Conditions, Error, ModelFile, Target};
use std::ffi::OsString;
use std::path::PathBuf;

/// Measure a step on this machine and on simulated boards
///
/// Boards give instructions, counted by the simulator and the same on every run: instructions, not cycles. This machine gives
/// milliseconds. Flash, RAM and stack are those of the firmware that ran.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("single").multiple(true), after_help = "\
Examples:
  mote bench my.mote
  mote bench my.mote --backends board:mps2-an386,board:virt --operators --json
  mote bench my.mote --board nrf52840,pico
  mote bench my.mote --board nrf52840 --trace
  mote bench --kernels --board mps2-m0,mps2-an386")]
pub struct Args {
    /// The model file
    #[arg(required_unless_present_any = ["kernels", "flash"])]
    model: Option<PathBuf>,
    /// Backends, separated by commas: cpu, portable, wasm, cuda:layered, cuda:resident, board:NAME, board:NAME/compact (smaller, slower) [default: cpu and boards that are here]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = hints::backend(), hide_possible_values = true, requires = "model")]
    backends: Vec<Backend>,
    /// Steps to measure [default: 2, all of a Gaussian chain, or what the file plans]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), requires = "model")]
    steps: Option<u32>,
    /// Images that are made together on this machine, where images a second are measured [default: two a thread]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000), requires = "model")]
    batch: Option<u64>,
    /// The condition vector of a model that takes one [default: the middle of its range]
    #[arg(
        long,
        value_name = "FILE.npz[:KEY]|X,Y,...",
        allow_hyphen_values = true,
        requires = "model"
    )]
    condition: Option<OsString>,
    /// Show every operator (--json always does)
    #[arg(long, requires = "model")]
    operators: bool,
    /// Measure single operators of standard shapes on simulated boards, beside CMSIS-NN's figures
    #[arg(long, group = "single")]
    kernels: bool,
    /// Compile parts of the runtime alone, for speed and for size, and show what each takes of flash
    #[arg(long, group = "single")]
    flash: bool,
    /// Boards, separated by commas. With a model: milliseconds and millijoules there, modelled from instructions that a simulated board of that core counts; a chip's name or a file that describes a board will do. With --kernels and --flash: simulated boards [default: a core of each class]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = hints::board(), hide_possible_values = true)]
    board: Vec<String>,
    /// With --board: trace every instruction of a step through a timing model of the core, in place of the cycles that are typical of it; about a minute for ten million instructions
    #[arg(long, requires = "model", requires = "board")]
    trace: bool,
    /// Print the tables in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What `counts` says in JSON.
const COUNTS: &str = "instructions, not cycles";

/// What is measured without a model.
struct Single {
    kernels: Vec<KernelCount>,
    flash: Vec<RuntimeFlash>,
}

impl Single {
    fn text(&self, markdown: bool) -> String {
        let mut out = String::new();
        if !self.kernels.is_empty() {
            let table = if markdown { kernels::markdown } else { kernels::text };
            out += &(table(&self.kernels) + "\n");
        }
        if !self.flash.is_empty() {
            let table = if markdown { flash::markdown } else { flash::text };
            out += &(table(&self.flash) + "\n");
        }
        out
    }
}

/// Milliseconds of a step on `target`, from the count of a simulated board that runs the same code where there is one here. With `trace`
/// each instruction is timed as well.
fn estimate(target: &Target, bench: &Bench<'_>, file: &ModelFile, trace: bool) -> Result<Estimate, Failure> {
    let bar = progress::bar(&target.name, 1);
    if trace {
        let traced = match target.stand_in() {
            Some(board) => bench
                .trace(board, target.core)
                .map_err(BackendError::from)
                .map_err(Error::from)?,
            None => None,
        };
        bar.finish_and_clear();
        let traced = traced.ok_or_else(|| {
            let core = target.core.name;
            Error::usage(format!(
                "{}: a {core} has no timing model, or no simulated board runs its code",
                target.name
            ))
            .help("leave --trace out: typical cycles of that core are taken")
        })?;
        return Ok(Estimate::of_traced(target, file.model(), &traced));
    }
    let count = target.stand_in().and_then(|board| {
        bench
            .measure(Backend::Board(board, Firmware::Fast))
            .instructions_per_step
    });
    bar.finish_and_clear();
    Ok(match count {
        Some(count) => Estimate::of_measured(target, file.model(), count),
        None => Estimate::of(target, file.model()),
    })
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    let targets: Vec<Target> = args
        .board
        .iter()
        .map(|name| Target::named(name))
        .collect::<Result<_, _>>()?;
    let simulated = || targets.iter().map(Target::emulator).collect::<Result<Vec<_>, _>>();
    let single = Single {
        kernels: if args.kernels {
            kernels::all(&simulated()?)?
        } else {
            vec![]
        },
        flash: if args.flash { flash::all(&simulated()?)? } else { vec![] },
    };
    let Some(path) = &args.model else {
        if args.json {
            print::json(&serde_json::json!({
                "counts": COUNTS, "backends": [], "kernels": single.kernels, "runtime_flash": single.flash,
            }))?;
        } else {
            print::text(&single.text(args.markdown))?;
        }
        return Ok(Verdict::Yes);
    };
    let file = ModelFile::open(path)?;
    let mut bench = Bench::new(&file, args.steps, args.batch)?;
    if let Some(given) = &args.condition {
        bench = bench.on(Conditions::parse(given)?)?;
    }
    let estimates = targets
        .iter()
        .map(|target| estimate(target, &bench, &file, args.trace))
        .collect::<Result<Vec<_>, _>>()?;
    // Where boards alone are asked for, nothing else is measured.
    let chosen = match (args.backends.as_slice(), targets.as_slice()) {
        ([], [_, ..]) => vec![],
        (backends, _) => backends_to_check(backends, file.opened(), bench.config()),
    }
    .into_iter();
    // The oracle is there to be right, not to be quick.
    let chosen: Vec<_> = chosen
        .filter(|choice| choice.asked || !matches!(choice.backend, Backend::Oracle(_)))
        .collect();
    let bar = progress::bar("measuring", chosen.len() as u64);
    let (mut measured, mut held) = (Vec::new(), true);
    for choice in chosen {
        bar.set_message(choice.backend.to_string());
        let row = bench.measure(choice.backend);
        held &= row.why.is_none() || (!row.available && !choice.asked);
        measured.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if args.json {
        print::json(&serde_json::json!({
            "file": file.path().display().to_string(), "macs_per_step": file.model().header().macs, "steps": bench.config().steps,
            "counts": COUNTS, "backends": measured, "kernels": single.kernels, "runtime_flash": single.flash,
            "modelled": estimates,
        }))?;
    } else {
        let table = match measured.as_slice() {
            [] => String::new(),
            measured if args.markdown => markdown(measured),
            measured => text(measured, args.operators),
        };
        let modelled: String = estimates.iter().map(|estimate| target::text(None, estimate)).collect();
        print::text(&(single.text(args.markdown) + &table + &modelled))?;
    }
    Ok(held.into())
}
