//! The steps of a run, known before it: timesteps, levels and coefficients.

use super::config::Config;
use super::method::Method;
use crate::blob::model::Model;
use crate::error::RunError;
use crate::features::Feature;
use crate::schedule::coefficients::{ALPHA_BAR_ONE_Q62, Prediction, StepCoefficients, ddim};
use crate::schedule::ddpm::ddpm;
use crate::schedule::dpm_solver::dpm_solver_2m;
use crate::schedule::heun::{heun_corrector, heun_predictor};
use crate::schedule::spacing::{prev_timestep, timestep};

/// Where the steps of `config` lead on the schedule of `model`.
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
        let (header, c) = (self.model.header(), self.config);
        timestep(c.spacing, header.train_steps, c.steps, header.steps_offset, index)
    }

    /// The timestep that step `index` goes to; `None` before the schedule's first.
    pub fn next_timestep(&self, index: u32) -> Option<u32> {
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

    /// The cumulative alphas, Q62, between which step `index` goes, which begins at timestep `t`.
    ///
    /// # Errors
    /// `ZeroSnr` where a prediction of epsilon says nothing about the clean sample.
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

    /// The coefficients of step `index` between these levels (of Heun's method, of its first half); `follows` says whether the run has
    /// made the step before.
    pub fn coefficients(&self, index: u32, (now, next): (u64, u64), follows: bool) -> StepCoefficients {
        let c = self.config;
        let prediction = self.model.header().prediction;
        // A part that is not built was refused, and its code is not linked.
        match c.method {
            Method::Ddpm(variance) if Feature::Ddpm.is_built() => ddpm(now, next, variance, prediction, c.clip),
            Method::DpmSolver2M if Feature::DpmSolver.is_built() => {
                let before = index.checked_sub(1).filter(|_| follows);
                let before = before.and_then(|index| self.timestep(index));
                let before = before.map(|t| self.model.alpha_bar_q62(t));
                dpm_solver_2m(before, now, next, prediction, c.clip)
            }
            Method::Heun if Feature::Heun.is_built() => heun_predictor(now, next, prediction, c.clip),
            _ => ddim(now, next, c.eta_q16, prediction, c.clip),
        }
    }

    /// The coefficients of the second half of a step of Heun's method.
    pub fn correction(&self, (now, next): (u64, u64)) -> StepCoefficients {
        heun_corrector(now, next, self.model.header().prediction, self.config.clip)
    }
}
