//! The samplers, and what each needs.

use serde::{Deserialize, Serialize};

use crate::features::Feature;
pub use crate::schedule::ddpm::Variance;

/// How a run goes from one timestep to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Method {
    /// [`mod@crate::schedule::coefficients`]: the deterministic sampler of Song, Meng and Ermon 2021, and its family by eta.
    Ddim,
    /// [`crate::schedule::ddpm`]: the ancestral sampler of Ho, Jain and Abbeel 2020.
    Ddpm(Variance),
    /// [`crate::schedule::dpm_solver`]: DPM-Solver++(2M), of second order with one call a step and one held tensor.
    DpmSolver2M,
    /// [`crate::schedule::heun`]: Heun's method, of second order with two calls a step (the last has one) and one held tensor.
    Heun,
}

impl Method {
    /// The part of the runtime that it needs; `None` where every build has it.
    pub const fn feature(self) -> Option<Feature> {
        match self {
            Self::Ddim => None,
            Self::Ddpm(_) => Some(Feature::Ddpm),
            Self::DpmSolver2M => Some(Feature::DpmSolver),
            Self::Heun => Some(Feature::Heun),
        }
    }

    /// Whether it holds the clean sample that was predicted before: as many elements as the state has.
    pub const fn holds_sample(self) -> bool {
        matches!(self, Self::DpmSolver2M | Self::Heun)
    }

    /// Whether what it holds is needed from one step to the next, and so by a snapshot.
    pub const fn holds_between_steps(self) -> bool {
        matches!(self, Self::DpmSolver2M)
    }

    /// Network calls of a step that is not the last, without guidance.
    pub const fn calls(self) -> u32 {
        1 + matches!(self, Self::Heun) as u32
    }

    /// Whether its steps draw noise, at DDIM's `eta_q16`.
    pub const fn draws(self, eta_q16: u32) -> bool {
        match self {
            Self::Ddim => eta_q16 != 0,
            Self::Ddpm(_) => true,
            Self::DpmSolver2M | Self::Heun => false,
        }
    }
}
