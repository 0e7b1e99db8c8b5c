//! The samplers there are, and all that tells one from another.

use serde::{Deserialize, Serialize};

use super::{Levels, Variance};
use crate::features::Feature;

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
    /// [`crate::schedule::flow_euler`]: Euler's method over continuous noise levels.
    FlowEuler,
    /// [`crate::schedule::second`]: Heun's method over these, two calls a step (the last has one) and one held tensor.
    FlowHeun,
    /// [`crate::schedule::second`]: the midpoint method over these, two calls a step and one held tensor.
    FlowMidpoint,
    /// [`crate::schedule::second`]: DPM-Solver++(2M) over these.
    FlowDpmSolver2M,
    /// [`crate::schedule::consistency`]: multistep consistency sampling, over cumulative alphas.
    Consistency,
    /// The same over continuous noise levels.
    FlowConsistency,
}

/// What tells a sampler from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its number in files and requests: its place in [`Method::ALL`].
    pub number: u8,
    /// Its name on the command line. The two ancestral samplers share one.
    pub name: &'static str,
    /// What a user is told of it, in a line.
    pub about: &'static str,
    /// The part of the runtime that it needs; `None` where every build has it.
    pub feature: Option<Feature>,
    /// What the form of a row's next state is applied to.
    pub terms: Terms,
    /// Network calls of a step that is not the last, without guidance: 1 or 2.
    pub calls: u32,
    /// Whether it keeps a clean sample that was predicted before, and how long.
    pub keeps: Keeps,
    /// Whether its steps draw noise.
    pub noise: Noise,
    /// The noise levels that it runs on.
    pub levels: Levels,
}

/// What a row's next state is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// x0 (where it is clamped), the state, the network's output, noise.
    Output,
    /// x0, the x0 kept from the call before, the state, noise.
    Kept,
}

/// How long a predicted clean sample is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Not at all.
    Nothing,
    /// From the first call of a step to its second.
    WithinStep,
    /// From one step to the next, so that a snapshot holds it.
    BetweenSteps,
}

/// When a step draws noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// Never.
    Never,
    /// Where eta is above 0: DDIM alone has one.
    Eta,
    /// Always.
    Always,
}

/// Entries that samplers on other levels take over. They are constants: an entry that called for another could not be inlined, and its texts
/// would be linked into every firmware.
impl Entry {
    /// DPM-Solver++(2M) on cumulative alphas.
    const DPM_SOLVER: Self = Self {
        number: 3,
        name: "dpm++",
        about: "DPM-Solver++(2M), Lu et al. 2022: second order, deterministic",
        feature: Some(Feature::DpmSolver),
        terms: Terms::Kept,
        calls: 1,
        keeps: Keeps::BetweenSteps,
        noise: Noise::Never,
        levels: Levels::Alphas,
    };
    /// Heun's method on cumulative alphas.
    const HEUN: Self = Self {
        number: 4,
        name: "heun",
        about: "Heun's method on the probability-flow ODE: second order, two network calls a step",
        feature: Some(Feature::Heun),
        terms: Terms::Kept,
        calls: 2,
        keeps: Keeps::WithinStep,
        noise: Noise::Never,
        levels: Levels::Alphas,
    };
    /// The ancestral sampler with the network's variances.
    #[cfg(feature = "learned-variance")]
    const LEARNED: Self = Self {
        number: 11,
        name: "ddpm",
        about: "Nichol and Dhariwal 2021: ancestral, with the network's variances",
        feature: Some(Feature::LearnedVariance),
        terms: Terms::Kept,
        calls: 1,
        keeps: Keeps::WithinStep,
        noise: Noise::Always,
        levels: Levels::Alphas,
    };
    /// Consistency sampling on cumulative alphas.
    const CONSISTENCY: Self = Self {
        number: 9,
        name: "consistency",
        about: "Song et al. 2023: x0, fresh noise, x0 again; for distilled networks of 1 to 4 steps",
        feature: Some(Feature::Consistency),
        terms: Terms::Kept,
        calls: 1,
        keeps: Keeps::Nothing,
        noise: Noise::Always,
        levels: Levels::Alphas,
    };
}

impl Method {
    /// Every sampler, at its number.
    pub const ALL: [Self; 11 + cfg!(feature = "learned-variance") as usize] = [
        Self::Ddim,
        Self::Ddpm(Variance::Small),
        Self::Ddpm(Variance::Large),
        Self::DpmSolver2M,
        Self::Heun,
        Self::FlowEuler,
        Self::FlowHeun,
        Self::FlowMidpoint,
        Self::FlowDpmSolver2M,
        Self::Consistency,
        Self::FlowConsistency,
        #[cfg(feature = "learned-variance")]
        Self::Ddpm(Variance::Learned),
    ];

    /// Its entry.
    #[inline(always)]
    pub const fn entry(self) -> Entry {
        match self {
            Self::Ddim => Entry {
                number: 0,
                name: "ddim",
                about: "Song, Meng and Ermon 2021: deterministic, or with noise by --eta",
                feature: None,
                terms: Terms::Output,
                calls: 1,
                keeps: Keeps::Nothing,
                noise: Noise::Eta,
                levels: Levels::Alphas,
            },
            #[cfg(feature = "learned-variance")]
            Self::Ddpm(Variance::Learned) => Entry::LEARNED,
            Self::Ddpm(variance) => Entry {
                number: 1 + variance as u8,
                name: "ddpm",
                about: "Ho, Jain and Abbeel 2020: ancestral, with noise in every step; see --variance",
                feature: Some(Feature::Ddpm),
                terms: Terms::Kept,
                calls: 1,
                keeps: Keeps::Nothing,
                noise: Noise::Always,
                levels: Levels::Alphas,
            },
            Self::DpmSolver2M => Entry::DPM_SOLVER,
            Self::Heun => Entry::HEUN,
            Self::FlowEuler => Entry {
                number: 5,
                name: "euler",
                about: "Euler's method, of flow matching and EDM: deterministic",
                feature: Some(Feature::Continuous),
                terms: Terms::Kept,
                calls: 1,
                keeps: Keeps::Nothing,
                noise: Noise::Never,
                levels: Levels::Flow,
            },
            Self::FlowHeun => Entry {
                number: 6,
                levels: Levels::Flow,
                ..Entry::HEUN
            },
            Self::FlowMidpoint => Entry {
                number: 7,
                name: "flow-midpoint",
                about: "the midpoint method, of flow matching and EDM: second order, two network calls a step",
                levels: Levels::Flow,
                ..Entry::HEUN
            },
            Self::FlowDpmSolver2M => Entry {
                number: 8,
                levels: Levels::Flow,
                ..Entry::DPM_SOLVER
            },
            Self::Consistency => Entry::CONSISTENCY,
            Self::FlowConsistency => Entry {
                number: 10,
                levels: Levels::Flow,
                ..Entry::CONSISTENCY
            },
        }
    }

    /// The sampler of that number.
    #[inline]
    pub const fn numbered(number: u32) -> Option<Self> {
        if (number as usize) < Self::ALL.len() {
            Some(Self::ALL[number as usize])
        } else {
            None
        }
    }

    /// The sampler of that name; of the ancestral ones that with the small variance, and of two on different levels that on cumulative
    /// alphas ([`Self::on`]).
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.entry().name == name)
    }

    /// The sampler of the same name on these levels, where there is one; else itself.
    #[must_use]
    pub fn on(self, levels: Levels) -> Self {
        let same = |other: &Self| {
            let (own, other) = (self.entry(), other.entry());
            own.name == other.name && levels.are(other.levels)
        };
        if levels.are(self.entry().levels) {
            return self;
        }
        Self::ALL.into_iter().find(same).unwrap_or(self)
    }

    /// The part of the runtime that it needs; `None` where every build has it.
    #[inline(always)]
    pub const fn feature(self) -> Option<Feature> {
        self.entry().feature
    }

    /// Whether this build has it.
    #[inline(always)]
    pub const fn is_built(self) -> bool {
        match self.feature() {
            Some(feature) => feature.is_built(),
            None => true,
        }
    }

    /// Bits of the samplers, by their numbers, that call the network twice a step.
    pub(crate) const TWO_CALLS: u32 = {
        let (mut bits, mut number) = (0, 0);
        while number < Self::ALL.len() {
            bits |= (Self::ALL[number].calls() - 1) << number;
            number += 1;
        }
        bits
    };

    /// Whether this build has more samplers than DDIM.
    pub const IS_A_CHOICE: bool = Self::BUILT.several;

    /// What this build's samplers need between them: what stands behind a `false` is not linked.
    pub(crate) const BUILT: Built = Built::new();

    /// Whether it keeps a clean sample that was predicted before: as many elements as the state has. No run of a build that has DDIM alone does.
    #[inline(always)]
    pub const fn holds_sample(self) -> bool {
        Self::IS_A_CHOICE && !matches!(self.entry().keeps, Keeps::Nothing)
    }

    /// Whether it takes the network's variances: `false` at compile time where these are not built.
    #[inline(always)]
    pub const fn is_learned(self) -> bool {
        match self {
            #[cfg(feature = "learned-variance")]
            Self::Ddpm(Variance::Learned) => true,
            _ => false,
        }
    }

    /// Whether what it keeps is needed from one step to the next, and so by a snapshot.
    #[inline(always)]
    pub const fn holds_between_steps(self) -> bool {
        matches!(self.entry().keeps, Keeps::BetweenSteps)
    }

    /// Network calls of a step that is not the last, without guidance.
    #[inline(always)]
    pub const fn calls(self) -> u32 {
        self.entry().calls
    }

    /// Whether its steps draw noise, at DDIM's `eta_q16`.
    #[inline(always)]
    pub const fn draws(self, eta_q16: u32) -> bool {
        if !Self::IS_A_CHOICE {
            return eta_q16 != 0;
        }
        match self.entry().noise {
            Noise::Never => false,
            Noise::Eta => eta_q16 != 0,
            Noise::Always => true,
        }
    }
}

/// What the samplers of this build need between them.
pub(crate) struct Built {
    /// Some have rows of [`Terms::Kept`].
    pub kept_terms: bool,
    /// Some keep a clean sample from one step to the next.
    pub keeps_between_steps: bool,
    /// Some call the network twice a step.
    pub two_calls: bool,
    /// There are some beside the one that every build has.
    several: bool,
}

impl Built {
    const fn new() -> Self {
        let mut built = Self {
            kept_terms: false,
            keeps_between_steps: false,
            two_calls: false,
            several: false,
        };
        let mut number = 0;
        while number < Method::ALL.len() {
            let method = Method::ALL[number];
            if method.is_built() {
                built.kept_terms |= matches!(method.entry().terms, Terms::Kept);
                built.keeps_between_steps |= method.holds_between_steps();
                built.two_calls |= method.calls() > 1;
                built.several |= method.feature().is_some();
            }
            number += 1;
        }
        built
    }
}
