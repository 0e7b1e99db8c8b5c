//! A look at every model before it is handed over: do its activations leave f16, and are an integer model's images those of its f16 model?

use mote_engine::Engine;
use mote_engine::calibrate::Run;
use mote_engine::memory::AlignedBytes;
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

/// What to say of an integer model whose images are not those of its f16 model, `reference`: the layer that loses most.
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
) -> Result<Option<String>, RunError> {
    if is_chain(diffusion) {
        // Its images are draws.
        return Ok(None);
    }
    let f16 = vec![Format::F16; formats.len()];
    let mut psnr = 0.0;
    let mut worst: Option<(f64, usize)> = None;
    for run in runs {
        let (expected, found) = (look(reference, run, &f16)?, look(model, run, formats)?);
        psnr += psnr_db(&found.image, &expected.image) / runs.len() as f64;
        let ratios = expected.layers.iter().zip(&found.layers).enumerate();
        for (slot, (expected, found)) in ratios.filter(|(_, (_, found))| !found.is_empty()) {
            let signal: f64 = expected.iter().map(|v| v * v).sum();
            let noise: f64 = expected.iter().zip(found).map(|(a, b)| (a - b) * (a - b)).sum();
            let lost = noise / signal.max(f64::MIN_POSITIVE);
            // The first that is off: those behind it inherit that.
            if worst.is_none_or(|(most, _)| lost > 4.0 * most) {
                worst = Some((lost, slot));
            }
        }
    }
    let Some((lost, slot)) = worst.filter(|_| psnr.is_nan() || psnr < LEAST) else {
        return Ok(None);
    };
    Ok(Some(format!(
        "its images are only {psnr:.1} dB from those of its own f16 model, on {} seeds of {} steps; layer '{}' loses most ({:.1} dB in the \
         first step): choose --scheme w16a16 or f16, and look at the layers with `mote validate --against`",
        runs.len(),
        runs.first().map_or(0, |run| run.config.steps),
        program.ops[slot].name,
        -10.0 * lost.max(1e-20).log10(),
    )))
}

/// What a run shows: every layer's output in the first step, by slot, and the final image.
struct Seen {
    layers: Vec<Vec<f64>>,
    image: Vec<f64>,
}

fn look(model: &Model<'_>, run: &Run, formats: &[Format]) -> Result<Seen, RunError> {
    let mut layers = Layers {
        formats,
        outputs: vec![vec![]; formats.len()],
        done: false,
    };
    let mut memory = AlignedBytes::for_run(model, &run.config);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut sampler = run.begin(model, &mut arena)?;
    let engine = Engine::prepare(model);
    let mut worker = engine.worker();
    while sampler.step_by(&mut worker, &mut layers)?.is_some() {
        layers.done = true;
    }
    Ok(Seen {
        layers: layers.outputs,
        image: sampler
            .state()
            .iter()
            .map(|v| f64::from(*v) * Format::OUTPUT.scale)
            .collect(),
    })
}

struct Layers<'a> {
    formats: &'a [Format],
    outputs: Vec<Vec<f64>>,
    done: bool,
}

impl Observer for Layers<'_> {
    fn after(&mut self, _: u16, op: &Op, output: &View<'_>) {
        let slot = usize::from(op.slots().out().0);
        if self.done || slot >= self.outputs.len() {
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
