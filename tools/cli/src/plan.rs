//! `mote plan`: the model file for a product that samples in one way.

use super::args::{RunArgs, name};
use super::failure::Failure;
use super::print::{self, Verdict, bytes, heading, table};
use mote_runtime::internals::model::plan::Plan;
use mote_runtime::{Method, Model};
use mote_tools::ModelFile;
use mote_tools::files::{Format, OutputFile};
use mote_tools::inspect::{planned_run, planned_timesteps};
use mote_tools::samplers::sampler_name;
use serde_json::json;
use std::path::PathBuf;

/// Write a model file that holds the steps of one run in place of the schedule
///
/// The sampler, the number of steps and what else chooses their coefficients are fixed; class, guidance, seed and the image to start from
/// stay free. The device computes no timestep and no coefficient, its firmware has no code for it (`mote inspect` shows the features
/// that are left), and every step has the bits that the same run of the first file has.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote plan my.mote -o product.mote --steps 20
  mote plan my.mote -o product.mote --sampler dpm++ --steps 10
  mote sample product.mote -o grid.png --count 16")]
pub struct Args {
    /// The model file
    model: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "OUT.mote")]
    output: PathBuf,
    #[command(flatten)]
    run: RunArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    let options = args.run.options();
    options.check()?;
    let output = OutputFile::prepare(&args.output, Format::Model, &[&args.model])?;
    let file = ModelFile::open(&args.model)?;
    let made = file.planned(&options)?;
    output.write(made.bytes())?;
    let model = made.model();
    let plan = options.config(file.model().header())?.plan();
    if args.json {
        print::json(&json!({
            "file": output.shown(), "bytes": made.bytes().len(), "bytes_before": file.bytes().len(),
            "sha256": made.sha256(), "plan": planned_run(model, plan),
        }))?;
        return Ok(Verdict::Yes);
    }
    let row = |label: &str, value: String| vec![label.to_owned(), value];
    let size = |bytes_: usize| format!("{} ({bytes_} bytes)", bytes(bytes_ as u64));
    let rows = [
        row("plans", described(model, plan)),
        row("timesteps", listed(model)),
        row(
            "file",
            format!("{}, before {}", size(made.bytes().len()), size(file.bytes().len())),
        ),
        row("sha256", made.sha256()),
    ];
    print::text(&format!("{}\n{}", heading(&output.shown()), table(&rows)))?;
    Ok(Verdict::Yes)
}

/// A plan in a line.
pub fn described(model: &Model<'_>, plan: Plan) -> String {
    let eta = match plan.method() {
        Method::Ddim => format!(", eta {}", f64::from(plan.eta_q16) / 65536.0),
        _ => String::new(),
    };
    format!(
        "{} steps of {}, {} spacing, clipping {}{eta}",
        plan.steps,
        sampler_name(plan.method()),
        name(plan.spacing()),
        name(model.header().clip)
    )
}

/// The same, as many as fit a line.
pub fn listed(model: &Model<'_>) -> String {
    let all: Vec<String> = planned_timesteps(model).iter().map(u32::to_string).collect();
    match all.as_slice() {
        [first @ .., last] if first.len() > 12 => format!("{}, ..., {last}", first[..11].join(", ")),
        all => all.join(", "),
    }
}
