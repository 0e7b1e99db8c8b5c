//! What a model file and a run's request say of sampling: what the network predicts, how timesteps are spread, and the samplers there are.
//!
//! Values only: [`crate::schedule`] computes from them, [`crate::sampler`] runs them. All that tells one sampler from another is its
//! [`Entry`]. Its number is the same in a planned file, in a request to a firmware and on the command line.

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::features::Feature;
use crate::ops::reader::Reader;

/// What the network's output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Prediction {
    /// The noise: `x0 = (x - sqrt(1 - ab) out) / sqrt(ab)`, `eps = out`.
    Epsilon,
    /// The velocity (Salimans and Ho 2022): `x0 = sqrt(ab) x - sqrt(1 - ab) out`, `eps = sqrt(ab) out + sqrt(1 - ab) x`.
    V,
    /// The clean sample: `x0 = out`, `eps = (x - sqrt(ab) out) / sqrt(1 - ab)`.
    Sample,
    /// What the other bits say of a bit of the clean sample, in log odds: a binomial chain ([`crate::schedule::chain`]).
    Bits {
        /// Probability of a 1 in equilibrium, Q31.
        prior_q31: u32,
    },
    /// Mean and variance of the reverse kernel: a Gaussian chain ([`crate::schedule::chain`]).
    Kernel,
    /// The velocity of flow matching, `noise - x0` ([`crate::schedule::flow_euler`]).
    Flow,
    /// What a preconditioned network adds to its share of the input (Karras et al. 2022): [`crate::schedule::edm`].
    Edm,
    /// The picture of a latent: a decoder, which no run samples from ([`crate::sampler::decode`]).
    #[cfg(feature = "decoder")]
    Picture {
        /// Channels of the picture.
        channels: u16,
        /// Rows of the picture.
        rows: u16,
        /// Columns of the picture.
        cols: u16,
    },
}

impl Prediction {
    /// Whether the model is a diffusion chain of Sohl-Dickstein et al. 2015, whose reverse kernels the network gives. `false` at compile
    /// time where chains are not built, as such models are then refused.
    #[inline(always)]
    pub const fn is_chain(self) -> bool {
        Feature::Chain.is_built() && matches!(self, Self::Bits { .. } | Self::Kernel)
    }

    /// Whether it is a Gaussian chain; `false` as of [`Self::is_chain`].
    #[inline(always)]
    pub(crate) const fn is_kernel(self) -> bool {
        Feature::Chain.is_built() && matches!(self, Self::Kernel)
    }

    /// Channels, rows and columns of the picture that a decoder makes; `None` of a network that is sampled from, at compile time
    /// where decoders are not built.
    #[inline(always)]
    pub const fn picture(self) -> Option<[u16; 3]> {
        match self {
            #[cfg(feature = "decoder")]
            Self::Picture { channels, rows, cols } => Some([channels, rows, cols]),
            _ => None,
        }
    }

    /// The part of the runtime that runs of such a model need, whatever the sampler.
    #[inline(always)]
    pub const fn feature(self) -> Option<Feature> {
        match self {
            Self::Bits { .. } | Self::Kernel => Some(Feature::Chain),
            Self::Flow | Self::Edm => Some(Feature::Continuous),
            #[cfg(feature = "decoder")]
            Self::Picture { .. } => Some(Feature::Decoder),
            Self::Epsilon | Self::V | Self::Sample => None,
        }
    }

    /// What the noise levels are that such a network is trained on: known at compile time where only cumulative alphas are built, as
    /// other models are then refused.
    #[inline(always)]
    pub const fn levels(self) -> Levels {
        match self {
            Self::Flow if Feature::Continuous.is_built() => Levels::Flow,
            Self::Edm if Feature::Continuous.is_built() => Levels::Edm,
            Self::Epsilon | Self::V | Self::Sample | Self::Bits { .. } | Self::Kernel | Self::Flow | Self::Edm => {
                Levels::Alphas
            }
            #[cfg(feature = "decoder")]
            Self::Picture { .. } => Levels::Alphas,
        }
    }

    #[inline(always)]
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        match r.variant(7 + cfg!(feature = "decoder") as u32) {
            0 => Self::Epsilon,
            1 => Self::V,
            2 => Self::Sample,
            3 => Self::Bits { prior_q31: r.u32() },
            4 => Self::Kernel,
            5 => Self::Flow,
            #[cfg(feature = "decoder")]
            7 => Self::Picture {
                channels: r.u16(),
                rows: r.u16(),
                cols: r.u16(),
            },
            _ => Self::Edm,
        }
    }
}

impl Schedule {
    /// The spacing that the checkpoint was saved with, or that of the plan.
    pub const fn spacing(self) -> Spacing {
        match self {
            Self::Leading => Spacing::Leading,
            Self::Trailing | Self::Flow { .. } | Self::Edm { .. } => Spacing::Trailing,
            Self::Linspace => Spacing::Linspace,
            Self::Quadratic => Spacing::Quadratic,
            Self::Planned(plan) => plan.spacing(),
        }
    }

    /// The run that the file holds, where it is one.
    pub const fn plan(self) -> Option<Plan> {
        match self {
            Self::Planned(plan) => Some(plan),
            _ => None,
        }
    }

    /// Entries of the table of cumulative alphas, of a file that plans no run.
    #[inline(always)]
    pub(super) const fn alphas(self, train_steps: u32) -> u32 {
        match self {
            Self::Flow { .. } | Self::Edm { .. } if Feature::Continuous.is_built() => 0,
            _ => train_steps,
        }
    }

    /// The shift of flow matching's levels, Q24; 1 of other schedules.
    pub(crate) const fn shift_q24(self) -> u32 {
        match self {
            Self::Flow { shift_q24 } => shift_q24,
            _ => 1 << 24,
        }
    }

    /// The part of the runtime that runs by it need; `None` of a planned run, whose sampler needs its own.
    #[inline(always)]
    pub(super) const fn feature(self) -> Option<Feature> {
        match self {
            Self::Planned(_) => None,
            Self::Flow { .. } | Self::Edm { .. } if !Feature::Continuous.is_built() => Some(Feature::Continuous),
            Self::Edm { .. } if !Feature::Edm.is_built() => Some(Feature::Edm),
            _ => Some(Feature::Schedule),
        }
    }

    /// EDM's levels; of other schedules some that no run visits.
    #[inline(always)]
    pub(crate) const fn edm(self) -> Edm {
        match self {
            Self::Edm {
                lowest_q28,
                highest_q28,
                sigma_data_q24,
                rho,
            } => Edm {
                lowest_q28,
                highest_q28,
                sigma_data_q24,
                rho: rho as u32,
            },
            _ => Edm {
                lowest_q28: 1 << 27,
                highest_q28: 1 << 28,
                sigma_data_q24: 1 << 24,
                rho: 1,
            },
        }
    }

    /// Whether a network that predicts `prediction` goes with it, trained on so many timesteps: continuous levels go up to the last one,
    /// which is below 2^16.
    #[inline(always)]
    pub(super) const fn suits(self, prediction: Prediction, train_steps: u32) -> bool {
        // Of continuous levels both are refused by their part where that is not built.
        if !Feature::Continuous.is_built() {
            return true;
        }
        let continuous = prediction.levels().are_continuous();
        let same = match self {
            Self::Planned(plan) => plan.method().entry().levels.are_continuous() == continuous,
            Self::Flow { shift_q24 } => {
                matches!(prediction, Prediction::Flow) && shift_q24 >= 1 && shift_q24 <= 1 << 31
            }
            Self::Edm { .. } => matches!(prediction, Prediction::Edm) && self.edm().holds(),
            _ => !continuous,
        };
        same && (!continuous || train_steps < 1 << 16)
    }

    #[inline(always)]
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        match r.variant(7) {
            0 => Self::Leading,
            1 => Self::Trailing,
            2 => Self::Linspace,
            3 => Self::Quadratic,
            4 => Self::Planned(Plan::read(r)),
            5 => Self::Flow { shift_q24: r.u32() },
            _ => Self::Edm {
                lowest_q28: r.u32(),
                highest_q28: r.u32(),
                sigma_data_q24: r.u32(),
                rho: r.u8(),
            },
        }
    }
}

impl From<Spacing> for Schedule {
    fn from(spacing: Spacing) -> Self {
        match spacing {
            Spacing::Leading => Self::Leading,
            Spacing::Trailing => Self::Trailing,
            Spacing::Linspace => Self::Linspace,
            Spacing::Quadratic => Self::Quadratic,
        }
    }
}

/// What the schedule section of a file holds, beside the spacing that the checkpoint was saved with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// A cumulative alpha (Q62) for every training timestep; [`Spacing::Leading`].
    Leading,
    /// The same, [`Spacing::Trailing`].
    Trailing,
    /// The same, [`Spacing::Linspace`].
    Linspace,
    /// The same, [`Spacing::Quadratic`].
    Quadratic,
    /// The rows of one run ([`super::plan`]).
    Planned(Plan),
    /// Nothing: the levels of flow matching follow from a run's steps and from this shift, Q24, 1 to 2^31; [`Spacing::Trailing`].
    Flow {
        /// 2^24 leaves the levels as they are.
        shift_q24: u32,
    },
    /// Nothing: the levels of EDM (Karras et al. 2022, equation 5) follow from a run's steps and from these; [`Spacing::Trailing`]. Both
    /// roots are 2^12 to 2^32, and no sigma is beyond 2^-20 to 2^20.
    Edm {
        /// The lowest sigma to the power of 1 / rho, Q28.
        lowest_q28: u32,
        /// The same of the highest.
        highest_q28: u32,
        /// Standard deviation of the data, Q24, 2^12 to 2^24.
        sigma_data_q24: u32,
        /// rho, 1 to 16.
        rho: u8,
    },
}

/// The levels of EDM and the deviation of its data: [`Schedule::Edm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edm {
    pub lowest_q28: u32,
    pub highest_q28: u32,
    pub sigma_data_q24: u32,
    pub rho: u32,
}

impl Edm {
    /// Whether all is in its range.
    const fn holds(self) -> bool {
        let order = self.lowest_q28 >= 1 << 12 && self.lowest_q28 < self.highest_q28;
        let data = self.sigma_data_q24 >= 1 << 12 && self.sigma_data_q24 <= 1 << 24;
        // Powers of two on either side of both roots.
        let below = self.lowest_q28.leading_zeros().saturating_sub(3);
        let above = 4u32.saturating_sub(self.highest_q28.leading_zeros());
        let rho = self.rho;
        order && data && rho >= 1 && rho <= 16 && below * rho <= 20 && above * rho <= 20
    }
}

/// Whether the predicted clean sample is clamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Clip {
    /// Never, as in the paper.
    Off,
    /// x0 is clamped, epsilon is kept: diffusers' `clip_sample`.
    Stock,
    /// x0 is clamped and epsilon recomputed from it: diffusers' `use_clipped_model_output`.
    Rederived,
}

/// How the steps of a run are spread over the training timesteps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Spacing {
    /// `arange(S) * (T // S)`, reversed, plus the offset: diffusers' default.
    Leading,
    /// `round(arange(T, 0, -T/S)) - 1`.
    Trailing,
    /// `round(linspace(0, T - 1, S))`, reversed.
    Linspace,
    /// `floor(linspace(0, sqrt(0.8 T), S)^2)`, reversed: DDIM's CIFAR-10 experiments (Song et al. 2021, appendix D.2).
    Quadratic,
}

/// What the timestep before a timestep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PrevRule {
    /// The next one in the list: right for every spacing.
    List,
    /// `t - T // S`, as diffusers' `DDIMScheduler` does for every spacing (wrong unless the spacing is leading).
    Diffusers,
}

/// The variance of an ancestral step (Ho et al. 2020, section 3.2): both are right for some data, and coincide for many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Variance {
    /// The posterior's, for data that is one point: diffusers' `fixed_small`, and DDIM's at eta = 1.
    Small,
    /// The forward process', for data that is standard normal: diffusers' `fixed_large`.
    Large,
    /// Between the two, as the network says of every element (Nichol and Dhariwal 2021, equation 15): diffusers' `learned_range`.
    #[cfg(feature = "learned-variance")]
    Learned,
}

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

/// What a noise level is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// A cumulative alpha a training timestep: `x = sqrt(ab) x0 + sqrt(1 - ab) z`.
    Alphas,
    /// Flow matching's: `x = (1 - s) x0 + s z` for s from 1 to 0, the timestep is `T s`.
    Flow,
    /// EDM's: `x = x0 + sigma z`, the timestep is T times the logarithm's way from the lowest sigma to the highest.
    Edm,
}

impl Levels {
    /// Whether levels lie between the training timesteps too, and the network's input is scaled: rows then say both.
    #[inline(always)]
    pub const fn are_continuous(self) -> bool {
        match self {
            Self::Alphas => false,
            Self::Flow | Self::Edm => true,
        }
    }

    /// The sampler of a run that asks for none.
    #[inline(always)]
    pub const fn default_method(self) -> Method {
        match self {
            Self::Alphas => Method::Ddim,
            Self::Flow | Self::Edm => Method::FlowEuler,
        }
    }

    /// Whether runs can be spread so over them.
    #[inline(always)]
    pub(crate) const fn allow(self, spacing: Spacing, prev: PrevRule) -> bool {
        match self {
            Self::Alphas => true,
            Self::Flow => matches!((spacing, prev), (Spacing::Trailing | Spacing::Linspace, PrevRule::List)),
            Self::Edm => matches!((spacing, prev), (Spacing::Trailing, PrevRule::List)),
        }
    }

    /// Whether they are the same.
    #[inline(always)]
    pub(crate) const fn is(self, other: Self) -> bool {
        self as u8 == other as u8
    }

    /// Whether samplers of the other kind run on them: those of continuous levels run on any such.
    #[inline(always)]
    pub(crate) const fn are(self, other: Self) -> bool {
        self.are_continuous() == other.are_continuous()
    }
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

    /// Whether it keeps a clean sample that was predicted before: as many elements as the state has.
    #[inline(always)]
    pub const fn holds_sample(self) -> bool {
        !matches!(self.entry().keeps, Keeps::Nothing)
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

impl Spacing {
    /// Every spacing, at its number in files and requests.
    pub const ALL: [Self; 4] = [Self::Leading, Self::Trailing, Self::Linspace, Self::Quadratic];
}

impl Clip {
    #[inline(always)]
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        match r.variant(3) {
            0 => Self::Off,
            1 => Self::Stock,
            _ => Self::Rederived,
        }
    }

    /// Every rule of clipping, at its number in requests.
    pub const ALL: [Self; 3] = [Self::Off, Self::Stock, Self::Rederived];
}

impl PrevRule {
    /// Both rules, at their numbers in files and requests.
    pub const ALL: [Self; 2] = [Self::List, Self::Diffusers];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_and_go_both_ways() {
        for (number, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(method.entry().number), number, "{method:?}");
            assert_eq!(Method::numbered(number as u32), Some(method));
            let named = Method::named(method.entry().name).map(|named| named.entry().name);
            assert_eq!(named, Some(method.entry().name));
            assert_eq!(method.on(method.entry().levels), method);
            assert!((1..=2).contains(&method.calls()));
        }
        assert_eq!(Method::numbered(Method::ALL.len() as u32), None);
        assert_eq!(Method::Heun.on(Levels::Edm), Method::FlowHeun);
        assert_eq!(Method::FlowConsistency.on(Levels::Alphas), Method::Consistency);
        assert_eq!(Method::Ddim.on(Levels::Flow), Method::Ddim);
        assert!(Spacing::ALL.into_iter().enumerate().all(|(n, s)| s as usize == n));
        assert!(Clip::ALL.into_iter().enumerate().all(|(n, c)| c as usize == n));
        assert!(PrevRule::ALL.into_iter().enumerate().all(|(n, p)| p as usize == n));
    }
}
