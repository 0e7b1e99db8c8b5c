//! Runs from start to end.

use mote_engine::Engine;
use mote_engine::memory::AlignedBytes;
use mote_oracle::Oracle;
use mote_runtime::internals::digest::Digest;
use mote_runtime::internals::sampler::Variance;
use mote_runtime::{Arena, Config, Method, Model, RunError, Sampler, Start, Step, Unobserved};
use mote_tools::backend::oracle::{request, start as start_of};

/// Every sampler on cumulative alphas.
pub const METHODS: [Method; 6] = [
    Method::Ddim,
    Method::Ddpm(Variance::Small),
    Method::Ddpm(Variance::Large),
    Method::DpmSolver2M,
    Method::Heun,
    Method::Consistency,
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

/// Digests of a run's steps: the portable runtime's, and those of the engine, the oracle and a run that was resumed after step 3, which are
/// the same.
///
/// # Panics
/// Where they are not.
pub fn everywhere(file: &[u8], config: &Config, start: &Start<'_>, known: Option<&[i32]>) -> Vec<u64> {
    let model = &Model::parse(file).expect("a valid file");
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(model, &mut arena, config, start).expect("the run is valid");
    if let Some(known) = known {
        run.inpaint(known).expect("it has the sample's length");
    }
    let (mut digests, mut times, mut saved) = (vec![], vec![], vec![0; Sampler::snapshot_bytes(model, config)]);
    let mut len = 0;
    while let Some(step) = run.step().expect("the step runs") {
        digests.push(step.digest);
        times.push(step.timestep);
        if step.index == 3 {
            len = run.snapshot(&mut saved).expect("there is room");
        }
    }
    let engine = Engine::prepare(model);
    let mut worker = engine.worker();
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
    let mut quick = Sampler::new(model, &mut arena, config, start).expect("the run is valid");
    if let Some(known) = known {
        quick.inpaint(known).expect("it has the sample's length");
    }
    let mut found = vec![];
    while let Some(step) = quick.step_by(&mut worker, &mut Unobserved).expect("the step runs") {
        found.push(step.digest);
    }
    assert_eq!(found, digests, "the engine's");
    let mut found = vec![];
    let oracle = Oracle::new(file).expect("the model is valid");
    let end = oracle
        .run_known(&request(config), &start_of(start), known, &mut |step| {
            found.push((step.timestep, step.digest))
        })
        .expect("the run is valid");
    assert_eq!(
        found,
        times.into_iter().zip(digests.clone()).collect::<Vec<_>>(),
        "the oracle's"
    );
    assert_eq!(Digest::of(end.into_iter()).0, digests[digests.len() - 1]);
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
    let mut resumed = Sampler::resume(model, &mut arena, &saved[..len]).expect("it was saved");
    if let Some(known) = known {
        resumed.inpaint(known).expect("it has the sample's length");
    }
    while resumed.step().expect("the step runs").is_some() {}
    assert_eq!(resumed.digest(), digests[digests.len() - 1], "resumed");
    digests
}
