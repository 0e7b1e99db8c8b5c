//! A model against the float network that it was converted from, from the same noise.

use super::device::{FloatDevice, FloatNetwork, PlacedNetwork};
use crate::backend::OpenModel;
use crate::condition::{FixedPoint, Images};
use crate::import::Checkpoint;
use crate::lower::{LowerError, deployed_as};
use crate::tensors::{from_q24, to_chw};
use mote_cuda::CudaError;
use mote_engine::memory::AlignedBytes;
use mote_engine::{Engine, Steps};
use mote_graph::float::ddim::{Clip, guide};
use mote_graph::float::samplers::FloatRun;
use mote_graph::float::{Conditions, FloatError as GraphError};
use mote_graph::schedule::{Precision, ScheduleError};
use mote_runtime::internals::numeric::normal::normal_q24;
use mote_runtime::internals::sampler::Predicted;
use mote_runtime::internals::schedule::coefficients;
use mote_runtime::{Arena, Config, Observer, RunError, Sampler, Start, StepObserver};
use rayon::prelude::*;
use serde::Serialize;
use std::sync::Arc;
use thiserror::Error;

/// Why the comparison cannot be made.
#[derive(Debug, Error)]
pub enum FloatError {
    /// The float network or its schedule cannot be run.
    #[error(transparent)]
    Float(#[from] GraphError),
    /// The GPU that runs the float network.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The model cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A refined model's channels, which cannot be found again.
    #[error(transparent)]
    Refined(Box<crate::convert::ConvertError>),
    /// Variances that cannot be told from the mean.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// Not the model's checkpoint.
    #[error(
        "the model's sample is {model:?} (channel, row, col), the checkpoint's {checkpoint:?}: it is of another checkpoint"
    )]
    Shape {
        /// Of the model.
        model: [usize; 3],
        /// Of the checkpoint.
        checkpoint: [usize; 3],
    },
    /// Not the model's checkpoint, though its samples have that shape.
    #[error(
        "the model takes {} labels and a condition of {} numbers, the checkpoint {} and {}: it is of another checkpoint",
        model[0], model[1], checkpoint[0], checkpoint[1]
    )]
    Conditions {
        /// Labels and numbers of a condition that the model takes.
        model: [usize; 2],
        /// Those that the checkpoint takes.
        checkpoint: [usize; 2],
    },
}

impl From<ScheduleError> for FloatError {
    fn from(error: ScheduleError) -> Self {
        Self::Float(error.into())
    }
}

/// What the number formats cost. Keys of `validate --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FloatComparison {
    /// What ran the float network: `cpu`, `cuda` or `cuda:f16`.
    pub network: String,
    /// Images compared.
    pub images: usize,
    /// Images of which the float network said anything that is not a finite number: such a comparison holds nothing.
    pub not_finite: usize,
    /// PSNR of the final images, peak 2, an image at a time, then averaged in dB.
    pub x0_psnr_db_mean: f64,
    /// The 5th percentile: of the sorted images, the first that at least a twentieth do not exceed.
    pub x0_psnr_db_p5: f64,
    /// The worst image's.
    pub x0_psnr_db_min: f64,
    /// Seed of the worst image.
    pub worst_seed: u64,
    /// The worst image as the model leaves it and as the float network does, `(channel, row, col)`; both empty where there is no image.
    #[serde(skip)]
    pub worst_states: [Vec<f64>; 2],
    /// Signal-to-noise ratio of the network's output at the same x_t, by step, averaged over images in dB.
    pub eps_sqnr_db_by_step: Vec<f64>,
    /// PSNR of the state after each step, peak 2, averaged over images in dB.
    pub state_psnr_db_by_step: Vec<f64>,
    /// The timestep of each step.
    pub timesteps: Vec<u32>,
}

impl FloatComparison {
    /// Whether every number was one, and the mean is at least `least` dB where that is asked for.
    #[must_use]
    pub fn held(&self, least: Option<f64>) -> bool {
        self.not_finite == 0 && least.is_none_or(|least| self.x0_psnr_db_mean >= least)
    }
}

/// Holds the model's sample, labels and condition against the checkpoint's, before any work is done.
///
/// # Errors
/// [`FloatError::Shape`] and [`FloatError::Conditions`] where the model is of another checkpoint.
pub fn belongs(opened: OpenModel<'_>, checkpoint: &Checkpoint) -> Result<(), FloatError> {
    belongs_deployed(opened, &*deployed_as(checkpoint, opened.model)?)
}

fn belongs_deployed(opened: OpenModel<'_>, checkpoint: &Checkpoint) -> Result<(), FloatError> {
    let header = opened.model.header();
    let model = [header.channels.into(), header.rows.into(), header.cols.into()];
    let found = checkpoint.graph.sample_shape();
    if model != found {
        return Err(FloatError::Shape {
            model,
            checkpoint: found,
        });
    }
    let model = [usize::from(header.classes), opened.model.condition_len()];
    let condition = checkpoint.graph.condition.map_or(0, |condition| condition.channels);
    let found = [checkpoint.graph.classes.unwrap_or(0), condition];
    if model != found {
        return Err(FloatError::Conditions {
            model,
            checkpoint: found,
        });
    }
    Ok(())
}

/// Compares `opened` with `checkpoint`, which `device` runs, on `images` under `config`; a list of seeds may stand for those of a model
/// without a condition.
///
/// The float run starts from the runtime's own noise, and adds the runtime's noise where eta is above 0. The network's output is
/// compared at the states that the integer run visits, so that the error of a step is seen apart from what came before it.
pub fn against<'i>(
    opened: OpenModel<'_>,
    checkpoint: &Checkpoint,
    config: &Config,
    images: impl Into<Images<'i>>,
    device: FloatDevice,
    on_image: &dyn Fn(),
) -> Result<FloatComparison, FloatError> {
    let checkpoint = &*deployed_as(checkpoint, opened.model)?;
    let float_runs = FloatRuns::new(opened, checkpoint, config)?;
    let placed = PlacedNetwork::new(&checkpoint.graph, device)?;
    let asked = images.into();
    let mut images: Vec<Image> = Vec::new();
    let mut worst = (f64::INFINITY, [vec![], vec![]]);
    for group in asked.groups(placed.followed()) {
        for mut image in float_runs.compare(placed.network(), config, group)? {
            let last = std::mem::take(&mut image.last);
            if image.x0_psnr_db < worst.0 {
                worst = (image.x0_psnr_db, last);
            }
            images.push(image);
        }
        group.seeds.iter().for_each(|_| on_image());
    }
    let count = images.len().max(1) as f64;
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.sort_by(|a, b| images[*a].x0_psnr_db.total_cmp(&images[*b].x0_psnr_db));
    let ranked = |rank: usize| order.get(rank).map_or(f64::INFINITY, |i| images[*i].x0_psnr_db);
    let mean = |of: &dyn Fn(&Image) -> f64| images.iter().map(of).sum::<f64>() / count;
    let by_step = |of: fn(&Image) -> &Vec<f64>| {
        let steps = images.first().map_or(0, |image| of(image).len());
        (0..steps).map(|i| mean(&|image| of(image)[i])).collect()
    };
    Ok(FloatComparison {
        network: device.to_string(),
        images: images.len(),
        not_finite: images.iter().filter(|image| !image.finite).count(),
        x0_psnr_db_mean: mean(&|image| image.x0_psnr_db),
        x0_psnr_db_p5: ranked(images.len().div_ceil(20).saturating_sub(1)),
        x0_psnr_db_min: ranked(0),
        worst_states: worst.1,
        worst_seed: order.first().map_or(0, |i| asked.seeds[*i]),
        eps_sqnr_db_by_step: by_step(|image| &image.eps_sqnr_db),
        state_psnr_db_by_step: by_step(|image| &image.state_psnr_db),
        timesteps: images.first().map_or(vec![], |image| image.timesteps.clone()),
    })
}

/// PSNR with peak 2, dB; 200 dB stands for equality, -200 for another length or anything that is not a number.
pub fn psnr_db(found: &[f64], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return -200.0;
    }
    let squares: f64 = found.iter().zip(expected).map(|(a, b)| (a - b) * (a - b)).sum();
    decibels(4.0 * found.len() as f64, squares)
}

/// The ratio of two energies in dB, from -200 to 200, which stands for no noise. What is not a number is all noise.
pub(super) fn decibels(signal: f64, noise: f64) -> f64 {
    if noise == 0.0 {
        return if signal.is_finite() { 200.0 } else { -200.0 };
    }
    let ratio = 10.0 * (signal / noise).log10();
    if ratio.is_nan() {
        -200.0
    } else {
        ratio.clamp(-200.0, 200.0)
    }
}

struct Image {
    /// Whether the float network's numbers are.
    finite: bool,
    x0_psnr_db: f64,
    eps_sqnr_db: Vec<f64>,
    state_psnr_db: Vec<f64>,
    timesteps: Vec<u32>,
    /// The finished image of the model and of the float network.
    last: [Vec<f64>; 2],
}

impl Image {
    /// Before anything was compared.
    fn of(times: &[f64]) -> Self {
        Self {
            finite: true,
            x0_psnr_db: 200.0,
            eps_sqnr_db: vec![],
            state_psnr_db: vec![],
            timesteps: times.iter().map(|time| *time as u32).collect(),
            last: [vec![], vec![]],
        }
    }
}

/// The float network's runs beside the model's.
pub(super) struct FloatRuns<'a> {
    opened: OpenModel<'a>,
    checkpoint: &'a Checkpoint,
    /// How the model holds its condition, if it takes one.
    point: Option<FixedPoint>,
}

/// What samples are conditioned on.
struct FloatGiven {
    labels: Vec<usize>,
    vectors: Vec<f64>,
}

impl FloatGiven {
    fn conditions(&self) -> Conditions<'_> {
        Conditions {
            labels: &self.labels,
            vectors: &self.vectors,
        }
    }
}

impl<'a> FloatRuns<'a> {
    pub(super) fn new(opened: OpenModel<'a>, checkpoint: &'a Checkpoint, config: &Config) -> Result<Self, FloatError> {
        config.validate_for(opened.model)?;
        belongs_deployed(opened, checkpoint)?;
        Ok(Self {
            opened,
            checkpoint,
            point: FixedPoint::of(opened.model),
        })
    }

    fn compare(&self, network: &dyn FloatNetwork, config: &Config, of: Images<'_>) -> Result<Vec<Image>, FloatError> {
        let engine = Engine::prepare(self.opened.model);
        let quantized = |(seed, condition): (u64, Option<&Arc<[i32]>>)| {
            let condition = condition.map(|condition| &**condition);
            self.quantized(&engine, &Config { seed, ..*config }, condition)
        };
        let runs = of
            .each()
            .into_par_iter()
            .map(quantized)
            .collect::<Result<Vec<_>, _>>()?;
        let vectors = self.vectors(of);
        let float = self.float(network, config, of)?;
        let mut images: Vec<Image> = runs.iter().map(|(record, _)| Image::of(&record.times)).collect();
        let len = self.opened.model.header().sample_len();
        let times = runs.first().map_or(vec![], |(record, _)| record.times.clone());
        for (call, time) in times.into_iter().enumerate() {
            // Every image's own state, and one timestep.
            let states = runs.iter().flat_map(|(record, _)| &record.x[call]);
            let x: Vec<f32> = states.map(|v| *v as f32).collect();
            let expected = self.network(network, &x, time, config, &vectors)?;
            let expected = &expected[..x.len()];
            for ((image, (record, _)), expected) in images.iter_mut().zip(&runs).zip(expected.chunks_exact(len)) {
                let signal = expected.iter().map(|v| f64::from(*v).powi(2)).sum();
                let pairs = expected.iter().zip(&record.out[call]);
                let noise = pairs.map(|(e, f)| (f64::from(*e) - f).powi(2)).sum();
                image.finite &= expected.iter().all(|v| v.is_finite());
                image.eps_sqnr_db.push(decibels(signal, noise));
            }
        }
        for (step, states) in float.iter().enumerate() {
            for ((image, (_, found)), expected) in images.iter_mut().zip(&runs).zip(states.chunks_exact(len)) {
                image.finite &= expected.iter().all(|v| v.is_finite());
                image.state_psnr_db.push(psnr_db(&found[step], expected));
                if step + 1 == float.len() {
                    image.last = [found[step].clone(), expected.to_vec()];
                }
            }
        }
        for image in &mut images {
            image.x0_psnr_db = image.state_psnr_db.last().copied().unwrap_or(200.0);
        }
        Ok(images)
    }

    /// The model's own run: what it saw and said, and the states after each step, all `(channel, row, col)`.
    fn quantized(
        &self,
        engine: &Engine<'_>,
        config: &Config,
        condition: Option<&[i32]>,
    ) -> Result<(Record, Vec<Vec<f64>>), FloatError> {
        let mut memory = AlignedBytes::for_run(self.opened.model, config);
        let mut arena = Arena::new(memory.bytes_mut())?;
        let mut sampler = Sampler::new(self.opened.model, &mut arena, config, &Start::Seed)?;
        if let Some(condition) = condition {
            sampler.condition(condition)?;
        }
        let channels = self.opened.model.header().channels.into();
        let mut record = Record {
            channels,
            gain: self.gain(),
            ..Record::default()
        };
        let mut states = Vec::new();
        let mut worker = engine.worker();
        while worker.step(&mut sampler, Some(&mut record))?.is_some() {
            states.push(planes(sampler.state(), channels));
        }
        Ok((record, states))
    }

    /// The factor that the file's input operator has beside the network's own: of EDM one over the data's deviation.
    pub(super) fn gain(&self) -> f64 {
        self.checkpoint.scheduler.edm.map_or(1.0, |edm| 1.0 / edm.sigma_data)
    }

    /// Channels of the sample.
    pub(super) fn channels(&self) -> usize {
        self.opened.model.header().channels.into()
    }

    /// The final images of the float run from `seeds`, `(channel, row, col)` one after the other.
    pub(super) fn images(
        &self,
        network: &dyn FloatNetwork,
        config: &Config,
        seeds: &[u64],
    ) -> Result<Vec<f64>, FloatError> {
        Ok(self.float(network, config, seeds.into())?.pop().unwrap_or_default())
    }

    /// The float network's mid-block at timestep 0, averaged over positions, for images as [`FloatRuns::images`] gives them; empty where the
    /// network has none.
    pub(super) fn bottleneck(
        &self,
        network: &dyn FloatNetwork,
        config: &Config,
        images: &[f64],
    ) -> Result<Vec<f64>, FloatError> {
        let count = images.len() / self.opened.model.header().sample_len().max(1);
        let x: Vec<f32> = images.iter().map(|v| *v as f32).collect();
        network.bottleneck(
            &x,
            &vec![0.0; count],
            Conditions::from(&self.labels(config.class, count)),
        )
    }

    /// Numbers that [`FloatRuns::bottleneck`] gives an image; `None` where it gives none.
    pub(super) fn bottleneck_width(
        &self,
        network: &dyn FloatNetwork,
        config: &Config,
    ) -> Result<Option<usize>, FloatError> {
        let image = vec![0.0; self.opened.model.header().sample_len()];
        Ok(Some(self.bottleneck(network, config, &image)?.len()).filter(|width| *width > 0))
    }

    /// The conditions of images as the model has them: in its fixed point, and in its range.
    pub(super) fn vectors(&self, of: Images<'_>) -> Vec<f64> {
        let Some(point) = self.point else { return vec![] };
        let numbers = of.conditions.iter().flat_map(|condition| condition.iter());
        numbers.map(|n| point.real((*n).clamp(point.low, point.high))).collect()
    }

    /// The label of a call, for each of `count` samples.
    pub(super) fn labels(&self, class: Option<u16>, count: usize) -> Vec<usize> {
        let null = self.opened.model.header().null_class.unwrap_or(0);
        let label = class.unwrap_or(null).into();
        vec![
            label;
            if self.checkpoint.graph.classes.is_some() {
                count
            } else {
                0
            }
        ]
    }

    /// The float run from `seeds`: the states after each step, those of the seeds one after the other.
    fn float(&self, asked: &dyn FloatNetwork, config: &Config, of: Images<'_>) -> Result<Vec<Vec<f64>>, FloatError> {
        let (seeds, vectors) = (of.seeds, self.vectors(of));
        let header = self.opened.model.header();
        let mut scheduler = self.checkpoint.scheduler.clone();
        scheduler.timestep_spacing = config.spacing;
        let range = from_q24(config.clip_range_q24);
        let clip = match config.clip {
            coefficients::Clip::Off => Clip::Off,
            coefficients::Clip::Stock => Clip::Stock { range },
            coefficients::Clip::Rederived => Clip::Rederived { range },
        };
        let normal = |stream: u32| -> Vec<f32> {
            let of_seed = |seed: &u64| {
                let noise: Vec<i32> = (0..header.sample_len())
                    .map(|i| normal_q24(*seed, stream, i as u32))
                    .collect();
                planes(&noise, header.channels.into())
            };
            let noises: Vec<_> = seeds.par_iter().map(of_seed).collect();
            noises.into_iter().flatten().map(|v| v as f32).collect()
        };
        let mut states = Vec::new();
        let run = FloatRun {
            scheduler: &scheduler,
            precision: Precision::F32,
            steps: config.steps as usize,
            prev: config.prev,
            method: config.method,
            clip,
            eta: f64::from(config.eta_q16) / 65536.0,
        };
        run.sample(
            normal(0),
            |x: &[f32], time| self.network(asked, x, time, config, &vectors),
            |index| Ok::<_, FloatError>(normal(index as u32 + 1)),
            |shown| states.push(shown.next.iter().map(|v| shown.unit * f64::from(*v)).collect()),
        )?;
        Ok(states)
    }

    /// The network's output after guidance; behind it the variances of what was asked for, where the run takes them.
    fn network(
        &self,
        network: &dyn FloatNetwork,
        x: &[f32],
        time: f64,
        config: &Config,
        vectors: &[f64],
    ) -> Result<Vec<f32>, FloatError> {
        let count = x.len() / self.opened.model.header().sample_len().max(1);
        let t = vec![time; count];
        let mut given = FloatGiven {
            labels: self.labels(config.class, count),
            vectors: vectors.to_vec(),
        };
        let (mut cond, variances) = self.apart(network.output(x, &t, given.conditions())?);
        if let Some(weight) = config.guidance_q16 {
            given.labels = self.labels(None, count);
            if let Some((point, null)) = self.point.and_then(|point| Some((point, point.null?))) {
                given.vectors.fill(point.real(null));
            }
            let (uncond, _) = self.apart(network.output(x, &t, given.conditions())?);
            cond = guide(&cond, &uncond, f64::from(weight) / 65536.0);
        }
        if config.method.is_learned() {
            cond.extend(variances);
        }
        Ok(cond)
    }

    /// What the network predicts of every sample, and its variances; none where it gives none.
    fn apart(&self, out: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
        if !self.opened.model.has_variances() {
            return (out, vec![]);
        }
        let len = self.opened.model.header().sample_len();
        let halves = |first: bool| {
            let halves = out.chunks_exact(2 * len).map(|both| both.split_at(len));
            halves
                .flat_map(|(mean, variance)| if first { mean } else { variance })
                .copied()
                .collect()
        };
        (halves(true), halves(false))
    }
}

/// What the integer model's network saw and said, step by step, `(channel, row, col)`.
#[derive(Default)]
struct Record {
    channels: usize,
    gain: f64,
    x: Vec<Vec<f64>>,
    out: Vec<Vec<f64>>,
    /// Training timesteps; they may lie between two.
    times: Vec<f64>,
}

impl Observer for Record {}

impl StepObserver for Record {
    fn predicted(&mut self, prediction: &Predicted<'_>) {
        self.x.push(seen_by_network(prediction, self.channels, self.gain));
        self.out.push(planes(prediction.out_q24, self.channels));
        self.times.push(f64::from(prediction.row.time_q16) / 65536.0);
    }
}

/// A state `(row, col, channel)` in Q24 as numbers, `(channel, row, col)`.
pub(super) fn planes(q24: &[i32], channels: usize) -> Vec<f64> {
    to_chw(q24, channels).into_iter().map(from_q24).collect()
}

/// What the network saw: the state times the row's factor and what the file's input operator adds to that ([`FloatRuns::gain`]), `(channel,
/// row, col)`.
pub(super) fn seen_by_network(predicted: &Predicted<'_>, channels: usize, gain: f64) -> Vec<f64> {
    let factor = gain * f64::from(predicted.row.input_q30) / f64::from(1 << 30);
    let state = planes(predicted.x_q24, channels);
    state.into_iter().map(|x| factor * x).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_is_as_far_as_anything_can_be() {
        assert_eq!(psnr_db(&[1.0, 2.0], &[1.0, 2.0]), 200.0);
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(psnr_db(&[1.0, wrong], &[1.0, 2.0]), -200.0, "{wrong}");
            assert_eq!(psnr_db(&[1.0, wrong], &[1.0, wrong]), -200.0, "{wrong}");
            assert_eq!(decibels(wrong, 0.0), -200.0);
            assert_eq!(decibels(wrong, wrong), -200.0);
        }
        assert_eq!(psnr_db(&[], &[1.0]), -200.0);
        assert!((decibels(1.0, 0.01) - 20.0).abs() < 1e-12);
    }
}
