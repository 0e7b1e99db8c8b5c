//! A diffusers checkpoint: the task that is asked for, and what came of it.

use super::{Args, Sampler, Sde, Split, Variance, drawings, measures};
use crate::failure::Failure;
use crate::print::{self, Verdict};
use mote_graph::schedule;
use mote_tools::Checkpoint;
use mote_tools::data::{self, Discrete};
use mote_tools::eval::{EvalOptions, HostSampler, Process, Subject, executor};
use std::path::Path;

/// Images measured where no number is asked for.
const IMAGES: usize = 64;

/// Imports the checkpoint and does the task.
pub fn run(args: &Args, folder: &Path) -> Result<Verdict, Failure> {
    let checkpoint = print::noted(Checkpoint::open(folder)?);
    let network = executor(&checkpoint, args.convergence)?;
    let subject = Subject::new(&checkpoint, &network, options(args))?;
    if args.convergence {
        drawings::convergence(args, || subject.convergence())
    } else if args.interpolate {
        drawings::interpolation(args, &subject)
    } else if let Some(other) = &args.distance_to {
        distance(args, &subject, other)
    } else if let Some(sampler) = args.sampler {
        drawings::samples(args, &subject, sampler)
    } else if args.likelihood.is_some() {
        measures::likelihood(args, &subject, &images(args, &subject)?)
    } else if !args.reconstruct.is_empty() {
        measures::reconstruction(args, &subject, &images(args, &subject)?)
    } else {
        measures::bound(args, &subject, &images(args, &subject)?)
    }
}

/// Against another checkpoint.
fn distance(args: &Args, subject: &Subject<'_>, other: &Path) -> Result<Verdict, Failure> {
    let other = print::noted(Checkpoint::open(other)?);
    let network = executor(&other, false)?;
    let other = Subject::new(&other, &network, options(args))?;
    let data = args.data.is_some().then(|| images(args, subject)).transpose()?;
    measures::distance(args, subject, &other, data.as_ref())
}

fn options(args: &Args) -> EvalOptions {
    let default = EvalOptions::default();
    EvalOptions {
        class: args.class,
        variance: args.variance.map(|variance| match variance {
            Variance::FixedSmall => schedule::Variance::FixedSmall,
            Variance::FixedLarge => schedule::Variance::FixedLarge,
            Variance::LearnedRange => schedule::Variance::LearnedRange,
        }),
        tolerance: args.tolerance.unwrap_or(default.tolerance),
        seed: args.seed,
    }
}

/// The images that are measured.
fn images(args: &Args, subject: &Subject<'_>) -> Result<Discrete, Failure> {
    let path = args.data.as_deref().ok_or_else(|| {
        Failure::usage("no data to measure on").help(
            "give --data FILE.npz, an IDX file or a folder of PNG files; see `mote eval --help` for what needs none",
        )
    })?;
    let split = match args.split {
        Some(Split::Train) => data::Split::Train,
        Some(Split::Test) | None => data::Split::Test,
    };
    let count = args.images.map_or(IMAGES, |count| count as usize);
    Ok(data::measured(path, split, count, subject.shape())?)
}

/// The sampler with its options.
pub fn host_sampler(args: &Args, sampler: Sampler) -> HostSampler {
    let process = match args.sde {
        Some(Sde::SubVp) => Process::SubVp,
        Some(Sde::Vp) | None => Process::Vp,
    };
    match sampler {
        Sampler::Ddim => HostSampler::Ddim {
            eta: args.eta.unwrap_or(0.0),
        },
        Sampler::Ddpm => HostSampler::Ddpm,
        Sampler::EulerMaruyama => HostSampler::EulerMaruyama(process),
        Sampler::PredictorCorrector => HostSampler::PredictorCorrector(process),
        Sampler::Ode => HostSampler::Ode,
    }
}
