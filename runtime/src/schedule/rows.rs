//! The rows of a run: one a call of the network, known before it. A file that plans its run holds them; else the sampler makes each when
//! it is needed.

use super::coefficients::{ALPHA_BAR_ONE_Q62, Prediction, StepCoefficients};
use super::config::Config;
use super::form::Form;
use super::spacing::{goes_to, timestep};
use crate::error::RunError;
use crate::features::Feature;
use crate::model::Model;
use crate::model::plan::{RowValues, StoredRow};
use crate::model::sampling::{Clip, Levels, Method};

/// One call of the network, and how the state moves by it. Guidance calls the network twice for one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Row {
    /// The training timestep that the network is told, Q16.
    pub time_q16: u32,
    /// The network sees the state times this, Q30.
    pub input_q30: i32,
    /// x0 from the state and the output; the next state from these, the x0 kept from the call before, and noise.
    pub coefficients: StepCoefficients,
}

/// 1.0 as a factor of the network's input.
pub const INPUT_ONE_Q30: i32 = 1 << 30;

impl Row {
    /// Of a call at a training timestep that sees the state as it is.
    #[inline(always)]
    pub(super) const fn at(timestep: u32, coefficients: StepCoefficients) -> Self {
        Self {
            time_q16: timestep << 16,
            input_q30: INPUT_ONE_Q30,
            coefficients,
        }
    }

    #[inline(always)]
    fn stored(row: StoredRow<'_>, clip: Clip) -> Self {
        let values = row.values();
        Self {
            time_q16: values.time_q16,
            input_q30: values.input_q30,
            coefficients: StepCoefficients {
                sample: Form::from_parts(values.sample.0, values.sample.1),
                step: Form::from_parts(values.step.0, values.step.1),
                clip,
            },
        }
    }

    /// The whole part of its timestep.
    #[inline(always)]
    pub const fn timestep(&self) -> u32 {
        self.time_q16 >> 16
    }

    /// What a file holds of it, with the shares of an image and of its noise at its level, Q30.
    pub const fn values(&self, noising_q30: (i32, i32)) -> RowValues {
        let StepCoefficients { sample, step, .. } = &self.coefficients;
        RowValues {
            time_q16: self.time_q16,
            input_q30: self.input_q30,
            sample: (sample.mant(), sample.shift()),
            step: (step.mant(), step.shift()),
            noising_q30,
        }
    }
}

/// The rows of the run `config` of `model`. Where the file plans a run, `config` is that one ([`Config::validate`]).
#[derive(Debug, Clone, Copy)]
pub struct Rows<'r> {
    /// The model.
    pub model: &'r Model<'r>,
    /// What is asked of it.
    pub config: &'r Config,
}

impl Rows<'_> {
    /// The row of call `call` (0, or 1 of a sampler with two calls a step) in step `step`; `follows` says whether the run has made the step
    /// before. `None` past the last step, and where the step has no second call.
    ///
    /// # Errors
    /// `ZeroSnr` where a prediction of epsilon says nothing about the clean sample; those of [`Self::begins_at`].
    pub fn row(&self, step: u32, call: u32, follows: bool) -> Result<Option<Row>, RunError> {
        if !self.is_planned() {
            return super::computed(self, step, call, follows);
        }
        let Some(row) = self.stored(step, call) else {
            return Ok(None);
        };
        if !follows {
            self.begins_at(step)?;
        }
        Ok(Some(Row::stored(row, self.config.clip)))
    }

    /// The training timestep of a call, Q16; `None` as of [`Self::row`].
    pub fn time_q16(&self, step: u32, call: u32) -> Option<u32> {
        if self.is_planned() {
            return Some(self.stored(step, call)?.time_q16());
        }
        super::time_q16(self, step, call)
    }

    /// The shares of an image and of its noise at the level of a call, as [`noising`](super::coefficients::noising) gives them; `None` as of [`Self::row`]. It is apart from
    /// the row, as most runs do not ask for it.
    pub fn noising(&self, step: u32, call: u32) -> Option<(i32, i32)> {
        if self.is_planned() {
            return Some(self.stored(step, call)?.noising_q30());
        }
        super::level_noising(self, step, call)
    }

    /// Whether a run can begin at step `step`.
    ///
    /// # Errors
    /// `PlannedStart` where the step's coefficients are planned for a run that has made the step before.
    pub fn begins_at(&self, step: u32) -> Result<(), RunError> {
        let follows = Method::BUILT.keeps_between_steps && self.config.method.holds_between_steps();
        if follows && self.is_planned() && (1..self.config.steps).contains(&step) {
            return Err(RunError::PlannedStart);
        }
        Ok(())
    }

    /// The cumulative alphas, Q62, between which step `step` goes, which begins at timestep `t`; of a model that plans no run.
    ///
    /// # Errors
    /// `ZeroSnr`, as [`Self::row`].
    pub fn alphas(&self, step: u32, t: u32) -> Result<(u64, u64), RunError> {
        let header = self.model.header();
        let now = self.model.alpha_bar_q62(t);
        if now == 0 && header.prediction == Prediction::Epsilon {
            return Err(RunError::ZeroSnr);
        }
        // `set_alpha_to_one` is DDIM's: the others end at the clean sample.
        let last = match self.config.method {
            Method::Ddim => header.final_alpha_bar_q62,
            _ => ALPHA_BAR_ONE_Q62,
        };
        let next = self
            .next_timestep(step, t)
            .map_or(last, |t| self.model.alpha_bar_q62(t));
        Ok((now, next.min(ALPHA_BAR_ONE_Q62)))
    }

    /// The timestep that a call is at: the step's own, or the one that it goes to.
    #[inline(always)]
    pub(super) fn call_timestep(&self, step: u32, call: u32) -> Option<u32> {
        self.asked_timestep(step, call, self.step_timestep(step)?)
    }

    /// The same of a step that begins at timestep `t`.
    #[inline(always)]
    pub(super) fn asked_timestep(&self, step: u32, call: u32, t: u32) -> Option<u32> {
        if Method::BUILT.two_calls && call > 0 {
            self.next_timestep(step, t)
        } else {
            Some(t)
        }
    }

    /// The timestep that step `step` begins at; `None` past the last.
    pub(super) fn step_timestep(&self, step: u32) -> Option<u32> {
        let (header, c) = (self.model.header(), self.config);
        timestep(c.spacing, header.train_steps, c.steps, header.steps_offset, step)
    }

    /// The timestep that step `step` goes to, which begins at timestep `t`; `None` before the schedule's first.
    #[inline(always)]
    fn next_timestep(&self, step: u32, t: u32) -> Option<u32> {
        let (total, c) = (self.model.header().train_steps, self.config);
        goes_to(c.prev, total, c.steps, t, || self.step_timestep(step.checked_add(1)?))
    }

    /// What the model's noise levels are.
    #[inline(always)]
    pub(super) fn levels(&self) -> Levels {
        self.model.header().prediction.levels()
    }

    /// Whether the file plans its run: true at compile time where nothing computes rows.
    #[inline(always)]
    fn is_planned(&self) -> bool {
        !Feature::Schedule.is_built() || self.model.header().schedule.plan().is_some()
    }

    /// The file's row of a call.
    #[inline(always)]
    fn stored(&self, step: u32, call: u32) -> Option<StoredRow<'_>> {
        let plan = self.model.header().schedule.plan()?;
        plan.row(self.model.schedule(), step, call)
    }
}
