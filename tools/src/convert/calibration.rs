//! The runs of the sampler that a conversion observes.

use mote_engine::calibrate::Run;
use mote_runtime::Config;
use mote_runtime::internals::schedule::spacing::{PrevRule, begins_within};

use crate::condition::Given;
use crate::emit::Diffusion;
use crate::program::Program;
use std::sync::Arc;

/// Seed of the first calibration run; far from the small seeds that people sample with.
pub const CALIBRATION_SEED: u64 = 0x4D4F_5445_0000_0000;
/// Steps of a calibration run.
const CALIBRATION_STEPS: u32 = 20;
/// Multiply-accumulates spent on calibration, about: sets the number of runs, 2 to 16.
const CALIBRATION_MACS: u64 = 16_000_000_000;

/// Seed of the first run that weights of 4 bits are rounded on.
const ROUNDING_SEED: u64 = 0x524F_554E_0000_0000;
/// Calls recorded in all, about, and the bytes of activations that they may take.
const ROUNDING_CALLS: usize = 96;
const ROUNDING_BYTES: usize = 1 << 28;

/// Runs that a conversion observes.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// Runs that the ranges of activations are taken from.
    pub runs: Vec<Run>,
    /// Steps of each, as the model file tells.
    pub steps: u32,
    /// Other runs, on which weights of 4 bits are rounded. Empty where no weight has 4 bits.
    pub rounding: Vec<Run>,
}

impl Calibration {
    /// The network's own sampler from several seeds, every class in turn, conditions of all of `given`.
    pub fn of(program: &Program, diffusion: &Diffusion, given: Option<&Given>) -> Self {
        let count = affordable_runs(program, diffusion);
        // Runs and rounding runs have each their own conditions, evenly spread, where there are as many.
        let conditions = given.map(|given| given.spread(2 * count as usize));
        let on = |config: Config, i: u64| Run {
            config,
            condition: conditions
                .as_ref()
                .map_or(Arc::from([]), |rows| rows[i as usize % rows.len()].clone()),
        };
        Self {
            runs: (0..count).map(|i| on(run(program, diffusion, i), 2 * i)).collect(),
            steps: CALIBRATION_STEPS,
            rounding: (0..count)
                .map(|i| on(rounding_run(program, diffusion, i), 2 * i + 1))
                .collect(),
        }
    }

    /// Every how many calls of the rounding runs one is recorded.
    pub fn rounding_stride(&self, program: &Program) -> usize {
        let available: usize = self.rounding.iter().map(|run| run.config.steps as usize).sum();
        let bytes: usize = program.slots.iter().map(|slot| 2 * slot.len()).sum();
        let wanted = ROUNDING_CALLS.min(ROUNDING_BYTES / bytes.max(1)).max(1);
        available.div_ceil(wanted)
    }
}

/// 2 to 16, by the work of a call.
fn affordable_runs(program: &Program, diffusion: &Diffusion) -> u64 {
    let call = program.total_macs();
    (CALIBRATION_MACS / (call * u64::from(steps(diffusion))).max(1)).clamp(2, 16)
}

fn steps(diffusion: &Diffusion) -> u32 {
    within(diffusion, CALIBRATION_STEPS)
}

/// As many steps as `wanted`, or the most below it that the training timesteps and the checkpoint's offset leave room for.
fn within(diffusion: &Diffusion, wanted: u32) -> u32 {
    let (total, offset) = (diffusion.train_steps, diffusion.steps_offset);
    let fits = |steps: &u32| begins_within(diffusion.schedule.spacing(), total, *steps, offset);
    (1..=wanted.min(total)).rev().find(fits).unwrap_or(1)
}

/// A run as the checkpoint was saved to be sampled.
pub fn run_of(diffusion: &Diffusion, steps: u32) -> Config {
    Config {
        steps,
        spacing: diffusion.schedule.spacing(),
        prev: PrevRule::List,
        eta_q16: 0,
        clip: diffusion.clip,
        clip_range_q24: 1 << 24,
        class: None,
        guidance_q16: None,
        seed: 0,
        method: diffusion.prediction.levels().default_method(),
    }
}

fn run(program: &Program, diffusion: &Diffusion, i: u64) -> Config {
    let quiet = run_of(diffusion, steps(diffusion));
    // Every fourth run is noisy where the sampler has an eta, so that the ranges hold for eta > 0.
    let noisy = i % 4 == 3 && quiet.method.draws(1 << 16);
    Config {
        eta_q16: if noisy { 1 << 16 } else { 0 },
        class: (program.classes > 0).then(|| (i % program.classes as u64) as u16),
        seed: CALIBRATION_SEED + i,
        ..quiet
    }
}

/// Of many lengths, so that many timesteps occur.
fn rounding_run(program: &Program, diffusion: &Diffusion, i: u64) -> Config {
    let config = run(program, diffusion, i);
    Config {
        steps: within(diffusion, config.steps + i as u32),
        seed: ROUNDING_SEED + i,
        ..config
    }
}
