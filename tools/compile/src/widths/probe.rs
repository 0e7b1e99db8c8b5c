//! How much an integer model's output differs from the f16 reference, weighed by what it does to the final image.
//!
//! The network's calls along reference trajectories are kept; a candidate model answers the same calls. In the scaled space
//! `x / sqrt(alpha_bar)` with noise level `s = sqrt((1 - ab) / ab)`, DDIM (Song et al. 2021, eq. 13) moves by
//! `(s_t - s_prev) * eps`, and the ideal flow for data of variance `v` carries an error at level s to the end with the factor
//! `sqrt(v / (v + s^2))`. So an error in epsilon at t weighs `(s_t - s_prev) * sqrt(v / (v + s_t^2))` in x0.

use mote_engine::calibrate::Run;
use mote_engine::memory::AlignedBytes;
use mote_engine::{Engine, Worker};
use mote_runtime::internals::model::exec::Call;
use mote_runtime::internals::model::sampling::Levels;
use mote_runtime::internals::ops::Given;
use mote_runtime::internals::sampler::Predicted;
use mote_runtime::internals::sampler::variance::separate;
use mote_runtime::internals::schedule::coefficients::Prediction;
use mote_runtime::internals::schedule::rows::{Row, Rows};
use mote_runtime::internals::schedule::spacing::{PrevRule, prev_timestep};
use mote_runtime::{Arena, Config, Model, Network, Observer, RunError, StepObserver, Unobserved};
use rayon::prelude::*;
use std::sync::Arc;

/// Variance of the data that the weights assume: images in [-1, 1].
const DATA_VARIANCE: f64 = 0.3;
/// Q24 as a real.
const Q24: f64 = 16_777_216.0;

/// One network call with its reference answer.
#[derive(Debug, Clone)]
struct Probed {
    x_q24: Vec<i32>,
    row: Row,
    class: u16,
    condition: Arc<[i32]>,
    out_q24: Vec<i32>,
    /// Square of the weight in x0.
    weight: f64,
}

/// Calls and reference answers.
#[derive(Debug, Clone)]
pub struct Probe {
    calls: Vec<Probed>,
    runs: usize,
}

struct Recorder<'m> {
    model: &'m Model<'m>,
    run: &'m Run,
    calls: Vec<Probed>,
}

impl Observer for Recorder<'_> {}

impl StepObserver for Recorder<'_> {
    fn predicted(&mut self, p: &Predicted<'_>) {
        self.calls.push(Probed {
            x_q24: p.x_q24.to_vec(),
            row: p.row,
            class: self.run.config.class.unwrap_or(0),
            condition: self.run.condition.clone(),
            out_q24: p.out_q24.to_vec(),
            weight: weight(self.model, &self.run.config, p.index, &p.row),
        });
    }
}

impl Probe {
    /// Makes `runs` on the reference model and keeps every call.
    pub fn record(reference: &Model<'_>, runs: &[Run]) -> Result<Self, RunError> {
        let engine = Engine::prepare(reference);
        let made: Result<Vec<Vec<Probed>>, RunError> =
            runs.par_iter().map(|run| record(reference, &engine, run)).collect();
        Ok(Self {
            calls: made?.into_iter().flatten().collect(),
            runs: runs.len(),
        })
    }

    /// Expected squared error of x0 for `model`, from its errors in the network's output.
    pub fn error(&self, model: &Model<'_>) -> Result<f64, RunError> {
        let engine = Engine::prepare(model);
        let errors = (self.calls.par_iter()).map_init(|| engine.worker(), |worker, call| call.error(model, worker));
        let errors: Result<Vec<f64>, RunError> = errors.collect();
        // Added in call order: the same sum on every machine.
        Ok(errors?.iter().sum::<f64>() / self.runs as f64)
    }
}

/// Peak signal-to-noise ratio of an expected squared error, peak 2.
pub fn psnr_db(error: f64) -> f64 {
    10.0 * libm::log10(4.0 / error.max(1e-20))
}

impl Probed {
    fn error(&self, model: &Model<'_>, worker: &mut Worker<'_>) -> Result<f64, RunError> {
        let mut memory = AlignedBytes::zeroed(model.header().arena_bytes as usize);
        let call = Call {
            x_q24: &self.x_q24,
            input_q30: self.row.input_q30,
            time_q16: self.row.time_q16,
            class: self.class,
            given: Given::NONE,
        };
        let call = match self.condition.is_empty() {
            true => call,
            false => call.with_condition(&self.condition),
        };
        worker.forward(model, &call, memory.bytes_mut(), &mut Unobserved)?;
        separate(model, memory.bytes_mut(), &mut [])?;
        let missing = RunError::Memory {
            op: model.header().op_count,
        };
        let range = model.tensor(model.header().output).ok_or(missing)?.range();
        let out: &[i32] = bytemuck::cast_slice(&memory.bytes()[range]);
        let squared = |(a, b): (&i32, &i32)| ((f64::from(*a) - f64::from(*b)) / Q24).powi(2);
        let sum: f64 = out.iter().zip(&self.out_q24).map(squared).sum();
        Ok(sum / self.out_q24.len() as f64 * self.weight)
    }
}

fn record<'m>(model: &'m Model<'m>, engine: &Engine<'_>, run: &'m Run) -> Result<Vec<Probed>, RunError> {
    let mut memory = AlignedBytes::for_run(model, &run.config);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut recorder = Recorder {
        model,
        run,
        calls: vec![],
    };
    let mut run = run.begin(model, &mut arena)?;
    let mut worker = engine.worker();
    while run.step_by(&mut worker, &mut recorder)?.is_some() {}
    Ok(recorder.calls)
}

/// Square of what an error in the network's output at this step weighs in x0.
fn weight(model: &Model<'_>, c: &Config, index: u32, row: &Row) -> f64 {
    let (h, t) = (model.header(), row.timestep());
    if h.prediction.levels() != Levels::Alphas {
        return row_weight(model, c, index, row);
    }
    let real = |q62: u64| q62 as f64 / (1u64 << 62) as f64;
    let before = prev_timestep(PrevRule::List, c.spacing, h.train_steps, c.steps, h.steps_offset, index);
    let ab = real(model.alpha_bar_q62(t)).max(1e-9);
    let ab_prev = real(before.map_or(h.final_alpha_bar_q62, |t| model.alpha_bar_q62(t))).max(1e-9);
    let level = |ab: f64| libm::sqrt((1.0 - ab) / ab);
    let (s, s_prev) = (level(ab), level(ab_prev));
    // What one unit of the output is worth in epsilon.
    let in_epsilon = match h.prediction {
        Prediction::Epsilon => 1.0,
        Prediction::V => libm::sqrt(ab),
        Prediction::Sample => libm::sqrt(ab / (1.0 - ab).max(1e-9)),
        // No scheme is searched for a chain; every step counts alike.
        _ => return 1.0,
    };
    let moved = (s - s_prev) * in_epsilon;
    moved * moved * DATA_VARIANCE / (DATA_VARIANCE + s * s)
}

/// The same from a row: the output's share in the next state of unit variance, and what the ideal flow leaves of that at the end.
fn row_weight(model: &Model<'_>, config: &Config, index: u32, row: &Row) -> f64 {
    let (sample, step) = (row.coefficients.sample, row.coefficients.step);
    let real = |mant: i32, shift: u8| f64::from(mant) / (1u64 << shift) as f64;
    let moved = real(step.mant()[0], step.shift()) * real(sample.mant()[1], sample.shift());
    let (signal, noise) = Rows { model, config }.noising(index, 0).unwrap_or((0, 1 << 30));
    let [signal, noise] = [signal, noise].map(|share| real(share, 30));
    moved * moved * DATA_VARIANCE / (DATA_VARIANCE * signal * signal + noise * noise)
}
