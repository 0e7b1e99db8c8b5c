//! The table of cumulative alphas.

use super::betas::{betas_f32, betas_f64, cumprod_f32, cumprod_f64, zero_snr_f32, zero_snr_f64};
use super::{ScheduleError, SchedulerConfig, Transition};
use mote_runtime::internals::model::sampling::Levels;

/// In which arithmetic a schedule, and the coefficients taken from it, are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// f64 throughout: what goes into a model file.
    F64,
    /// As the f32 reference computes it, rounding where it rounds; values are held in f64 without loss.
    F32,
}

/// Betas and cumulative alphas over the training timesteps.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The arithmetic it was computed in.
    pub precision: Precision,
    /// Betas, after `rescale_betas_zero_snr` where that is set.
    pub betas: Vec<f64>,
    /// `alpha_bar_t`, the cumulative products of `1 - beta`.
    pub alphas_cumprod: Vec<f64>,
    /// The cumulative alpha "before" timestep 0: 1, or `alphas_cumprod[0]` without `set_alpha_to_one`.
    pub final_alpha_cumprod: f64,
}

impl Schedule {
    /// Computes the table that `config` describes.
    pub fn new(config: &SchedulerConfig, precision: Precision) -> Result<Self, ScheduleError> {
        if config.levels != Levels::Alphas {
            return Err(ScheduleError::NoAlphas {
                class_name: config.class_name.clone(),
            });
        }
        let betas = match (precision, config.rescale_betas_zero_snr) {
            (Precision::F64, false) => betas_f64(config)?,
            (Precision::F64, true) => zero_snr_f64(&betas_f64(config)?)?,
            (Precision::F32, false) => betas_f32(config)?,
            (Precision::F32, true) => zero_snr_f32(&betas_f32(config)?)?,
        };
        let mut alphas_cumprod = match precision {
            Precision::F64 => cumprod_f64(&betas),
            Precision::F32 => cumprod_f32(&betas),
        };
        if let (true, Some(last)) = (config.rescale_betas_zero_snr, alphas_cumprod.last_mut()) {
            *last = last.max(config.zero_snr_alpha);
        }
        let final_alpha_cumprod = if config.set_alpha_to_one {
            1.0
        } else {
            alphas_cumprod[0]
        };
        Ok(Self {
            precision,
            betas,
            alphas_cumprod,
            final_alpha_cumprod,
        })
    }

    /// Cumulative alphas at a step's timestep and at the one before it.
    #[must_use]
    pub fn alphas(&self, step: Transition) -> (f64, f64) {
        let previous = step
            .previous
            .map_or(self.final_alpha_cumprod, |t| self.alphas_cumprod[t]);
        (self.alphas_cumprod[step.timestep], previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> SchedulerConfig {
        SchedulerConfig::parse("test", json).unwrap()
    }

    /// Ho et al. 2020: alpha_bar_T of the linear schedule is 4.0358e-5.
    #[test]
    fn ddpm_linear_ends_at_the_published_alpha_bar() {
        let schedule = Schedule::new(&config(r#"{"_class_name": "DDPMScheduler"}"#), Precision::F64).unwrap();
        assert!((schedule.alphas_cumprod[999] - 4.0358e-5).abs() < 1e-9);
        assert_eq!(schedule.final_alpha_cumprod, 1.0);
    }

    #[test]
    fn zero_snr_ends_at_zero_and_keeps_the_first_alpha() {
        let text =
            r#"{"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": true, "beta_schedule": "scaled_linear"}"#;
        for precision in [Precision::F64, Precision::F32] {
            let schedule = Schedule::new(&config(text), precision).unwrap();
            assert_eq!(schedule.alphas_cumprod[999], 0.0);
            assert!((schedule.alphas_cumprod[0] - (1.0 - 0.0001)).abs() < 1e-6);
            assert!(schedule.alphas_cumprod.windows(2).all(|w| w[1] < w[0]));
        }
    }

    #[test]
    fn one_timestep_and_bad_betas() {
        let one = config(r#"{"_class_name": "DDIMScheduler", "num_train_timesteps": 1}"#);
        assert_eq!(Schedule::new(&one, Precision::F64).unwrap().betas, [0.0001]);
        let bad = config(r#"{"_class_name": "DDIMScheduler", "num_train_timesteps": 2, "trained_betas": [0.5, 1.5]}"#);
        assert_eq!(
            Schedule::new(&bad, Precision::F64),
            Err(ScheduleError::Beta { index: 1, value: 1.5 })
        );
        let flat = r#"{"_class_name": "DDIMScheduler", "num_train_timesteps": 2, "trained_betas": [0.5, 0],
            "rescale_betas_zero_snr": true}"#;
        assert_eq!(
            Schedule::new(&config(flat), Precision::F64),
            Err(ScheduleError::Rescale)
        );
    }
}
