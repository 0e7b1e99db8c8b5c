//! A checkpoint's `scheduler_config.json`.

mod classes;
mod fields;
mod flow;

use super::edm::{self, Edm};
use super::{BetaSchedule, Precision, Prediction, Schedule, ScheduleError, Spacing, Variance};
use crate::config::{ConfigError, Fields, printable};
use classes::{REFUSED, WITHOUT_EFFECT};
use fields::{algorithm, betas, class, clip, ends_at_one, lambda_min, prediction, spacing, steps_offset, variance};
use flow::{FLOW_EULER, flow};
use mote_runtime::internals::model::sampling;
use mote_runtime::internals::model::sampling::Levels;

/// What a scheduler's configuration says, defaults filled in as its own class would.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    /// `_class_name`, such as `DDIMScheduler`.
    pub class_name: String,
    /// Training timesteps T.
    pub num_train_timesteps: usize,
    /// First beta, for the linear schedules.
    pub beta_start: f64,
    /// Last beta, for the linear schedules.
    pub beta_end: f64,
    /// Layout of the betas.
    pub beta_schedule: BetaSchedule,
    /// Rescale so that the last cumulative alpha is 0 (Lin et al. 2023, arXiv 2305.08891, algorithm 1).
    pub rescale_betas_zero_snr: bool,
    /// The final step's previous cumulative alpha is 1; `alphas_cumprod[0]` otherwise.
    pub set_alpha_to_one: bool,
    /// Added to `leading` timesteps.
    pub steps_offset: usize,
    /// How timesteps are spread.
    pub timestep_spacing: Spacing,
    /// What the network predicts.
    pub prediction_type: Prediction,
    /// Variance of the reverse process. Under [`Variance::LearnedRange`] the network's output has twice the sample's channels.
    pub variance: Variance,
    /// Clamp the predicted x0.
    pub clip_sample: bool,
    /// The clamp's bound.
    pub clip_sample_range: f64,
    /// What its noise levels are. Without cumulative alphas there is no [`Schedule`].
    pub levels: Levels,
    /// What flow matching's levels are shifted by; 1 leaves them as they are.
    pub shift: f64,
    /// Levels and preconditioning of EDM.
    pub edm: Option<Edm>,
    /// The last cumulative alpha under [`rescale_betas_zero_snr`](Self::rescale_betas_zero_snr): 0, or what the solvers' classes
    /// put there to keep the first level finite.
    pub zero_snr_alpha: f64,
    /// What of the configuration has no place in a model, in sentences for people; empty where everything has.
    pub notes: Vec<String>,
}

/// The model file counts training timesteps to this.
const MAX_TIMESTEPS: usize = 1 << 16;
/// The largest clip that the model file holds.
const MAX_CLIP: f64 = 64.0;
/// `alphas_cumprod[-1]` of the solvers' classes under `rescale_betas_zero_snr`.
const SOLVERS_ZERO: f64 = 1.0 / 16_777_216.0;

impl SchedulerConfig {
    /// Of noise levels without cumulative alphas: what is said of betas and clipping is without effect.
    pub(super) fn continuous(class_name: String, num_train_timesteps: usize, levels: Levels) -> Self {
        Self {
            class_name,
            num_train_timesteps,
            beta_start: 0.0,
            beta_end: 0.0,
            beta_schedule: BetaSchedule::Linear,
            rescale_betas_zero_snr: false,
            set_alpha_to_one: true,
            steps_offset: 0,
            timestep_spacing: Spacing::Trailing,
            prediction_type: Prediction::Epsilon,
            variance: Variance::FixedSmall,
            clip_sample: false,
            clip_sample_range: 1.0,
            levels,
            shift: 1.0,
            edm: None,
            zero_snr_alpha: 0.0,
            notes: vec![],
        }
    }

    /// Reads a configuration. `file` is used in errors only.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        Self::parse_as(file, text, None)
    }

    /// [`SchedulerConfig::parse`] as the class of that name, whichever class the file is of: a pipeline's index says which
    /// scheduler reads the file.
    ///
    /// # Errors
    /// What is malformed or not supported. Where the classes differ, that is said, here and in the notes.
    pub fn parse_as(file: &str, text: &str, class_name: Option<&str>) -> Result<Self, ConfigError> {
        let own = Fields::parse(file, text)?.string("_class_name", "")?;
        let other = class_name.filter(|name| *name != own && !own.is_empty());
        let Some(name) = other else {
            return Self::parse_class(file, text, class_name);
        };
        let differ = format!(
            "the file is {}'s, and the pipeline's model_index.json has it read by {}",
            printable(&own),
            printable(name)
        );
        match Self::parse_class(file, text, class_name) {
            Ok(mut config) => {
                config.notes.push(differ);
                Ok(config)
            }
            Err(error) => Err(ConfigError {
                problem: format!("{}; {differ}", error.problem),
                ..error
            }),
        }
    }

    fn parse_class(file: &str, text: &str, class_name: Option<&str>) -> Result<Self, ConfigError> {
        let mut fields = Fields::parse(file, text)?;
        let own = fields.string("_class_name", "")?;
        if class_name.unwrap_or(&own) == FLOW_EULER {
            return flow(fields);
        }
        if edm::CLASSES.contains(&class_name.unwrap_or(&own)) {
            return edm::parse(fields, class_name.unwrap_or(&own));
        }
        let (class_name, class) = class(&mut fields, class_name)?;
        for (field, problem) in REFUSED {
            fields.refuse_set(field, problem)?;
        }
        let num_train_timesteps = fields.integer("num_train_timesteps", 1, MAX_TIMESTEPS)?.unwrap_or(1000);
        let (beta_schedule, [beta_start, beta_end]) = betas(&mut fields, num_train_timesteps)?;
        let (clip_sample, clip_sample_range) = clip(&mut fields, class)?;
        let variance = variance(&mut fields)?;
        let config = Self {
            num_train_timesteps,
            beta_start,
            beta_end,
            beta_schedule,
            rescale_betas_zero_snr: fields.bool("rescale_betas_zero_snr", false)? && class.rescales,
            set_alpha_to_one: ends_at_one(&mut fields, class)?,
            steps_offset: steps_offset(&mut fields, class, num_train_timesteps)?,
            timestep_spacing: spacing(&mut fields, class)?,
            prediction_type: prediction(&mut fields)?,
            variance,
            levels: Levels::Alphas,
            shift: 1.0,
            edm: None,
            clip_sample,
            clip_sample_range,
            zero_snr_alpha: if class.solver { SOLVERS_ZERO } else { 0.0 },
            notes: class.notes(&class_name, variance),
            class_name,
        };
        algorithm(&mut fields, config.set_alpha_to_one)?;
        lambda_min(&mut fields, class, &config)?;
        fields.ignore(&WITHOUT_EFFECT);
        fields.finish()?;
        Ok(config)
    }
}

/// What a model file says of it.
impl SchedulerConfig {
    /// The cumulative alphas by training timestep, in f64, and the one before the first; none where the noise levels are others.
    ///
    /// # Errors
    /// What keeps the schedule from being made, or [`ScheduleError::Rises`].
    pub fn alpha_bars(&self) -> Result<(Vec<f64>, f64), ScheduleError> {
        if self.levels != Levels::Alphas {
            return Ok((vec![], 1.0));
        }
        let schedule = Schedule::new(self, Precision::F64)?;
        let rises = schedule.alphas_cumprod.windows(2).find(|pair| pair[1] > pair[0]);
        match rises {
            Some(&[before, last]) => Err(ScheduleError::Rises { last, before }),
            _ => Ok((schedule.alphas_cumprod, schedule.final_alpha_cumprod)),
        }
    }

    /// What the network predicts.
    #[must_use]
    pub fn device_prediction(&self) -> sampling::Prediction {
        match self.prediction_type {
            _ if self.levels == Levels::Flow => sampling::Prediction::Flow,
            _ if self.levels == Levels::Edm => sampling::Prediction::Edm,
            Prediction::Epsilon => sampling::Prediction::Epsilon,
            Prediction::Velocity => sampling::Prediction::V,
            Prediction::Sample => sampling::Prediction::Sample,
        }
    }

    /// The noise levels, and how timesteps are spread over them.
    #[must_use]
    pub fn device_schedule(&self) -> sampling::Schedule {
        match self.levels {
            Levels::Edm => self.edm.map_or(self.timestep_spacing.into(), |edm| edm.device()),
            Levels::Alphas => self.timestep_spacing.into(),
            Levels::Flow => sampling::Schedule::Flow {
                shift_q24: libm::round(self.shift * 16_777_216.0) as u32,
            },
        }
    }
}

#[cfg(test)]
mod tests;
