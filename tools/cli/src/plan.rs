//! `mote plan`: the model file for a product that samples in one way.

use super::args::{CourseArgs, method_name, name};
use super::failure::Failure;
use super::model_file::{ModelFile, sha256};
use super::output_file::OutputFile;
use super::print::{self, Held, bytes, heading, table};
use mote_host::memory::AlignedBytes;
use mote_runtime::blob::plan::{Plan, Row};
use mote_runtime::{Method, Model};
use mote_tools::emit::planned::{PlanError, planned};
use serde_json::{Value, json};
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
    course: CourseArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Held, Failure> {
    let file = ModelFile::read(&args.model)?;
    let config = args.course.config(file.parse()?.header())?;
    let output = OutputFile::prepare(&args.output, &[file.path()])?;
    let made = AlignedBytes::copy_of(&planned(file.bytes(), &config).map_err(|error| refusal(&error))?);
    let model = Model::parse(made.bytes())?;
    output.write(made.bytes())?;
    let plan = config.plan();
    if args.json {
        print::json(&json!({
            "file": output.shown(), "bytes": made.bytes().len(), "bytes_before": file.bytes().len(),
            "sha256": sha256(made.bytes()), "plan": object(&model, plan),
        }))?;
        return Ok(Held::Yes);
    }
    let row = |label: &str, value: String| vec![label.to_owned(), value];
    let size = |bytes_: usize| format!("{} ({bytes_} bytes)", bytes(bytes_ as u64));
    let rows = [
        row("plans", described(&model, plan)),
        row("timesteps", listed(&model)),
        row(
            "file",
            format!("{}, before {}", size(made.bytes().len()), size(file.bytes().len())),
        ),
        row("sha256", sha256(made.bytes())),
    ];
    print::text(&format!("{}\n{}", heading(&output.shown()), table(&rows)))?;
    Ok(Held::Yes)
}

fn refusal(error: &PlanError) -> Failure {
    match error {
        PlanError::Run(error) => (*error).into(),
        PlanError::Planned => Failure::new(error).help("plan the file that it was planned from"),
        PlanError::HeunPrev => Failure::new(error).help("leave --prev out"),
        PlanError::Parse(_) | PlanError::Chain => Failure::new(error),
    }
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
        method_name(plan.method()),
        name(plan.spacing()),
        name(model.header().clip)
    )
}

/// A plan for `--json`.
pub fn object(model: &Model<'_>, plan: Plan) -> Value {
    json!({
        "sampler": method_name(plan.method()), "steps": plan.steps, "spacing": name(plan.spacing()), "prev": name(plan.prev()),
        "eta": f64::from(plan.eta_q16) / 65536.0, "clip": name(model.header().clip), "timesteps": timesteps(model),
    })
}

/// The timesteps of a planned file, those of second calls included.
fn timesteps(model: &Model<'_>) -> Vec<u32> {
    let rows = (0..).map_while(|i| Row::read(model.schedule(), i));
    rows.map(Row::timestep).collect()
}

/// The same, as many as fit a line.
pub fn listed(model: &Model<'_>) -> String {
    let all: Vec<String> = timesteps(model).iter().map(u32::to_string).collect();
    match all.as_slice() {
        [first @ .., last] if first.len() > 12 => format!("{}, ..., {last}", first[..11].join(", ")),
        all => all.join(", "),
    }
}
