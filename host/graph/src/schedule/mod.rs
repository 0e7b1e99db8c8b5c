//! The noise schedule: what the network was trained under, and what a sampler visits.
//!
//! [`SchedulerConfig`] is a checkpoint's `scheduler_config.json`; [`Schedule`] is its table of cumulative alphas, in
//! f64 throughout (what goes into a model file) or as the f32 reference computes it; [`Spacing`] and [`PreviousRule`]
//! choose the timesteps of a run. [`Levels`] is the same table on a continuous scale.
//!
//! Everything in f64 here is built from IEEE additions, multiplications, divisions and square roots, and from the
//! `libm` crate for cosine: never from the platform's own functions, because the table goes into a file that must be
//! the same bytes on every machine.

mod betas;
mod config;
pub mod edm;
mod levels;
mod table;
mod timesteps;

pub use config::SchedulerConfig;
pub use levels::{Levels, alpha_sigma};
pub use table::{Precision, Schedule};
pub use timesteps::{PreviousRule, Spacing, Transition, spacing_from_name, spacing_name};

use thiserror::Error;

/// How the betas are laid out over the training timesteps.
#[derive(Debug, Clone, PartialEq)]
pub enum BetaSchedule {
    /// Evenly spaced from `beta_start` to `beta_end` (Ho et al. 2020).
    Linear,
    /// Squares of evenly spaced roots (latent diffusion).
    ScaledLinear,
    /// `squaredcos_cap_v2` (Nichol and Dhariwal 2021, eq. 17), betas capped at 0.999.
    SquaredCosine,
    /// Given one by one in the checkpoint.
    Trained(Vec<f64>),
}

/// What the network's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// The noise (Ho et al. 2020).
    Epsilon,
    /// `sqrt(ab) eps - sqrt(1 - ab) x0` (Salimans and Ho 2022).
    Velocity,
    /// The clean sample.
    Sample,
}

impl Prediction {
    /// The name in a scheduler's configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::Velocity => "v_prediction",
            Self::Sample => "sample",
        }
    }
}

/// Variance of a step of the reverse process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variance {
    /// That of the forward posterior, right where all data are one point (Ho et al. 2020, section 3.2).
    FixedSmall,
    /// Beta, right where the data are standard normal (Ho et al. 2020, section 3.2).
    FixedLarge,
    /// Between the two, on a scale of logarithms, by the network itself (Nichol and Dhariwal 2021, eq. 15).
    LearnedRange,
}

impl Variance {
    /// The name in a scheduler's configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FixedSmall => "fixed_small",
            Self::FixedLarge => "fixed_large",
            Self::LearnedRange => "learned_range",
        }
    }
}

/// Why a schedule cannot be made or a set of timesteps cannot be visited.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ScheduleError {
    /// Betas must be finite, at least 0 and at most 1, and the first below 1.
    #[error(
        "beta[{index}] is {value}: betas must lie in [0, 1], the first below 1; check beta_start, beta_end and trained_betas"
    )]
    Beta {
        /// Training timestep.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// `trained_betas` and `num_train_timesteps` disagree, or there are no timesteps.
    #[error("the schedule has {found} betas but num_train_timesteps is {expected}")]
    Length {
        /// `num_train_timesteps`.
        expected: usize,
        /// Number of betas.
        found: usize,
    },
    /// A scheduler without betas, asked for its cumulative alphas.
    #[error(
        "{class_name} has no betas and no cumulative alphas, which this needs: only samplers of its own levels run it"
    )]
    NoAlphas {
        /// The scheduler.
        class_name: String,
    },
    /// `rescale_betas_zero_snr` on a schedule whose noise does not grow.
    #[error("rescale_betas_zero_snr needs a schedule whose last cumulative alpha is below its first")]
    Rescale,
    /// The least cumulative alpha that a solver's class ends with is above the one before it.
    #[error(
        "rescale_betas_zero_snr: the class of this scheduler ends with a cumulative alpha of {last:e}, above {before:e}, the one before it, \
         so that noise would not grow; give the scheduler the network was trained with (DDIMScheduler or DDPMScheduler), whose last is 0"
    )]
    Rises {
        /// The last cumulative alpha.
        last: f64,
        /// The one before it.
        before: f64,
    },
    /// More steps than training timesteps, or none.
    #[error("{steps} steps: choose from 1 to {max}, the number of training timesteps")]
    Steps {
        /// What was asked for.
        steps: usize,
        /// `num_train_timesteps`.
        max: usize,
    },
    /// A timestep past the end of the schedule, from `steps_offset`.
    #[error("steps_offset {offset} does not fit {steps} steps: the first would begin past the last training timestep")]
    Range {
        /// The timestep.
        timestep: usize,
        /// Last training timestep.
        last: usize,
        /// `steps_offset`.
        offset: usize,
        /// Number of steps asked for.
        steps: usize,
    },
    /// Betas of 0, or a single timestep: noise levels that do not rise, where none can be told from the next.
    #[error(
        "the noise does not grow at timestep {timestep}, where the cumulative alpha is {alpha}: it has no continuous form"
    )]
    Flat {
        /// The timestep.
        timestep: usize,
        /// Its cumulative alpha.
        alpha: f64,
    },
    /// A cumulative alpha of 0 (zero terminal SNR) where epsilon prediction divides by its square root, or of 1 where
    /// the sampler divides by the square root of 1 - alpha.
    #[error("at timestep {timestep} the cumulative alpha is {alpha}: {prediction} prediction divides by zero there")]
    Singular {
        /// The timestep.
        timestep: usize,
        /// Its cumulative alpha.
        alpha: f64,
        /// The prediction type.
        prediction: &'static str,
    },
}
