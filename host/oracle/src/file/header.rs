//! Facts of the whole model.

use super::reader::Reader;
use super::tensor::TensorId;
use crate::request::{Clip, Method, Plan, PrevRule, Spacing, Variance};
use crate::sampler::levels::Edm;

/// How the model's numbers are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// Integers only.
    Integer,
    /// f16 storage, f32 arithmetic in a stated order.
    F16,
}

/// What the network's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The velocity.
    V,
    /// The clean sample.
    Sample,
    /// Log odds of the bits of a binomial chain.
    Bits {
        /// Probability of a 1 in equilibrium, Q31.
        prior_q31: u32,
    },
    /// Mean and variance of a Gaussian chain's kernel.
    Kernel,
    /// The velocity of flow matching, `noise - x0`.
    Flow,
    /// What EDM's preconditioning adds to.
    Edm,
    /// The picture of a latent, of this shape: no run samples from such a network.
    Picture {
        /// `(channel, row, col)`.
        shape: [u16; 3],
    },
}

impl Prediction {
    /// Whether it predicts for samplers on cumulative alphas.
    pub fn is_on_alphas(self) -> bool {
        matches!(self, Self::Epsilon | Self::V | Self::Sample)
    }

    /// Whether this is a chain of 2015.
    pub fn is_chain(self) -> bool {
        matches!(self, Self::Bits { .. } | Self::Kernel)
    }
}

/// What the schedule section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// A cumulative alpha a timestep, beside the spacing that the checkpoint was saved with.
    Alphas(Spacing),
    /// The rows of one run.
    Planned(Plan),
    /// Nothing: the levels of flow matching follow from this.
    Flow {
        /// Their shift, Q24, 1 to 2^31.
        shift_q24: u32,
    },
    /// Nothing: the levels of EDM follow from these.
    Edm(Edm),
}

impl Schedule {
    /// The run that the file holds, where it is one.
    pub fn plan(self) -> Option<Plan> {
        match self {
            Self::Alphas(_) | Self::Flow { .. } | Self::Edm(_) => None,
            Self::Planned(plan) => Some(plan),
        }
    }
}

/// The header section.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// Number formats of the network.
    pub arithmetic: Arithmetic,
    /// Channels of the sample.
    pub channels: u16,
    /// Rows of the sample.
    pub rows: u16,
    /// Columns of the sample.
    pub cols: u16,
    /// Rows of the class embedding; 0 for an unconditional model.
    pub classes: u16,
    /// Label that stands for 'no class'.
    pub null_class: Option<u16>,
    /// Training timesteps T.
    pub train_steps: u32,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Clipping of x0 that the checkpoint was saved with.
    pub clip: Clip,
    /// Bound of the clipped x0, Q24.
    pub clip_range_q24: i32,
    /// What the schedule section holds.
    pub schedule: Schedule,
    /// Added to `leading` timesteps.
    pub steps_offset: i32,
    /// The cumulative alpha before the first timestep, Q62.
    pub final_alpha_bar_q62: u64,
    /// The network's output.
    pub output: TensorId,
    /// Number of operators.
    pub op_count: u16,
}

const SPACINGS: [Spacing; 4] = [
    Spacing::Leading,
    Spacing::Trailing,
    Spacing::Linspace,
    Spacing::Quadratic,
];

/// The samplers by their numbers in a plan.
const METHODS: [Method; 12] = [
    Method::Ddim,
    Method::Ddpm(Variance::Small),
    Method::Ddpm(Variance::Large),
    Method::DpmSolver2M,
    Method::Heun,
    Method::FlowEuler,
    Method::FlowHeun,
    Method::FlowMidpoint,
    Method::FlowDpmSolver2M,
    Method::Consistency,
    Method::FlowConsistency,
    Method::Ddpm(Variance::Learned),
];

impl Header {
    /// From its section; `None` where that is no header.
    pub fn read(section: &[u8]) -> Option<Self> {
        let r = &mut Reader::new(section);
        let arithmetic = r.one_of(&[Arithmetic::Integer, Arithmetic::F16])?;
        // There is one order of the weights.
        r.one_of(&[()])?;
        let [channels, rows, cols, classes] = [r.u16()?, r.u16()?, r.u16()?, r.u16()?];
        let null_class = r.option(Reader::u16)?;
        let train_steps = r.u32()?;
        let prediction = match r.u32()? {
            0 => Prediction::Epsilon,
            1 => Prediction::V,
            2 => Prediction::Sample,
            3 => Prediction::Bits { prior_q31: r.u32()? },
            4 => Prediction::Kernel,
            5 => Prediction::Flow,
            6 => Prediction::Edm,
            7 => Prediction::Picture {
                shape: [r.u16()?, r.u16()?, r.u16()?],
            },
            _ => return None,
        };
        let clip = r.one_of(&[Clip::Off, Clip::Stock, Clip::Rederived])?;
        let clip_range_q24 = r.i32()?;
        let schedule = match r.u32()? {
            4 => Schedule::Planned(plan(r)?),
            5 => Schedule::Flow { shift_q24: r.u32()? },
            6 => Schedule::Edm(Edm {
                lo: r.u32()?,
                hi: r.u32()?,
                data_q24: r.u32()?,
                rho: r.byte()?.into(),
            }),
            spacing => Schedule::Alphas(*SPACINGS.get(usize::try_from(spacing).ok()?)?),
        };
        let steps_offset = r.i32()?;
        let final_alpha_bar_q62 = r.u64()?;
        let output = r.tensor()?;
        // Bytes of the arena.
        r.u32()?;
        let op_count = r.u16()?;
        // Multiply-accumulates.
        r.u64()?;
        let sound = (1..=1 << 16).contains(&train_steps)
            && null_class.is_none_or(|null| null < classes)
            && final_alpha_bar_q62 <= 1 << 62
            && suits(schedule, prediction, train_steps)
            && r.is_at_end();
        sound.then_some(Self {
            arithmetic,
            channels,
            rows,
            cols,
            classes,
            null_class,
            train_steps,
            prediction,
            clip,
            clip_range_q24,
            schedule,
            steps_offset,
            final_alpha_bar_q62,
            output,
            op_count,
        })
    }

    /// Whether `decoder` makes pictures of its samples.
    pub fn is_decoded_by(&self, decoder: &Self) -> bool {
        let shape = |header: &Self| (header.channels, header.rows, header.cols);
        let makes = |header: &Self| matches!(header.prediction, Prediction::Picture { .. });
        shape(self) == shape(decoder) && makes(decoder) && !makes(self) && !self.prediction.is_chain()
    }
}

/// Whether the levels that a network was trained on are the schedule's. Continuous ones go up to T, which is below 2^16.
fn suits(schedule: Schedule, prediction: Prediction, train_steps: u32) -> bool {
    let is_continuous = matches!(prediction, Prediction::Flow | Prediction::Edm);
    let same = match schedule {
        Schedule::Alphas(_) => !is_continuous,
        Schedule::Planned(plan) => plan.method.is_continuous() == is_continuous,
        Schedule::Flow { shift_q24 } => prediction == Prediction::Flow && (1..=1 << 31).contains(&shift_q24),
        Schedule::Edm(edm) => prediction == Prediction::Edm && edm.is_sound(),
    };
    same && (!is_continuous || train_steps < 1 << 16)
}

fn plan(r: &mut Reader<'_>) -> Option<Plan> {
    let (steps, eta_q16, choice) = (r.u32()?, r.u32()?, r.byte()?);
    Some(Plan {
        steps,
        eta_q16,
        spacing: SPACINGS[usize::from(choice % 4)],
        prev: if choice & 4 == 0 {
            PrevRule::List
        } else {
            PrevRule::Diffusers
        },
        method: *METHODS.get(usize::from(choice >> 3))?,
    })
}
