//! The independent implementation of the numeric contract, and the runtime's requests in its types.

use super::cpu::show;
use super::{BackendError, ImageRequest, OpenModel, Sampling, StepTrace, Trace};
use mote_oracle as oracle;
use mote_oracle::{Oracle, OracleOptions, OracleStep};
use mote_runtime::internals::sampler::Variance;
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_runtime::internals::schedule::spacing::{PrevRule, Spacing};
use mote_runtime::{Config, Method, Start};
use rayon::prelude::*;

/// Every image on a thread of its own; operators of kind `fault` compute with a deliberate error.
pub fn run(
    opened: OpenModel<'_>,
    sampling: &Sampling,
    fault: Option<&'static str>,
    on_step: &(dyn Fn() + Sync),
) -> Result<Vec<Trace>, BackendError> {
    let options = OracleOptions {
        op_digests: sampling.operators,
        broken_rounding: fault,
    };
    let oracle = Oracle::with_options(opened.bytes, options)?;
    sampling
        .images
        .par_iter()
        .map(|image| one(&oracle, opened.model.decoder().is_some(), sampling, image, on_step))
        .collect()
}

fn one(
    model: &Oracle<'_>,
    decodes: bool,
    sampling: &Sampling,
    image: &ImageRequest,
    on_step: &(dyn Fn() + Sync),
) -> Result<Trace, BackendError> {
    let mut trace = Trace {
        seed: image.seed,
        ..Trace::default()
    };
    let mut take = |step: &OracleStep| {
        let operators = step.op_digests.clone().unwrap_or_default();
        trace.steps.push(StepTrace {
            index: step.index,
            timestep: step.timestep,
            digest: step.digest,
            operators,
        });
        on_step();
    };
    let (request, origin) = (request(&sampling.config_of(image)), image.origin.start());
    let extras = oracle::Extras {
        known: sampling.known.as_deref(),
        known_noise: sampling.known_noise,
        condition: image.condition.as_deref(),
    };
    let state = model.run_with(&request, &start(&origin), extras, &mut take)?;
    trace.pixels = state.iter().copied().map(oracle::q24_to_pixel).collect();
    trace.state = state;
    if decodes {
        let drawn = model.decode(&trace.state)?;
        show(&mut trace, &drawn.picture, drawn.op_digests.unwrap_or_default());
    }
    Ok(trace)
}

/// The oracle's name for what a run is asked for.
#[must_use]
pub fn request(config: &Config) -> oracle::Request {
    oracle::Request {
        steps: config.steps,
        spacing: match config.spacing {
            Spacing::Leading => oracle::Spacing::Leading,
            Spacing::Trailing => oracle::Spacing::Trailing,
            Spacing::Linspace => oracle::Spacing::Linspace,
            Spacing::Quadratic => oracle::Spacing::Quadratic,
        },
        prev: match config.prev {
            PrevRule::List => oracle::PrevRule::List,
            PrevRule::Diffusers => oracle::PrevRule::Diffusers,
        },
        eta_q16: config.eta_q16,
        clip: match config.clip {
            Clip::Off => oracle::Clip::Off,
            Clip::Stock => oracle::Clip::Stock,
            Clip::Rederived => oracle::Clip::Rederived,
        },
        clip_range_q24: config.clip_range_q24,
        class: config.class,
        guidance_q16: config.guidance_q16,
        seed: config.seed,
        method: match config.method {
            Method::Ddim => oracle::Method::Ddim,
            Method::Ddpm(Variance::Small) => oracle::Method::Ddpm(oracle::Variance::Small),
            Method::Ddpm(Variance::Learned) => oracle::Method::Ddpm(oracle::Variance::Learned),
            Method::Ddpm(Variance::Large) => oracle::Method::Ddpm(oracle::Variance::Large),
            Method::DpmSolver2M => oracle::Method::DpmSolver2M,
            Method::Heun => oracle::Method::Heun,
            Method::FlowEuler => oracle::Method::FlowEuler,
            Method::FlowHeun => oracle::Method::FlowHeun,
            Method::FlowMidpoint => oracle::Method::FlowMidpoint,
            Method::FlowDpmSolver2M => oracle::Method::FlowDpmSolver2M,
            Method::Consistency => oracle::Method::Consistency,
            Method::FlowConsistency => oracle::Method::FlowConsistency,
        },
    }
}

/// The oracle's name for where a run starts.
#[must_use]
pub fn start<'s>(start: &Start<'s>) -> oracle::Start<'s> {
    match *start {
        Start::Seed => oracle::Start::Seed,
        Start::Noise(noise) => oracle::Start::Noise(noise),
        Start::Image {
            image_q24,
            strength_q16,
        } => oracle::Start::Image {
            image_q24,
            strength_q16,
        },
        Start::Between { second, part_q16 } => oracle::Start::Between { second, part_q16 },
    }
}
