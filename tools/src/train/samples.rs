//! A grid of samples from the weights as they are, in float: DDIM, or Euler's method for flow matching.

use crate::images::{Picture, Shape, grid};
use crate::tensors::to_hwc;
use mote_graph::float::FloatError;
use mote_graph::float::ddim::Clip;
use mote_graph::float::samplers::FloatRun;
use mote_graph::schedule::{Precision, PreviousRule, SchedulerConfig};
use mote_train::gradient::Call;
use mote_train::random::{Purpose, normal};
use mote_train::trainer::Trainer;

/// Images in the grid, its columns, steps of each image.
const COUNT: usize = 64;
const COLUMNS: usize = 8;
const STEPS: usize = 50;
/// Side of a pixel, for images of up to 16 pixels.
const ZOOM: usize = 4;

/// The grid, in `steps` steps where they are few: the same noise every time. Labels take turns where there are any.
pub fn samples(
    trainer: &mut Trainer<'_>,
    [channels, rows, cols]: [usize; 3],
    classes: usize,
    config: &SchedulerConfig,
    steps: Option<usize>,
) -> Result<Picture, FloatError> {
    let len = channels * rows * cols;
    let mut noise = vec![0.0; COUNT * len];
    normal(0, Purpose::Evaluation, 2, 0, &mut noise);
    let sampler = FloatRun {
        scheduler: config,
        precision: Precision::F64,
        steps: steps.unwrap_or(STEPS).min(config.num_train_timesteps),
        prev: PreviousRule::List,
        method: config.levels.default_method(),
        clip: if config.clip_sample {
            Clip::Stock {
                range: config.clip_sample_range,
            }
        } else {
            Clip::Off
        },
        eta: 0.0,
    };
    let labels: Vec<usize> = if classes > 0 {
        (0..COUNT).map(|i| i % classes).collect()
    } else {
        vec![]
    };
    let params = trainer.deployed();
    let model = |x: &[f32], time: f64| -> Result<Vec<f32>, FloatError> {
        // Training has whole timesteps.
        let timesteps = vec![libm::round(time) as usize; COUNT];
        let call = Call {
            x,
            timesteps: &timesteps,
            labels: &labels,
            condition: &[],
        };
        let output = trainer.forward(&params, call)?;
        // Of a learned variance only the prediction counts.
        let width = output.len() / COUNT;
        Ok(output
            .chunks_exact(width)
            .flat_map(|y| y[..len].iter().copied())
            .collect())
    };
    let images = sampler.sample(noise, model, |_| Ok::<_, FloatError>(vec![]), |_| ())?;
    let shape = Shape { rows, cols, channels };
    let picture = |image: &[f32]| {
        let pixel = |v: f32| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
        Picture::of_sample(
            &to_hwc(image, channels).into_iter().map(pixel).collect::<Vec<u8>>(),
            shape,
        )
    };
    let pictures: Vec<Picture> = images.chunks_exact(len).map(picture).collect();
    Ok(grid(&pictures, COLUMNS).enlarged(if rows.max(cols) > 16 { 2 } else { ZOOM }))
}
