//! `mote crosscheck`: the float graph against PyTorch, and a model against PyTorch from the same noise.

use super::failure::Failure;
use super::model_file::{ModelFile, checkpoint};
use super::print::{self, Held};
use mote_runtime::Model;
use mote_runtime::schedule::spacing::PrevRule;
use mote_runtime::{Config, RunError};
use mote_tools::backend::{Backend, Job, Origin, Target, Wanted};
use mote_tools::crosscheck::{Dtype, crosscheck};
use mote_tools::images::Shape;
use mote_tools::tensors::TensorFile;
use mote_tools::validate::psnr_db;
use serde::Serialize;
use std::path::{Path, PathBuf};

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
pub fn run(args: &Args) -> Result<Held, Failure> {
    let checkpoint = checkpoint(&args.checkpoint)?;
    let file = args.model.as_deref().map(ModelFile::read).transpose()?;
    let model = file.as_ref().map(ModelFile::parse).transpose()?;
    let dtype = match args.dtype {
        Precision::F64 => Dtype::F64,
        Precision::F32 => Dtype::F32,
    };
    let mut report = crosscheck(&checkpoint, &args.vectors, dtype)
        .map_err(|error| Failure::new(error).help("give the vectors that were exported with this checkpoint"))?;
    let quantized = match (&file, &model) {
        (Some(file), Some(model)) => Some(quantized(
            Target {
                model,
                bytes: file.bytes(),
            },
            &args.vectors,
        )?),
        _ => None,
    };
    if let Some(quantized) = &quantized {
        report.model = Some(serde_json::to_value(quantized).map_err(Failure::new)?);
    }
    if args.json {
        print::json(&report)?;
    } else {
        print::text(&(report.to_string() + &quantized.map_or(String::new(), |quantized| quantized.text())))?;
    }
    Ok(report.held.into())
}

/// A model from the reference's noise.
#[derive(Debug, Serialize)]
struct Quantized {
    /// Of the run named in `steps`.
    x0_psnr_db_mean: f64,
    x0_psnr_db_min: f64,
    /// Steps of the run that the two numbers above are of: 20 where there is one, the first otherwise.
    steps: u32,
    /// Every run that the file holds.
    runs: Vec<QuantizedRun>,
}

#[derive(Debug, Clone, Serialize)]
struct QuantizedRun {
    key: String,
    steps: u32,
    guidance: Option<f64>,
    x0_psnr_db_mean: f64,
    x0_psnr_db_min: f64,
}

impl Quantized {
    fn text(&self) -> String {
        let mut text = String::from("the model from the same noise, against PyTorch in f32\n");
        for run in &self.runs {
            let (mean, min) = (run.x0_psnr_db_mean, run.x0_psnr_db_min);
            text += &format!("  {:16} x0 PSNR {mean:.2} dB mean, {min:.2} dB worst\n", run.key);
        }
        text
    }
}

fn quantized(target: Target<'_>, path: &Path) -> Result<Quantized, Failure> {
    let file = TensorFile::read(path).map_err(Failure::new)?;
    let refuse =
        |what: String| Failure::new(format_args!("{}: {what}", path.display())).help("are the vectors of this model?");
    let noise = super::starts::noise(&path.display().to_string(), Shape::of(target.model.header()))?;
    let labels = file.values("labels").map(|labels| labels.data);
    let mut runs = Vec::new();
    for (key, steps, guidance) in runs_in(&file, target.model) {
        let expected = file.values(&key).map(|values| values.data).unwrap_or_default();
        if expected.len() != noise.len() * target.model.header().sample_len() {
            return Err(refuse(format!("`{key}` and the noise differ in size")));
        }
        let psnr = psnrs(target, &noise, labels.as_deref(), &expected, steps, guidance)?;
        runs.push(QuantizedRun {
            key,
            steps,
            guidance,
            x0_psnr_db_mean: psnr.iter().sum::<f64>() / psnr.len().max(1) as f64,
            x0_psnr_db_min: psnr.iter().copied().fold(f64::INFINITY, f64::min),
        });
    }
    let plain = || runs.iter().filter(|run| run.guidance.is_none());
    let chosen = plain().find(|run| run.steps == 20).or_else(|| plain().next()).cloned();
    let chosen = chosen.ok_or_else(|| refuse("it holds no final images, such as `ddim20.x0`".into()))?;
    Ok(Quantized {
        x0_psnr_db_mean: chosen.x0_psnr_db_mean,
        x0_psnr_db_min: chosen.x0_psnr_db_min,
        steps: chosen.steps,
        runs,
    })
}

/// `ddimS.x0` and `ddimS.cfgW.x0`.
fn runs_in(file: &TensorFile, model: &Model<'_>) -> Vec<(String, u32, Option<f64>)> {
    let parse = |key: String| {
        let inner = key.strip_prefix("ddim")?.strip_suffix(".x0")?;
        let (steps, guidance) = match inner.split_once(".cfg") {
            Some((steps, weight)) => (steps, Some(weight.parse().ok()?)),
            None => (inner, None),
        };
        let steps: u32 = steps.parse().ok()?;
        (1..=model.header().train_steps)
            .contains(&steps)
            .then_some((key, steps, guidance))
    };
    file.keys().into_iter().filter_map(parse).collect()
}

fn psnrs(
    target: Target<'_>,
    noise: &[Origin],
    labels: Option<&[f64]>,
    expected: &[f64],
    steps: u32,
    guidance: Option<f64>,
) -> Result<Vec<f64>, Failure> {
    let header = target.model.header();
    let len = header.sample_len();
    let mut psnrs = Vec::new();
    for (i, origin) in noise.iter().enumerate() {
        let label = labels
            .and_then(|labels| labels.get(i))
            .filter(|_| header.classes > 0)
            .map(|label| *label as u16);
        let config = Config {
            class: label,
            guidance_q16: guidance.map(super::args::q16),
            // The references were made by diffusers.
            prev: PrevRule::Diffusers,
            ..Config::of(header, steps)
        };
        let job = Job {
            config,
            images: vec![Wanted {
                seed: 0,
                origin: origin.clone(),
            }],
            known: None,
            operators: false,
        };
        let traces = Backend::Cpu.run(target, &job, &|| ())?;
        let found = traces
            .first()
            .map(|trace| trace.state.as_slice())
            .ok_or(RunError::Snapshot)?;
        let planes: Vec<f64> = mote_tools::tensors::to_chw(found, header.channels.into())
            .into_iter()
            .map(mote_tools::tensors::from_q24)
            .collect();
        psnrs.push(psnr_db(&planes, &expected[i * len..(i + 1) * len]));
    }
    Ok(psnrs)
}
