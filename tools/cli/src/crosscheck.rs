//! `mote crosscheck`: the float graph against PyTorch, and a model against PyTorch from the same noise.

use super::failure::Failure;
use super::print::{self, Verdict};
use super::progress;
use mote_tools::crosscheck::{Dtype, ModelReport, crosscheck_model, crosscheck_with};
use mote_tools::{Checkpoint, ModelFile};
use std::path::PathBuf;

/// Compare the float graph with reference activations exported from PyTorch
///
/// Every key of VECTORS is run and compared: blocks, single passes, trajectories step by step, final images.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote crosscheck fashion16-tiny/ fashion16-tiny/vectors.safetensors
  mote crosscheck fashion16-tiny/ fashion16-tiny/vectors.safetensors --dtype f32 --model fashion.mote --json")]
pub struct Args {
    /// The checkpoint's folder
    checkpoint: PathBuf,
    /// The reference activations, a safetensors file
    vectors: PathBuf,
    /// Type that the float graph runs in
    #[arg(long, value_enum, default_value = "f64")]
    dtype: Precision,
    /// Also run this model from the same noise
    #[arg(long, value_name = "M.mote")]
    model: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Precision {
    /// 64-bit
    F64,
    /// 32-bit, as the reference
    F32,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    let checkpoint = print::noted(Checkpoint::open(&args.checkpoint)?);
    let file = args.model.as_deref().map(ModelFile::open).transpose()?;
    let dtype = match args.dtype {
        Precision::F64 => Dtype::F64,
        Precision::F32 => Dtype::F32,
    };
    let bar = progress::bar("comparing", 1);
    let show = |done: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    };
    let report = crosscheck_with(&checkpoint, &args.vectors, dtype, &show);
    bar.finish_and_clear();
    let mut report = report?;
    let quantized = file
        .as_ref()
        .map(|file| crosscheck_model(file, &args.vectors))
        .transpose()?;
    if let Some(quantized) = &quantized {
        report.model = Some(serde_json::to_value(quantized).map_err(Failure::new)?);
    }
    if args.json {
        print::json(&report)?;
    } else {
        print::text(&(report.to_string() + &quantized.as_ref().map_or(String::new(), text)))?;
    }
    Ok(report.held.into())
}

fn text(model: &ModelReport) -> String {
    let mut text = String::from("the model from the same noise, against PyTorch in f32\n");
    for run in &model.runs {
        let (mean, min) = (run.x0_psnr_db_mean, run.x0_psnr_db_min);
        text += &format!("  {:16} x0 PSNR {mean:.2} dB mean, {min:.2} dB worst\n", run.key);
    }
    text
}
