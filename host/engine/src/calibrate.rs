//! Calibration: what the activations look like along real sampling trajectories.
//!
//! The trajectories are run on the f16 model, whose every bit is fixed by the numeric contract. So the
//! ranges, and the model file that follows from them, are the same on every machine, which a float executor could not promise.

use mote_runtime::internals::numeric::float::load;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::sampler::decode::decode_by;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Config, Model, Observer, RunError, Sampler, Start, StepObserver};
use rayon::prelude::*;
use std::sync::Arc;

use crate::Engine;
use crate::memory::AlignedBytes;

/// Buckets of the histogram: sign, exponent and five bits of fraction of the f16 value.
const BUCKETS: usize = 1 << 11;

/// What one operator's output looked like. Of an output in Q24 only the range is recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Smallest value.
    pub min: f32,
    /// Largest value.
    pub max: f32,
    /// Values seen.
    pub count: u64,
    /// Counts by the upper 11 bits of the f16 value.
    histogram: Vec<u64>,
    /// Sum a channel.
    sum: Vec<f64>,
    /// Sum of squares a channel.
    squares: Vec<f64>,
}

impl Stats {
    fn new(channels: usize) -> Self {
        Self {
            histogram: vec![0; BUCKETS],
            sum: vec![0.0; channels],
            squares: vec![0.0; channels],
            ..Self::default()
        }
    }

    fn record(&mut self, values: &[u16]) {
        let channels = self.sum.len();
        for (i, &bits) in values.iter().enumerate() {
            let value = load(bits);
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.histogram[usize::from(bits >> 5)] += 1;
            self.sum[i % channels] += f64::from(value);
            self.squares[i % channels] += f64::from(value) * f64::from(value);
        }
        self.count += values.len() as u64;
    }

    /// The range alone of a network's output, whose format is fixed.
    fn record_range(&mut self, values: &[i32]) {
        for &value in values {
            let value = value as f32 / (1 << 24) as f32;
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.histogram
            .iter_mut()
            .zip(&other.histogram)
            .for_each(|(a, b)| *a += b);
        self.sum.iter_mut().zip(&other.sum).for_each(|(a, b)| *a += b);
        self.squares.iter_mut().zip(&other.squares).for_each(|(a, b)| *a += b);
    }

    /// Largest magnitude.
    pub fn max_abs(&self) -> f32 {
        self.max.max(-self.min)
    }

    /// Mean a channel.
    pub fn means(&self) -> Vec<f64> {
        self.sum.iter().map(|s| s / self.per_channel()).collect()
    }

    /// Mean square a channel.
    pub fn mean_squares(&self) -> Vec<f64> {
        self.squares.iter().map(|s| s / self.per_channel()).collect()
    }

    fn per_channel(&self) -> f64 {
        (self.count as f64 / self.sum.len() as f64).max(1.0)
    }

    /// Occupied buckets: a representative value and its count, in bucket order.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let occupied = self.histogram.iter().enumerate().filter(|(_, n)| **n > 0);
        occupied.map(|(i, &n)| (f64::from(load((i as u16) << 5 | 16)), n))
    }
}

/// Records [`Stats`] an operator.
struct Recorder {
    stats: Vec<Stats>,
}

impl Observer for Recorder {
    fn after(&mut self, index: u16, _op: &Op, output: &View<'_>) {
        let stats = &mut self.stats[usize::from(index)];
        match output {
            View::F16(values) => stats.record(values),
            View::Q24(values) => stats.record_range(values),
            View::I8(..) | View::I16(_) => {}
        }
    }
}

impl StepObserver for Recorder {}

/// A run from its own seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What is asked of it.
    pub config: Config,
    /// Its condition vector, in the model's fixed point; empty for a model without one.
    pub condition: Arc<[i32]>,
}

impl From<Config> for Run {
    fn from(config: Config) -> Self {
        let condition = Arc::from([]);
        Self { config, condition }
    }
}

impl Run {
    /// The run on `model`, at its beginning.
    pub fn begin<'m, 'a>(
        &'a self,
        model: &'m Model<'m>,
        arena: &'a mut Arena<'_>,
    ) -> Result<Sampler<'m, 'a>, RunError> {
        let mut run = Sampler::new(model, arena, &self.config, &Start::Seed)?;
        if !self.condition.is_empty() {
            run.condition(&self.condition)?;
        }
        Ok(run)
    }
}

/// Makes `runs` on an f16 model; gives the statistics of every operator's output, in order.
///
/// The runs go in parallel; the result does not depend on how many at a time. `done` is called after each.
pub fn calibrate(
    model: &Model<'_>,
    runs: &[impl Into<Run> + Clone + Sync],
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Stats>, RunError> {
    let engine = Engine::prepare(model);
    merged(model, runs, |run| {
        let stats = record(model, &engine, &run.clone().into());
        done();
        stats
    })
}

/// The same of pictures that an f16 decoder makes of `latents`, Q24 `(row, col, channel)`.
pub fn calibrate_pictures(decoder: &Model<'_>, latents: &[Vec<i32>]) -> Result<Vec<Stats>, RunError> {
    let engine = Engine::prepare(decoder);
    merged(decoder, latents, |latent| {
        let mut recorder = Recorder { stats: empty(decoder) };
        let mut memory = AlignedBytes::zeroed(decoder.header().arena_bytes as usize);
        let mut arena = Arena::new(memory.bytes_mut())?;
        decode_by(decoder, latent, &mut arena, &mut engine.worker(), &mut recorder)?;
        Ok(recorder.stats)
    })
}

fn merged<T: Sync>(
    model: &Model<'_>,
    each: &[T],
    record: impl Fn(&T) -> Result<Vec<Stats>, RunError> + Sync + Send,
) -> Result<Vec<Stats>, RunError> {
    let all: Result<Vec<Vec<Stats>>, RunError> = each.par_iter().map(record).collect();
    let mut total = empty(model);
    for stats in all? {
        total.iter_mut().zip(&stats).for_each(|(a, b)| a.merge(b));
    }
    Ok(total)
}

fn empty(model: &Model<'_>) -> Vec<Stats> {
    let channels = |op: Op| model.tensor(op.slots().out()).map_or(1, |t| usize::from(t.channels));
    model.ops().map(|op| Stats::new(channels(op))).collect()
}

fn record(model: &Model<'_>, engine: &Engine<'_>, run: &Run) -> Result<Vec<Stats>, RunError> {
    let mut recorder = Recorder { stats: empty(model) };
    let mut memory = AlignedBytes::for_run(model, &run.config);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut run = run.begin(model, &mut arena)?;
    let mut worker = engine.worker();
    while run.step_by(&mut worker, &mut recorder)?.is_some() {}
    Ok(recorder.stats)
}
