//! The steps of a run, known before it: timesteps, levels and coefficients, from the schedule or from the file's plan.

use super::config::Config;
use super::method::Method;
use crate::blob::model::Model;
use crate::blob::plan::Row;
use crate::error::RunError;
use crate::features::Feature;
use crate::schedule::coefficients::{ALPHA_BAR_ONE_Q62, Prediction, StepCoefficients, ddim, noising};
use crate::schedule::ddpm::ddpm;
use crate::schedule::dpm_solver::dpm_solver_2m;
use crate::schedule::heun::{heun_corrector, heun_predictor};
use crate::schedule::spacing::{prev_timestep, timestep};

/// Where the steps of `config` lead on the schedule of `model`, or on its plan, which `config` is then ([`Config::validate`]).
#[derive(Debug, Clone, Copy)]
pub struct Course<'c> {
    /// The model.
    pub model: &'c Model<'c>,
    /// What is asked of it.
    pub config: &'c Config,
}

impl Course<'_> {
    /// The timestep that step `index` begins at; `None` past the last.
    pub fn timestep(&self, index: u32) -> Option<u32> {
        if self.is_planned() {
            return Some(self.first(index)?.timestep());
        }
        let (header, c) = (self.model.header(), self.config);
        timestep(c.spacing, header.train_steps, c.steps, header.steps_offset, index)
    }

    /// The timestep of the second call in step `index` of Heun's method; `None` where there is none.
    pub fn second_timestep(&self, index: u32) -> Option<u32> {
        if self.is_planned() {
            return Some(self.second(index)?.timestep());
        }
        self.next_timestep(index)
    }

    /// The noising at the timestep of step `index`, as [`noising`] gives it; `None` past the last.
    pub fn noising(&self, index: u32) -> Option<(i32, i32)> {
        if self.is_planned() {
            return Some(self.first(index)?.noising_q30());
        }
        Some(noising(self.model.alpha_bar_q62(self.timestep(index)?)))
    }

    /// The noising at [`Self::second_timestep`].
    pub fn second_noising(&self, index: u32) -> Option<(i32, i32)> {
        if self.is_planned() {
            return Some(self.second(index)?.noising_q30());
        }
        Some(noising(self.model.alpha_bar_q62(self.next_timestep(index)?)))
    }

    /// Whether a run can begin at step `index`.
    ///
    /// # Errors
    /// `PlannedStart` where the step's coefficients are planned for a run that has made the step before.
    pub fn begins_at(&self, index: u32) -> Result<(), RunError> {
        let follows = Feature::DpmSolver.is_built() && self.config.method.holds_between_steps();
        if follows && self.is_planned() && (1..self.config.steps).contains(&index) {
            return Err(RunError::PlannedStart);
        }
        Ok(())
    }

    /// The coefficients of step `index`, which begins at timestep `t` (of Heun's method, of its first half); `follows` says whether the
    /// run has made the step before.
    ///
    /// # Errors
    /// `ZeroSnr` where a prediction of epsilon says nothing about the clean sample; those of [`Self::begins_at`].
    pub fn coefficients(&self, index: u32, t: u32, follows: bool) -> Result<StepCoefficients, RunError> {
        let c = self.config;
        if self.is_planned() {
            if !follows {
                self.begins_at(index)?;
            }
            let row = self.first(index).ok_or(RunError::Plan)?;
            return Ok(row.coefficients(c.clip));
        }
        let (now, next) = self.levels(index, t)?;
        let prediction = self.model.header().prediction;
        // A part that is not built was refused, and its code is not linked.
        Ok(match c.method {
            Method::Ddpm(variance) if Feature::Ddpm.is_built() => ddpm(now, next, variance, prediction, c.clip),
            Method::DpmSolver2M if Feature::DpmSolver.is_built() => {
                let before = index.checked_sub(1).filter(|_| follows);
                let before = before.and_then(|index| self.timestep(index));
                let before = before.map(|t| self.model.alpha_bar_q62(t));
                dpm_solver_2m(before, now, next, prediction, c.clip)
            }
            Method::Heun if Feature::Heun.is_built() => heun_predictor(now, next, prediction, c.clip),
            _ => ddim(now, next, c.eta_q16, prediction, c.clip),
        })
    }

    /// The coefficients of the second half of step `index` of Heun's method, which begins at timestep `t`.
    ///
    /// # Errors
    /// As [`Self::coefficients`].
    pub fn correction(&self, index: u32, t: u32) -> Result<StepCoefficients, RunError> {
        let clip = self.config.clip;
        if self.is_planned() {
            let row = self.second(index).ok_or(RunError::Plan)?;
            return Ok(row.coefficients(clip));
        }
        let (now, next) = self.levels(index, t)?;
        Ok(heun_corrector(now, next, self.model.header().prediction, clip))
    }

    /// The cumulative alphas, Q62, between which step `index` goes, which begins at timestep `t`; of a model that plans no run.
    ///
    /// # Errors
    /// `ZeroSnr`, as [`Self::coefficients`].
    pub fn levels(&self, index: u32, t: u32) -> Result<(u64, u64), RunError> {
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
        let next = self.next_timestep(index).map_or(last, |t| self.model.alpha_bar_q62(t));
        Ok((now, next.min(ALPHA_BAR_ONE_Q62)))
    }

    /// The timestep that step `index` goes to; `None` before the schedule's first.
    fn next_timestep(&self, index: u32) -> Option<u32> {
        let (header, c) = (self.model.header(), self.config);
        prev_timestep(
            c.prev,
            c.spacing,
            header.train_steps,
            c.steps,
            header.steps_offset,
            index,
        )
    }

    /// Known without a look where nothing else is built.
    #[inline(always)]
    fn is_planned(&self) -> bool {
        !Feature::Schedule.is_built() || self.model.header().schedule.plan().is_some()
    }

    /// The row of the first call in step `index`.
    fn first(&self, index: u32) -> Option<Row<'_>> {
        Row::read(self.model.schedule(), self.row(index))
    }

    /// The row of the second.
    fn second(&self, index: u32) -> Option<Row<'_>> {
        Row::read(self.model.schedule(), self.row(index).saturating_add(1))
    }

    fn row(&self, index: u32) -> usize {
        let two = Feature::Heun.is_built() && self.config.method == Method::Heun;
        index.saturating_mul(1 + u32::from(two)) as usize
    }
}
