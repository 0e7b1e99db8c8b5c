//! Runs from start to end.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::sampler::Variance;
use mote_runtime::{Arena, Config, Method, Model, RunError, Sampler, Start, Step};

/// Every sampler.
pub const METHODS: [Method; 5] = [
    Method::Ddim,
    Method::Ddpm(Variance::Small),
    Method::Ddpm(Variance::Large),
    Method::DpmSolver2M,
    Method::Heun,
];

/// A finished run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Every step.
    pub steps: Vec<Step>,
    /// The final state, Q24.
    pub state: Vec<i32>,
}

/// Runs `config` from `start`.
pub fn finish(model: &Model<'_>, config: &Config, start: &Start<'_>) -> Result<Finished, RunError> {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut run = Sampler::new(model, &mut arena, config, start)?;
    let mut steps = Vec::new();
    while let Some(step) = run.step()? {
        steps.push(step);
    }
    Ok(Finished {
        steps,
        state: run.state().to_vec(),
    })
}

/// Real numbers in Q24.
pub fn q24(values: &[f32]) -> Vec<i32> {
    values
        .iter()
        .map(|v| libm::round(f64::from(*v) * 16_777_216.0) as i32)
        .collect()
}

/// PSNR with peak 2 of a Q24 state against real numbers, dB.
pub fn psnr_db(state_q24: &[i32], reference: &[f32]) -> f64 {
    let squared = |(a, b): (&i32, &f32)| (f64::from(*a) / 16_777_216.0 - f64::from(*b)).powi(2);
    let mse: f64 = state_q24.iter().zip(reference).map(squared).sum::<f64>() / reference.len() as f64;
    10.0 * (4.0 / mse).log10()
}
