//! A model from the noise of the references, against PyTorch's final images.

use crate::Error;
use crate::condition::Conditions;
use crate::model_file::ModelFile;
use crate::request::{Axes, Request, RunOptions, StartFrom, noise_of_file};
use crate::tensors::{TensorFile, from_q24, to_chw};
use crate::validate::psnr_db;
use mote_runtime::Model;
use mote_runtime::internals::schedule::spacing::PrevRule;
use serde::Serialize;
use std::path::Path;

/// A model from the reference's noise. Keys of `crosscheck --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelReport {
    /// Of the run named in `steps`: PSNR of the final images, peak 2, mean over images in dB.
    pub x0_psnr_db_mean: f64,
    /// The worst image's.
    pub x0_psnr_db_min: f64,
    /// Steps of the run that the two numbers above are of: 20 where there is one, the first otherwise.
    pub steps: u32,
    /// Every run that the file holds.
    pub runs: Vec<ModelRun>,
}

/// One run of [`ModelReport`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelRun {
    /// The reference's key.
    pub key: String,
    /// Steps.
    pub steps: u32,
    /// Weight of guidance.
    pub guidance: Option<f64>,
    /// PSNR of the final images, peak 2, mean over images in dB.
    pub x0_psnr_db_mean: f64,
    /// The worst image's.
    pub x0_psnr_db_min: f64,
}

/// Runs `file` from the noise of the references in `vectors`, on this machine, and compares the final images.
///
/// # Errors
/// Of kind `Input` where the vectors are not this model's; of kind `Refused` where the model cannot make one of their runs.
pub fn crosscheck_model(file: &ModelFile, vectors: &Path) -> Result<ModelReport, Error> {
    let references = TensorFile::read(vectors)?;
    let refuse = |what: String| {
        Error::input(format_args!("{}: {what}", vectors.display())).help("are the vectors of this model?")
    };
    let noise = noise_of_file(vectors, file.shape())?;
    let labels = references.numbers("labels").ok().map(|labels| labels.data);
    let conditions = conditions(&references, file.model(), vectors)?;
    let mut runs = Vec::new();
    for (key, steps, guidance) in runs_in(&references, file.model()) {
        let expected = references.numbers(&key)?;
        let axes = Axes::of(&expected.shape, file.shape()).unwrap_or(Axes::Planes);
        let each = file.shape().len().max(1);
        let expected: Vec<f64> = (expected.data.chunks(each))
            .flat_map(|sample| axes.to_chw(sample, file.shape()))
            .collect();
        if expected.len() != noise.len() * file.model().header().sample_len() {
            return Err(refuse(format!("`{key}` and the noise differ in size")));
        }
        let given = (labels.as_deref(), conditions.as_ref());
        let psnr = psnrs(file, &noise, given, &expected, steps, guidance)?;
        runs.push(ModelRun {
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
    Ok(ModelReport {
        x0_psnr_db_mean: chosen.x0_psnr_db_mean,
        x0_psnr_db_min: chosen.x0_psnr_db_min,
        steps: chosen.steps,
        runs,
    })
}

/// The condition vectors of the references, of a model that takes them.
fn conditions(references: &TensorFile, model: &Model<'_>, vectors: &Path) -> Result<Option<Conditions>, Error> {
    if model.condition_len() == 0 {
        return Ok(None);
    }
    let cond = references.numbers("cond")?;
    let name = format!("{}: `cond`", vectors.display());
    Ok(Some(Conditions::new(name, model.condition_len(), cond.data)?))
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
    file: &ModelFile,
    noise: &[Vec<i32>],
    (labels, conditions): (Option<&[f64]>, Option<&Conditions>),
    expected: &[f64],
    steps: u32,
    guidance: Option<f64>,
) -> Result<Vec<f64>, Error> {
    let header = file.model().header();
    let len = header.sample_len();
    let mut psnrs = Vec::new();
    for (i, sample) in noise.iter().enumerate() {
        let label = labels
            .and_then(|labels| labels.get(i))
            .filter(|_| header.classes > 0)
            .map(|label| *label as u16);
        let request = Request {
            run: RunOptions {
                steps: Some(steps),
                // The references were made by diffusers.
                prev: Some(PrevRule::Diffusers),
                ..RunOptions::default()
            },
            class: label,
            guidance,
            condition: conditions.map(|rows| rows.alone(i)),
            start: StartFrom::Noise(vec![sample.clone()]),
            ..Request::default()
        };
        let traces = file.sample(&request)?;
        let found = traces.first().map_or(&[][..], |trace| &trace.state);
        let planes: Vec<f64> = to_chw(found, header.channels.into())
            .into_iter()
            .map(from_q24)
            .collect();
        psnrs.push(psnr_db(&planes, &expected[i * len..(i + 1) * len]));
    }
    Ok(psnrs)
}
