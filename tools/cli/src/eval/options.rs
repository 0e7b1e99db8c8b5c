//! Which options go with which task: one that would do nothing is refused.

use super::{Args, Sampler};
use crate::failure::Failure;
use mote_tools::chain::files::is_chain;

/// What is measured or drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Chain,
    Bound,
    Likelihood,
    Reconstruction,
    /// On normal data, and on a network.
    Convergence,
    NetworkConvergence,
    Interpolation,
    Distance,
    Samples(Sampler),
}

impl Task {
    fn of(args: &Args) -> Self {
        match &args.trained {
            Some(folder) if is_chain(folder) => Self::Chain,
            None => Self::Convergence,
            _ if args.convergence => Self::NetworkConvergence,
            _ if args.interpolate => Self::Interpolation,
            _ if args.distance_to.is_some() => Self::Distance,
            _ if args.likelihood.is_some() => Self::Likelihood,
            _ if !args.reconstruct.is_empty() => Self::Reconstruction,
            _ => args.sampler.map_or(Self::Bound, Self::Samples),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Chain => "of a chain, its bound and its samples are measured",
            Self::Bound => "the variational bound is measured",
            Self::Likelihood => "--likelihood measures",
            Self::Reconstruction => "--reconstruct measures",
            Self::Convergence | Self::NetworkConvergence => "--convergence draws the errors of solvers",
            Self::Interpolation => "--interpolate draws images by DDIM",
            Self::Distance => "--distance-to measures images by DDIM",
            Self::Samples(_) => "--sampler draws images",
        }
    }
}

/// Refuses options that the task does not have. Nothing is read for it.
pub fn check(args: &Args) -> Result<(), Failure> {
    use Task::{
        Bound, Chain, Convergence, Distance, Interpolation, Likelihood, NetworkConvergence, Reconstruction, Samples,
    };
    let task = Task::of(args);
    let measures = matches!(task, Bound | Distance | Likelihood | Reconstruction);
    let draws = matches!(task, Interpolation | Samples(_));
    let adaptive = matches!(task, Likelihood | NetworkConvergence | Samples(Sampler::Ode));
    let simulated = [Sampler::EulerMaruyama, Sampler::PredictorCorrector].map(Samples);
    let chain = task == Chain;
    let options = [
        (
            "--data",
            args.data.is_some(),
            measures,
            "the bound, --likelihood, --reconstruct and --distance-to",
        ),
        ("--split", args.split.is_some(), measures, "what measures on --data"),
        ("--images", args.images.is_some(), measures, "what measures on --data"),
        ("--timesteps", args.timesteps.is_some(), task == Bound, "the bound"),
        (
            "--variance",
            args.variance.is_some(),
            task == Bound || task == Samples(Sampler::Ddpm),
            "the bound and --sampler ddpm",
        ),
        (
            "--tolerance",
            args.tolerance.is_some(),
            adaptive,
            "--likelihood, --sampler ode and --convergence on a checkpoint",
        ),
        ("--likelihood", args.likelihood.is_some(), !chain, "checkpoints"),
        ("--reconstruct", !args.reconstruct.is_empty(), !chain, "checkpoints"),
        ("--convergence", args.convergence, !chain, "checkpoints and normal data"),
        ("--interpolate", args.interpolate, !chain, "checkpoints"),
        ("--distance-to", args.distance_to.is_some(), !chain, "checkpoints"),
        ("--sampler", args.sampler.is_some(), !chain, "checkpoints"),
        (
            "--sde",
            args.sde.is_some(),
            simulated.contains(&task),
            "--sampler euler-maruyama and predictor-corrector",
        ),
        (
            "--steps",
            args.steps.is_some(),
            task == Distance || draws && task != Samples(Sampler::Ode),
            "--interpolate, --distance-to and every --sampler but ode",
        ),
        (
            "--eta",
            args.eta.is_some(),
            task == Samples(Sampler::Ddim),
            "--sampler ddim",
        ),
        (
            "--count",
            args.count.is_some(),
            draws || task == Distance,
            "--sampler, --interpolate and --distance-to",
        ),
        ("--zoom", args.zoom.is_some(), draws, "--sampler and --interpolate"),
        (
            "--class",
            args.class.is_some(),
            !matches!(task, Chain | Convergence),
            "checkpoints",
        ),
        ("--model", args.model.is_some(), chain, "chains"),
        ("--draws", args.draws.is_some(), chain, "chains"),
        ("--samples", args.samples.is_some(), chain, "chains"),
        (
            "-o",
            args.output.is_some(),
            draws || matches!(task, Convergence | NetworkConvergence),
            "--sampler, --interpolate and --convergence, which draw a picture",
        ),
    ];
    if let Some((option, .., whose)) = options.iter().find(|(_, given, taken, _)| *given && !*taken) {
        return Err(
            Failure::usage(format_args!("{option} would do nothing: {}", task.name()))
                .help(format_args!("leave it out: {option} is for {whose}")),
        );
    }
    Ok(())
}
