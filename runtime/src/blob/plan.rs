//! Files that hold the steps of one run in place of the schedule: nothing of a step is computed on the device but the step.
//!
//! The header says which run ([`Plan`]). The schedule section then has no cumulative alphas but a [`Row`] a network call of the run (not
//! counting those of guidance): of Heun's method two a step, of which the last has the second only where the run goes to another timestep.
//! A row is nine little-endian words:
//!
//! | word | what |
//! |---|---|
//! | 0 | the timestep (bits 0..16), the fraction bits of the sample's form (16..24) and of the step's (24..32) |
//! | 1, 2 | mantissas of the sample's form, i32 |
//! | 3..7 | mantissas of the step's form, i32 |
//! | 7, 8 | what [`noising`](crate::schedule::coefficients::noising) gives at the timestep |
//!
//! The forms are those of [`StepCoefficients`], `NUMERICS.md` says what they are computed from.

use serde::{Deserialize, Serialize};

use super::model::Model;
use super::reader::Reader;
use crate::sampler::{Method, Variance};
use crate::schedule::coefficients::{Clip, StepCoefficients};
use crate::schedule::form::Form;
use crate::schedule::spacing::{PrevRule, Spacing};

/// What the schedule section holds: a cumulative alpha (Q62) for every training timestep, beside the spacing that the checkpoint was saved
/// with, or one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Alphas, [`Spacing::Leading`].
    Leading,
    /// Alphas, [`Spacing::Trailing`].
    Trailing,
    /// Alphas, [`Spacing::Linspace`].
    Linspace,
    /// Alphas, [`Spacing::Quadratic`].
    Quadratic,
    /// The rows of this run.
    Planned(Plan),
}

/// A run whose steps a file holds. Its clipping is the header's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Number of steps.
    pub steps: u32,
    /// DDIM's stochasticity, Q16.
    pub eta_q16: u32,
    /// Spacing (bits 0..2), rule of the timestep after a timestep (bit 2) and sampler (from bit 3) by their numbers.
    choice: u8,
}

/// A network call of a planned run, where it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a>(&'a [u32; ROW_WORDS]);

const ROW_WORDS: usize = 9;
/// More than any file holds.
const ROWS_MAX: usize = 1 << 20;

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

impl Schedule {
    /// The spacing that the checkpoint was saved with, or that of the plan.
    pub const fn spacing(self) -> Spacing {
        match self {
            Self::Leading => Spacing::Leading,
            Self::Trailing => Spacing::Trailing,
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
}

impl Plan {
    /// Of a run.
    pub const fn new(steps: u32, spacing: Spacing, prev: PrevRule, eta_q16: u32, method: Method) -> Self {
        let method = match method {
            Method::Ddim => 0,
            Method::Ddpm(Variance::Small) => 1,
            Method::Ddpm(Variance::Large) => 2,
            Method::DpmSolver2M => 3,
            Method::Heun => 4,
        };
        Self {
            steps,
            eta_q16,
            choice: spacing as u8 | (prev as u8) << 2 | method << 3,
        }
    }

    /// How the steps are spread.
    pub const fn spacing(self) -> Spacing {
        match self.choice & 3 {
            0 => Spacing::Leading,
            1 => Spacing::Trailing,
            2 => Spacing::Linspace,
            _ => Spacing::Quadratic,
        }
    }

    /// What the timestep after a timestep is.
    pub const fn prev(self) -> PrevRule {
        if self.choice & 4 == 0 {
            PrevRule::List
        } else {
            PrevRule::Diffusers
        }
    }

    /// The sampler.
    pub const fn method(self) -> Method {
        match self.choice >> 3 {
            0 => Method::Ddim,
            1 => Method::Ddpm(Variance::Small),
            2 => Method::Ddpm(Variance::Large),
            3 => Method::DpmSolver2M,
            _ => Method::Heun,
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            steps: r.u32(),
            eta_q16: r.u32(),
            choice: r.u8(),
        }
    }
}

impl<'a> Row<'a> {
    /// Bytes in the file.
    pub const BYTES: usize = 4 * ROW_WORDS;

    /// Row `index` of a schedule section; `None` past its end.
    #[inline(never)]
    pub fn read(section: &'a [u8], index: usize) -> Option<Self> {
        let words: &[u32] = bytemuck::try_cast_slice(section).ok()?;
        let row = words.get(index.min(ROWS_MAX) * ROW_WORDS..)?.first_chunk();
        row.map(Self)
    }

    /// Training timestep that the network is asked about.
    pub const fn timestep(self) -> u32 {
        self.0[0] & 0xFFFF
    }

    /// `(sqrt(ab), sqrt(1 - ab))` at the timestep, Q30.
    pub const fn noising_q30(self) -> (i32, i32) {
        (self.0[7] as i32, self.0[8] as i32)
    }

    /// The coefficients of its half of the step.
    pub fn coefficients(self, clip: Clip) -> StepCoefficients {
        let [forms, p, q, a, b, c, d, _, _] = *self.0;
        StepCoefficients {
            sample: Form::from_parts([p as i32, q as i32], (forms >> 16) as u8),
            step: Form::from_parts([a as i32, b as i32, c as i32, d as i32], (forms >> 24) as u8),
            clip,
        }
    }

    /// A row as it stands in the file.
    pub fn bytes(timestep: u32, coefficients: &StepCoefficients, noising_q30: (i32, i32)) -> impl Iterator<Item = u8> {
        let StepCoefficients { sample, step, .. } = coefficients;
        let forms = u32::from(sample.shift()) << 16 | u32::from(step.shift()) << 24;
        let head = [(timestep & 0xFFFF | forms) as i32];
        let (signal, noise) = noising_q30;
        let words = head
            .into_iter()
            .chain(sample.mant())
            .chain(step.mant())
            .chain([signal, noise]);
        words.flat_map(i32::to_le_bytes)
    }

    /// Whether its timestep is at most `highest`, and its forms' fractions and sums are in range: of the sample's two mantissas any sum is.
    fn holds(self, highest: u32) -> bool {
        let [forms, _, _, step @ .., _, _] = self.0;
        let fraction = |at: u32| (1..=40).contains(&((forms >> at) as u8));
        let quarters: u32 = step.iter().map(|mant| (*mant as i32).unsigned_abs() >> 2).sum();
        // Their magnitudes sum to at most 2^32 + 16.
        self.timestep() <= highest && fraction(16) && fraction(24) && quarters <= (1 << 30) + 1
    }
}

/// Whether every step of `plan` has its rows, there is nothing behind them, their timesteps are the model's and none is above the one
/// before.
#[inline(never)]
pub(super) fn holds(model: &Model<'_>, plan: &Plan) -> bool {
    let mut highest = model.header.train_steps - 1;
    let (mut count, mut rest) = (0, bytemuck::try_cast_slice(model.schedule()).unwrap_or(&[0]));
    while let Some((row, after)) = rest.split_first_chunk() {
        let row = Row(row);
        if !row.holds(highest) {
            return false;
        }
        highest = row.timestep();
        count += 1;
        rest = after;
    }
    // Of two calls a step the last may have one.
    let second = u32::from(plan.method() == Method::Heun);
    rest.is_empty() && (count + second) >> second == plan.steps && plan.choice < 5 << 3
}
