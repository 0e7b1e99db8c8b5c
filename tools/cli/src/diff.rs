//! `mote diff`: two model files beside each other.

use super::args::SamplerArgs;
use super::failure::Failure;
use super::print::{self, Verdict, heading, table};
use super::progress;
use mote_tools::diff::{Difference, Formats, difference_with};
use mote_tools::{ModelFile, Request, escaped};
use serde_json::Value;
use std::path::PathBuf;

/// Compare two model files: formats, memory, and the images of the same seeds
///
/// Facts and operators that both have alike are left out. The distance of images is PSNR with peak 2, of final states before they become
/// pixels. Exit status 0 says that the files were compared, whatever was found.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote diff w8a8.mote auto.mote
  mote diff old.mote new.mote --seeds 96 --steps 50
  mote diff old.mote new.mote --seeds 0 --json")]
pub struct Args {
    /// The first model file
    #[arg(value_name = "A.mote")]
    first: PathBuf,
    /// The second model file
    #[arg(value_name = "B.mote")]
    second: PathBuf,
    /// Images of each to compare; 0 compares the files alone
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u32).range(0..=100_000), allow_negative_numbers = true)]
    seeds: u32,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    if args.seeds == 0
        && let Some(option) = args.sampler.given()
    {
        let problem = format_args!("{option} would do nothing: --seeds 0 compares the files alone");
        return Err(Failure::usage(problem).help(format_args!("leave {option} out, or give --seeds")));
    }
    let files = [ModelFile::open(&args.first)?, ModelFile::open(&args.second)?];
    let request = match args.seeds {
        0 => None,
        n => Some(Request {
            count: Some(n as usize),
            ..args.sampler.request()?
        }),
    };
    // What cannot be sampled has no steps: the comparison says why.
    let steps = |request: &Request, file: &ModelFile| {
        let sampling = request.sampling(file.model());
        sampling.map_or(0, |sampling| {
            sampling.images.len() as u64 * u64::from(sampling.config.steps)
        })
    };
    let total = request
        .iter()
        .flat_map(|request| files.iter().map(move |file| steps(request, file)));
    let bar = progress::bar("sampling", total.sum());
    let found = difference_with([&files[0], &files[1]], request.as_ref(), &|| bar.inc(1));
    bar.finish_and_clear();
    let found = found?;
    if args.json {
        print::json(&found)?;
    } else {
        let names = [&args.first, &args.second].map(|path| escaped(&path.display().to_string()));
        print::text(&shown(&names, &found))?;
    }
    Ok(Verdict::Yes)
}

fn shown(names: &[String; 2], found: &Difference) -> String {
    let mut text = if found.same_bytes {
        format!("{} and {} are the same bytes\n", names[0], names[1])
    } else {
        let mut rows = vec![vec![String::new(), names[0].clone(), names[1].clone(), String::new()]];
        rows.extend(found.facts.iter().map(|fact| {
            let [a, b] = [&fact.values[0], &fact.values[1]].map(value);
            vec![fact.what.to_owned(), a, b, String::new()]
        }));
        format!("{}\n{}", heading("Files"), table(&rows))
    };
    if !found.operators.is_empty() {
        let head = ["operator", "output, weights", "output, weights", ""];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(found.operators.iter().map(|operator| {
            let [a, b] = [0, 1].map(|i| formats(operator.formats[i].as_ref()));
            vec![escaped(&operator.name), a, b, String::new()]
        }));
        text += &format!(
            "\n{}\n{}  ({} more are alike)\n",
            heading("Operators"),
            table(&rows),
            found.operators_alike
        );
    }
    if let Some(images) = &found.images {
        text += &format!("\n{}\n", heading("Images"));
        text += &match images.equal == images.count {
            true => format!("  all {} have the same bits\n", images.count),
            false => format!(
                "  PSNR {:.2} dB mean, {:.2} dB farthest (seed {}) of {}; {} have the same bits\n",
                images.psnr_db_mean, images.psnr_db_min, images.farthest_seed, images.count, images.equal
            ),
        };
    }
    text
}

fn value(value: &Value) -> String {
    let list = |items: &Vec<Value>| items.iter().map(self::value).collect::<Vec<_>>().join(" ");
    match value {
        Value::Null => "none".into(),
        Value::String(text) => escaped(text),
        Value::Array(items) => list(items),
        other => escaped(&other.to_string()),
    }
}

fn formats(formats: Option<&Formats>) -> String {
    match formats {
        None => "not there".into(),
        Some(of) if of.weights.is_empty() => format!("{}, {} B", of.output, of.out_bytes),
        Some(of) => format!(
            "{}, {} ({} B, {} B)",
            of.output, of.weights, of.out_bytes, of.weight_bytes
        ),
    }
}
