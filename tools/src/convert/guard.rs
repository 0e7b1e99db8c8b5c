//! A look at every model before it is handed over: do its activations leave f16, and are an integer model's images those of its f16 model?

use mote_engine::calibrate::Run;
use mote_engine::memory::AlignedBytes;
use mote_engine::{Engine, Steps};
use mote_runtime::internals::numeric::float::load;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::schedule::coefficients::Prediction;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Config, Model, Observer, RunError, StepObserver};

use super::calibration::Calibration;
use crate::emit::Diffusion;
use crate::program::Program;
use crate::quantize::formats::Format;
use crate::validate::psnr_db;

/// Runs that are looked at.
const RUNS: usize = 2;
/// Steps of each, where a call costs little.
const STEPS: u32 = 4;
/// Multiply-accumulates that a look may take, about.
const MACS: u64 = 4_000_000_000;
/// PSNR with peak 2 below which an image is another one, dB.
const LEAST: f64 = 20.0;
/// Share of noise in a layer that is much: 20 dB.
const MUCH: f64 = 0.01;

/// The first runs of calibration, short. A chain is run whole.
pub fn runs(program: &Program, diffusion: &Diffusion, calibration: &Calibration) -> Vec<Run> {
    let runs = calibration.runs.iter().take(RUNS);
    if is_chain(diffusion) {
        return runs.cloned().collect();
    }
    let affordable = MACS / (program.total_macs() * RUNS as u64).max(1);
    let steps = |all: u32| all.min(STEPS.min(affordable as u32).max(1));
    runs.map(|run| Run {
        config: Config {
            steps: steps(run.config.steps),
            ..run.config
        },
        ..run.clone()
    })
    .collect()
}

fn is_chain(diffusion: &Diffusion) -> bool {
    matches!(diffusion.prediction, Prediction::Bits { .. } | Prediction::Kernel)
}

/// What to say of an integer model whose images are not those of its f16 model, `reference`: the layer that loses most in the first step
/// in which one loses much. And of runs that leave what a state holds.
///
/// # Errors
/// A run that fails.
pub fn compare(
    reference: &Model<'_>,
    model: &Model<'_>,
    program: &Program,
    formats: &[Format],
    diffusion: &Diffusion,
    runs: &[Run],
) -> Result<Vec<String>, RunError> {
    if is_chain(diffusion) {
        // Its images are draws.
        return Ok(vec![]);
    }
    let mut seen = vec![];
    for run in runs {
        seen.push(together([reference, model], run, formats)?);
    }
    let mut notes: Vec<String> = seen.iter().find_map(|seen| seen.cut).map(cut).into_iter().collect();
    let psnr = seen.iter().map(|seen| seen.psnr).sum::<f64>() / runs.len().max(1) as f64;
    if runs.is_empty() || psnr >= LEAST {
        return Ok(notes);
    }
    // NaN is no distance, and below every one.
    seen.sort_by(|a, b| a.psnr.max(f64::MIN).total_cmp(&b.psnr.max(f64::MIN)));
    let layer = seen.iter().find_map(|seen| seen.loss).map_or(String::new(), |loss| {
        let (name, db) = (&program.ops[loss.slot].name, -10.0 * loss.lost.max(1e-20).log10());
        format!("; layer '{name}' loses most ({db:.1} dB in step {})", loss.step)
    });
    notes.push(format!(
        "its images are only {psnr:.1} dB from those of its own f16 model, on {} seeds of {} steps{layer}: choose --scheme w16a16 or f16, \
         and look at the layers with `mote validate --against`",
        runs.len(),
        runs.first().map_or(0, |run| run.config.steps),
    ));
    Ok(notes)
}

/// What to say of an f16 model whose runs leave what a state holds.
///
/// # Errors
/// A run that fails.
pub fn states(model: &Model<'_>, diffusion: &Diffusion, runs: &[Run]) -> Result<Option<String>, RunError> {
    if is_chain(diffusion) {
        return Ok(None);
    }
    for run in runs {
        let mut memory = AlignedBytes::for_run(model, &run.config);
        let mut arena = Arena::new(memory.bytes_mut())?;
        let mut sampler = run.begin(model, &mut arena)?;
        let engine = Engine::prepare(model);
        let mut worker = engine.worker();
        let mut step = 0;
        while worker.step(&mut sampler, None)?.is_some() {
            step += 1;
            if is_cut(sampler.state()) {
                return Ok(Some(cut(step)));
            }
        }
    }
    Ok(None)
}

/// Where a step saturates a state, Q24: 64.
const END: u32 = 1 << 30;

/// Whether a state holds a number at its end.
fn is_cut(state: &[i32]) -> bool {
    state.iter().any(|v| v.unsigned_abs() >= END)
}

fn cut(step: u32) -> String {
    format!(
        "the sampler's state reaches 64 in step {step}, and what is beyond is cut: such runs diverge; check that weights and scheduler \
         are of one training run, or sample with --clip stock"
    )
}

/// A layer that loses much: of what it should be, the share that is noise.
#[derive(Debug, Clone, Copy)]
struct Loss {
    step: u32,
    slot: usize,
    lost: f64,
}

/// What two runs from the same noise show.
struct Seen {
    /// Of their images, dB.
    psnr: f64,
    /// In the first step in which a layer loses much, or in any.
    loss: Option<Loss>,
    /// The step after which the first of them holds a number at the end of its range.
    cut: Option<u32>,
}

/// Both models, step by step. The first is of f16.
fn together(models: [&Model<'_>; 2], run: &Run, formats: &[Format]) -> Result<Seen, RunError> {
    let f16 = vec![Format::F16; formats.len()];
    let mut layers = [&f16[..], formats].map(|formats| Layers {
        formats,
        outputs: vec![],
    });
    let mut memories = models.map(|model| AlignedBytes::for_run(model, &run.config));
    let [mut first, mut second] = memories.each_mut().map(|memory| Arena::new(memory.bytes_mut()));
    let (first, second) = (first.as_mut().map_err(|e| *e)?, second.as_mut().map_err(|e| *e)?);
    let mut samplers = [run.begin(models[0], first)?, run.begin(models[1], second)?];
    let engines = models.map(Engine::prepare);
    let mut workers = engines.each_ref().map(|engine| engine.worker());
    let (mut loss, mut cut, mut step) = (None::<Loss>, None, 0);
    loop {
        let mut goes_on = false;
        for ((sampler, worker), layers) in samplers.iter_mut().zip(&mut workers).zip(&mut layers) {
            layers.outputs = vec![vec![]; formats.len()];
            goes_on = worker.step(sampler, Some(layers))?.is_some();
        }
        if !goes_on {
            break;
        }
        step += 1;
        if cut.is_none() && is_cut(samplers[0].state()) {
            cut = Some(step);
        }
        let settled = loss.is_some_and(|loss| loss.lost > MUCH);
        if let (false, Some((lost, slot))) = (settled, worst(&layers[0].outputs, &layers[1].outputs))
            && loss.is_none_or(|loss| lost > loss.lost)
        {
            loss = Some(Loss { step, slot, lost });
        }
    }
    let images = samplers.map(|sampler| {
        let numbers = sampler.state().iter().map(|v| f64::from(*v) * Format::OUTPUT.scale);
        numbers.collect::<Vec<f64>>()
    });
    Ok(Seen {
        psnr: psnr_db(&images[1], &images[0]),
        loss,
        cut,
    })
}

/// The share of noise in the layer that has most, and its slot: the first that is off, since those behind it inherit that.
fn worst(expected: &[Vec<f64>], found: &[Vec<f64>]) -> Option<(f64, usize)> {
    let mut worst: Option<(f64, usize)> = None;
    for (slot, (expected, found)) in expected.iter().zip(found).enumerate() {
        if found.is_empty() || found.len() != expected.len() {
            continue;
        }
        let signal: f64 = expected.iter().map(|v| v * v).sum();
        let noise: f64 = expected.iter().zip(found).map(|(a, b)| (a - b) * (a - b)).sum();
        let lost = noise / signal.max(f64::MIN_POSITIVE);
        let lost = if lost.is_nan() { f64::MAX } else { lost };
        if worst.is_none_or(|(most, _)| lost > 4.0 * most) {
            worst = Some((lost, slot));
        }
    }
    worst
}

struct Layers<'a> {
    formats: &'a [Format],
    /// Of the step, by slot.
    outputs: Vec<Vec<f64>>,
}

impl Observer for Layers<'_> {
    fn after(&mut self, _: u16, op: &Op, output: &View<'_>) {
        let slot = usize::from(op.slots().out().0);
        if slot >= self.outputs.len() {
            return;
        }
        let scale = match output {
            View::Q24(_) => Format::OUTPUT.scale,
            _ => self.formats[slot].scale,
        };
        let value = |i: usize| match output {
            View::F16(data) => f64::from(load(data[i])),
            other => f64::from(other.get(i)) * scale,
        };
        self.outputs[slot] = (0..output.len()).map(value).collect();
    }
}

impl StepObserver for Layers<'_> {}
