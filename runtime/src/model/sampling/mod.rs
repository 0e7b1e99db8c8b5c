//! What a model file and a run's request say of sampling: what the network predicts, how timesteps are spread, and the samplers there are.
//!
//! Values only: [`crate::schedule`] computes from them, [`crate::sampler`] runs them. All that tells one sampler from another is its
//! [`Entry`]. Its number is the same in a planned file, in a request to a firmware and on the command line.

mod method;

pub use method::{Entry, Keeps, Method, Noise, Terms};

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
