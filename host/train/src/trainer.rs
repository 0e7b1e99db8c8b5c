//! The training loop's body: one step, and the loss on what was held out.

use super::adam::{Adam, clip};
use super::augment::Augment;
use super::average::follow;
use super::dataset::{Dataset, Images};
use super::distill::Ladder;
use super::gradient::{Call, Passes, PreparedGraph};
use super::objective::{Objective, Sample};
use super::random::{Purpose, normal, permutation, uniform};
use super::rate::Rate;
use super::rounding::Rounding;
use mote_graph::float::FloatError;
use rayon::prelude::*;
use std::ops::Range;

/// What a run is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Images a step.
    pub batch: usize,
    /// Learning rate by step.
    pub rate: Rate,
    /// Decay of the average of weights.
    pub average: f64,
    /// AdamW's weight decay.
    pub decay: f64,
    /// Seed of everything.
    pub seed: u64,
    /// Changes of images.
    pub augment: Augment,
    /// Share of labels replaced by the last one, which stands for none.
    pub label_dropout: f64,
}

/// Longest gradient.
const LONGEST: f64 = 1.0;
/// Images of one call when nothing is trained.
const CALL: usize = 64;

/// All that a run is at some step: what is saved, and taken up again.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Weights.
    pub params: Vec<f32>,
    /// Their average.
    pub average: Vec<f32>,
    /// The optimizer's moments.
    pub adam: Adam,
}

impl State {
    /// Before the first step.
    #[must_use]
    pub fn new(params: Vec<f32>) -> Self {
        Self {
            step: 0,
            average: params.clone(),
            adam: Adam::new(params.len()),
            params,
        }
    }
}

/// A network whose outputs are the targets, in place of the data's.
#[derive(Debug, Clone)]
pub struct Teacher {
    /// The network.
    pub network: PreparedGraph,
    /// Its weights.
    pub params: Vec<f32>,
    /// Where the student takes fewer steps than it: the steps of both.
    pub ladder: Option<Ladder>,
}

/// A run.
#[derive(Debug)]
pub struct Trainer<'d> {
    network: PreparedGraph,
    objective: Objective,
    settings: Settings,
    data: &'d Dataset,
    teacher: Option<Teacher>,
    /// The teacher's memory: its values are other ones.
    teacher_passes: Passes,
    rounding: Option<Rounding>,
    state: State,
    passes: Passes,
    gradient: Vec<f32>,
    rounded: Vec<f32>,
    /// The epoch of [`Trainer::order`].
    epoch: Option<u64>,
    order: Vec<usize>,
}

/// What a step was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The batch's loss.
    pub loss: f64,
    /// Length of the gradient before it was shortened.
    pub length: f64,
    /// The learning rate.
    pub rate: f64,
}

/// Noisy images and what the network should say of them.
struct Noisy {
    /// Places of the levels, and the timesteps that the network is told there.
    places: Vec<usize>,
    timesteps: Vec<usize>,
    /// Of a student of fewer steps, its step.
    rungs: Vec<usize>,
    labels: Vec<usize>,
    x0: Vec<f32>,
    x: Vec<f32>,
    target: Vec<f32>,
}

impl<'d> Trainer<'d> {
    /// A run at `state`. The network's labels are the data's and one more.
    #[must_use]
    pub fn new(
        network: PreparedGraph,
        objective: Objective,
        settings: Settings,
        data: &'d Dataset,
        state: State,
    ) -> Self {
        Self {
            gradient: vec![0.0; state.params.len()],
            network,
            objective,
            settings,
            data,
            teacher: None,
            teacher_passes: Passes::default(),
            rounding: None,
            state,
            passes: Passes::default(),
            rounded: vec![],
            epoch: None,
            order: vec![],
        }
    }

    /// With targets from a teacher.
    #[must_use]
    pub fn with_teacher(self, teacher: Teacher) -> Self {
        Self {
            teacher: Some(teacher),
            ..self
        }
    }

    /// With rounded weights in every pass.
    #[must_use]
    pub fn with_rounding(self, rounding: Rounding) -> Self {
        Self {
            rounding: Some(rounding),
            ..self
        }
    }

    /// Where the run is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The run's settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The averaged weights as they are deployed: rounded, where weights are rounded.
    #[must_use]
    pub fn deployed(&self) -> Vec<f32> {
        let mut params = self.state.average.clone();
        if let Some(rounding) = &self.rounding {
            rounding.apply(&self.state.average, &mut params);
        }
        params
    }

    /// One step.
    pub fn step(&mut self) -> Result<Progress, FloatError> {
        let step = self.state.step;
        let batch = self.batch(step)?;
        let params = match &self.rounding {
            Some(rounding) => {
                rounding.apply(&self.state.params, &mut self.rounded);
                &self.rounded
            }
            None => &self.state.params,
        };
        let len = self.data.image_len();
        let share = 1.0 / (self.settings.batch * len) as f64;
        let loss = |range: Range<usize>, output: &[f32], slope: &mut [f32]| {
            loss_of(&self.objective, &batch, len, range, output, share, slope)
        };
        let call = batch.call();
        let loss = self
            .passes
            .gradient(&self.network, params, call, &loss, &mut self.gradient)?;
        if let Some(rounding) = &self.rounding {
            rounding.stop(&self.state.params, &mut self.gradient);
        }
        let length = clip(&mut self.gradient, LONGEST);
        let rate = self.settings.rate.at(step);
        let state = &mut self.state;
        state
            .adam
            .update(&mut state.params, &self.gradient, step, rate, self.settings.decay);
        follow(&mut state.average, &state.params, step, self.settings.average);
        state.step += 1;
        Ok(Progress { loss, length, rate })
    }

    /// The mean square error of `params` on the held-out images, each at `times` timesteps spread over all of them; the same noise every time.
    /// Targets are the data's, of a student of fewer steps the teacher's.
    pub fn held_out(&mut self, params: &[f32], times: usize) -> Result<f64, FloatError> {
        let (data, len) = (self.data, self.data.image_len());
        let images = data.count(&data.held_out);
        let all = images * times;
        let mut total = 0.0;
        for first in (0..all).step_by(CALL) {
            let range = first..(first + CALL).min(all);
            let n = range.len();
            let place = |i: usize| {
                // Image i takes the timesteps of its own lattice.
                let u = uniform(1, Purpose::Evaluation, 0, i as u32);
                (i % images, ((i / images) as f32 + u) / times as f32)
            };
            let picks: Vec<(usize, f32)> = range.clone().map(place).collect();
            let image = |i: usize, to: &mut [f32]| to.copy_from_slice(&data.held_out.pixels[picks[i].0 * len..][..len]);
            // Evenly, however a batch's are drawn: the sigmoid of the logit.
            let even = picks.iter().map(|p| (p.1, libm::logf(p.1 / (1.0 - p.1))));
            let places = Places::of(&self.objective, self.ladder(), even);
            let labels = labels(&self.network, &data.held_out, picks.iter().map(|p| p.0));
            let noise = |i: usize, to: &mut [f32]| normal(1, Purpose::Evaluation, 1, (first + i) as u32, to);
            let mut batch = noisy(&self.objective, len, places, labels, &image, &noise);
            if self.ladder().is_some() {
                self.teach(&mut batch)?;
            }
            let output = self.passes.forward(&self.network, params, batch.call())?;
            // Of a learned variance only the prediction counts.
            let width = output.len() / n;
            for (y, target) in output.chunks_exact(width).zip(batch.target.chunks_exact(len)) {
                total += y.iter().zip(target).map(|(y, t)| f64::from(y - t).powi(2)).sum::<f64>();
            }
        }
        Ok(total / (all * len).max(1) as f64)
    }

    /// The network's output for samples of the caller's, `(sample, channel, row, col)`.
    pub fn forward(&mut self, params: &[f32], call: Call<'_>) -> Result<Vec<f32>, FloatError> {
        self.passes.forward(&self.network, params, call)
    }

    fn batch(&mut self, step: u64) -> Result<Noisy, FloatError> {
        let (n, len) = (self.settings.batch, self.data.image_len());
        let Settings { seed, augment, .. } = self.settings;
        let picks: Vec<usize> = (0..n).map(|i| self.pick(step * n as u64 + i as u64)).collect();
        // One timestep in each of n equal parts: every part of the schedule in every step.
        let drawn = |i: usize| {
            let u = uniform(seed, Purpose::Timesteps, step, i as u32);
            let mut z = [0.0];
            if self.objective.draws_normal() {
                normal(seed, Purpose::Timesteps, step, i as u32, &mut z);
            }
            ((i as f32 + u) / n as f32, z[0])
        };
        let places = Places::of(&self.objective, self.ladder(), (0..n).map(drawn));
        let mut labels = labels(&self.network, &self.data.train, picks.iter().copied());
        for (i, label) in labels.iter_mut().enumerate() {
            if f64::from(uniform(seed, Purpose::Dropout, step, i as u32)) < self.settings.label_dropout {
                *label = self.data.classes;
            }
        }
        let data = self.data;
        let image = |i: usize, to: &mut [f32]| {
            let from = &data.train.pixels[picks[i] * len..][..len];
            augment.apply(data.shape, from, seed, step, i as u32, to);
        };
        let noise = |i: usize, to: &mut [f32]| normal(seed, Purpose::Noise, step, i as u32, to);
        let mut batch = noisy(&self.objective, len, places, labels, &image, &noise);
        self.teach(&mut batch)?;
        Ok(batch)
    }

    fn ladder(&self) -> Option<&Ladder> {
        self.teacher.as_ref()?.ladder.as_ref()
    }

    /// Targets from the teacher, where there is one.
    fn teach(&mut self, batch: &mut Noisy) -> Result<(), FloatError> {
        let Some(teacher) = &self.teacher else { return Ok(()) };
        let mut ask = |call: Call<'_>| self.teacher_passes.forward(&teacher.network, &teacher.params, call);
        let Some(ladder) = &teacher.ladder else {
            batch.target = ask(batch.call())?;
            return Ok(());
        };
        let len = self.data.image_len();
        let mut x = batch.x.clone();
        for step in 0..ladder.each() {
            let timesteps: Vec<usize> = batch.rungs.iter().map(|r| ladder.rungs[*r].timesteps[step]).collect();
            let call = Call {
                x: &x,
                timesteps: &timesteps,
                ..batch.call()
            };
            let output = ask(call)?;
            let moved = x.par_chunks_mut(len).zip(output.par_chunks(len)).zip(&batch.rungs);
            moved.for_each(|((x, output), rung)| ladder.climb(*rung, step, x, output));
        }
        let target = x.par_chunks_mut(len).zip(batch.x.par_chunks(len)).zip(&batch.rungs);
        target.for_each(|((target, x), rung)| ladder.velocity(*rung, x, target));
        batch.target = x;
        Ok(())
    }

    /// The image at a place in the run: every epoch is a permutation of all.
    fn pick(&mut self, place: u64) -> usize {
        let count = self.data.count(&self.data.train).max(1) as u64;
        let epoch = place / count;
        if self.epoch != Some(epoch) {
            self.order = permutation(self.settings.seed, Purpose::Order, epoch, count as usize);
            self.epoch = Some(epoch);
        }
        self.order[(place % count) as usize]
    }
}

impl Noisy {
    fn call(&self) -> Call<'_> {
        Call {
            x: &self.x,
            timesteps: &self.timesteps,
            labels: &self.labels,
            condition: &[],
        }
    }
}

/// Where the samples of a batch are.
#[derive(Default)]
struct Places {
    places: Vec<usize>,
    timesteps: Vec<usize>,
    rungs: Vec<usize>,
}

impl Places {
    /// From a uniform and a normal number a sample: the levels of the objective, or the first ones of a student's steps.
    fn of(objective: &Objective, ladder: Option<&Ladder>, drawn: impl Iterator<Item = (f32, f32)>) -> Self {
        let mut places = Self::default();
        for (u, z) in drawn {
            match ladder {
                Some(ladder) => {
                    let count = ladder.rungs.len();
                    let rung = ((u * count as f32) as usize).min(count - 1);
                    let t = ladder.rungs[rung].timesteps[0];
                    places.rungs.push(rung);
                    places.places.push(t);
                    places.timesteps.push(t);
                }
                None => {
                    let place = objective.place(u, z);
                    places.places.push(place);
                    places.timesteps.push(objective.told(place));
                }
            }
        }
        places
    }
}

fn labels(network: &PreparedGraph, images: &Images, picks: impl Iterator<Item = usize>) -> Vec<usize> {
    if network.classes().is_none() {
        return vec![];
    }
    picks.map(|i| images.labels.get(i).copied().unwrap_or(0)).collect()
}

/// Noisy images, made in parallel. `image` and `noise` fill the `i`-th.
fn noisy(
    objective: &Objective,
    len: usize,
    at: Places,
    labels: Vec<usize>,
    image: &(dyn Fn(usize, &mut [f32]) + Sync),
    noise: &(dyn Fn(usize, &mut [f32]) + Sync),
) -> Noisy {
    let zeros = || vec![0.0; at.places.len() * len];
    let (mut x0, mut x, mut target) = (zeros(), zeros(), zeros());
    let parts = (
        x0.par_chunks_mut(len),
        x.par_chunks_mut(len),
        target.par_chunks_mut(len),
    );
    parts.into_par_iter().enumerate().for_each(|(i, (x0, x, target))| {
        let mut e = vec![0.0; len];
        image(i, x0);
        noise(i, &mut e);
        objective.diffuse(at.places[i], x0, &e, x);
        objective.target(at.places[i], x0, &e, target);
    });
    Noisy {
        places: at.places,
        timesteps: at.timesteps,
        rungs: at.rungs,
        labels,
        x0,
        x,
        target,
    }
}

/// The loss of some samples of a batch.
fn loss_of(
    objective: &Objective,
    batch: &Noisy,
    len: usize,
    range: Range<usize>,
    output: &[f32],
    share: f64,
    slope: &mut [f32],
) -> f64 {
    let width = output.len() / range.len().max(1);
    let parts = output.chunks_exact(width).zip(slope.chunks_exact_mut(width));
    let one = |(i, (output, slope)): (usize, (&[f32], &mut [f32]))| {
        let sample = Sample {
            timestep: batch.places[i],
            x0: &batch.x0[i * len..][..len],
            x: &batch.x[i * len..][..len],
            target: &batch.target[i * len..][..len],
        };
        objective.loss(&sample, output, share, slope)
    };
    range.zip(parts).map(one).sum()
}
