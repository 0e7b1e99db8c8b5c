//! `mote split`: a model file in two, for weights that the core cannot address.

use super::failure::Failure;
use super::print::{self, Verdict, bytes, count, heading, table};
use super::target::DescribedArgs;
use mote_runtime::stream_bytes;
use mote_tools::estimate::Streaming;
use mote_tools::files::{Format, OutputFile, sha256};
use mote_tools::{Error, ModelFile};
use serde_json::json;
use std::path::PathBuf;

/// Cut a model file in two: what the core addresses, and the weights that a reader fetches in blocks
///
/// For weights in SPI flash or on an SD card. The firmware opens the model that is written by `Model::parse_apart` and runs it by
/// `Streamed`, which reads each convolution's rows into one of two buffers while the core computes with the other. Every step has the bits
/// of the file that was cut.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote split my.mote -o small.mote
  mote split my.mote -o small.mote --weights flash.weights --channels 16
  mote split my.mote -o small.mote --board stm32f405rg --speed 20")]
pub struct Args {
    /// The model file
    model: PathBuf,
    /// The model file to write, without the weights of convolutions
    #[arg(short, long, value_name = "OUT.mote")]
    output: PathBuf,
    /// The file of weights to write [default: beside it, with the ending .weights]
    #[arg(long, value_name = "OUT.weights")]
    weights: Option<PathBuf>,
    /// Output channels that a block of the largest rows has: more of them take more RAM and gather the input less often
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    channels: u16,
    /// What the reader gives, megabytes a second [default: 20]
    #[arg(long, value_name = "MB/S")]
    speed: Option<f64>,
    /// A board, chip or board.toml to model a step for: `mote boards` lists them
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    #[command(flatten)]
    described: DescribedArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    let target = args.described.target(args.board.as_deref())?;
    let speed = args.speed.unwrap_or(20.0);
    if !(speed.is_finite() && speed > 0.0) {
        return Err(Error::usage(format_args!("--speed {speed} is no speed")).help("give megabytes a second"));
    }
    if args.speed.is_some() && target.is_none() {
        return Err(Error::usage("--speed without a board").help("say which board, or leave --speed out"));
    }
    let output = OutputFile::prepare(&args.output, Format::Model, &[&args.model])?;
    let beside = args
        .weights
        .clone()
        .unwrap_or_else(|| args.output.with_extension("weights"));
    let weights = OutputFile::prepare(&beside, Format::Weights, &[&args.model])?;
    let file = ModelFile::open(&args.model)?;
    let made = file.split()?;
    // The weights first: a model is there only where its weights are.
    weights.write(&made.weights)?;
    output.write(&made.model)?;
    let (model, channels) = (file.model(), usize::from(args.channels));
    let (least, buffers) = (stream_bytes(model, 1), stream_bytes(model, channels));
    let arena = model.header().arena_bytes;
    let streaming = target.map(|target| Streaming::of(&target, model, channels, 1e6 * speed));
    if args.json {
        print::json(&json!({
            "file": output.shown(), "weights": weights.shown(), "bytes": made.model.len(), "weight_bytes": made.weights.len(),
            "bytes_before": file.bytes().len(), "sha256": sha256(&made.model), "weights_sha256": sha256(&made.weights),
            "arena_bytes": arena, "channels": channels, "buffer_bytes": buffers, "least_buffer_bytes": least, "step": streaming,
        }))?;
        return Ok(Verdict::Yes);
    }
    let row = |label: &str, value: String| vec![label.to_owned(), value];
    let size = |n: usize| format!("{} ({n} bytes)", bytes(n as u64));
    let mut rows = vec![
        row(
            "model",
            format!("{}, before {}", size(made.model.len()), size(file.bytes().len())),
        ),
        row("weights", format!("{}, {}", weights.shown(), size(made.weights.len()))),
        row(
            "buffers",
            format!(
                "{} for {channels} channels a block; at least {least} bytes",
                size(buffers)
            ),
        ),
        row("activations", size(arena as usize)),
    ];
    if let Some(step) = &streaming {
        rows.push(row(
            "a step reads",
            format!(
                "{} bytes in {} blocks: {:.1} ms",
                count(step.bytes_per_step),
                step.blocks_per_step,
                step.transfer_ms
            ),
        ));
        if let (Some([least, most]), Some(over)) = (step.ms_per_step, step.over_longer) {
            let value = format!("{least:.1} to {most:.1} ms (modelled), {over:.2} times the longer of core and reader");
            rows.push(row("a step takes", value));
        }
    }
    print::text(&format!("{}\n{}", heading(&output.shown()), table(&rows)))?;
    Ok(Verdict::Yes)
}
