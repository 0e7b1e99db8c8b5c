//! EDM's noise levels and preconditioning: Karras, Aittala, Aila and Laine, "Elucidating the design space of diffusion-based generative
//! models", NeurIPS 2022, as diffusers' `EDMEulerScheduler` and `EDMDPMSolverMultistepScheduler` have them.

use super::SchedulerConfig;
use crate::config::{ConfigError, Fields};
use mote_runtime::internals::model::sampling;
use mote_runtime::internals::model::sampling::Levels;

/// diffusers' classes.
pub const CLASSES: [&str; 2] = ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"];
/// The model file counts continuous timesteps to below this.
const MAX_TIMESTEPS: usize = (1 << 16) - 1;

/// What the levels and the preconditioning follow from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edm {
    /// The lowest level.
    pub sigma_min: f64,
    /// The highest.
    pub sigma_max: f64,
    /// Standard deviation of the data.
    pub sigma_data: f64,
    /// How levels are bunched.
    pub rho: f64,
}

impl Edm {
    /// Of a scheduler's configuration or of a manifest's schedule.
    ///
    /// # Errors
    /// Of a field that is out of the model file's range.
    pub fn read(fields: &mut Fields) -> Result<Self, ConfigError> {
        let edm = Self {
            sigma_min: fields.number("sigma_min", 0.002)?,
            sigma_max: fields.number("sigma_max", 80.0)?,
            sigma_data: fields.number("sigma_data", 0.5)?,
            rho: fields.number("rho", 7.0)?,
        };
        edm.check().map_err(|(field, problem)| fields.error(field, problem))?;
        Ok(edm)
    }

    /// The field that is out of range, and what is wrong with it.
    ///
    /// # Errors
    /// Where there is one.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.rho.fract() != 0.0 || !(1.0..=16.0).contains(&self.rho) {
            return Err(("rho", "the model file holds a whole number from 1 to 16"));
        }
        if !(1.0 / 4096.0..=1.0).contains(&self.sigma_data) {
            return Err(("sigma_data", "expected a number from 1/4096 to 1"));
        }
        if !(self.sigma_min > 0.0 && self.sigma_min < self.sigma_max) {
            return Err(("sigma_min", "expected a number above 0 and below sigma_max"));
        }
        if !self.fits() {
            return Err((
                "sigma_max",
                "the model file holds levels of which neither end, to the power of 1 / rho, is far from 1: expected \
                sigma_min and sigma_max closer to 1 (0.002 and 80 are)",
            ));
        }
        Ok(())
    }

    /// Whether the roots of both ends are numbers below 16 of which powers of two next to them, to the power of rho, are 2^-20 to 2^20.
    fn fits(&self) -> bool {
        let root = |sigma: f64| libm::pow(sigma, 1.0 / self.rho);
        let (low, high) = (
            libm::floor(libm::log2(root(self.sigma_min))),
            libm::log2(root(self.sigma_max)),
        );
        low * self.rho >= -20.0 && (libm::floor(high) + 1.0).max(0.0) * self.rho <= 20.0 && high < 4.0
    }

    /// As a model file holds it.
    #[must_use]
    pub fn device(&self) -> sampling::Schedule {
        let root = |sigma: f64| libm::round(libm::pow(sigma, 1.0 / self.rho) * 268_435_456.0) as u32;
        sampling::Schedule::Edm {
            lowest_q28: root(self.sigma_min),
            highest_q28: root(self.sigma_max),
            sigma_data_q24: libm::round(self.sigma_data * 16_777_216.0) as u32,
            rho: self.rho as u8,
        }
    }

    /// The levels of a run, then 0 (equation 5).
    #[must_use]
    pub fn sigmas(&self, steps: usize) -> Vec<f64> {
        let root = |sigma: f64| libm::pow(sigma, 1.0 / self.rho);
        let (high, low) = (root(self.sigma_max), root(self.sigma_min));
        let level = |k: usize| {
            let ramp = if steps > 1 { k as f64 / (steps - 1) as f64 } else { 0.0 };
            libm::pow(high + ramp * (low - high), self.rho)
        };
        (0..steps).map(level).chain([0.0]).collect()
    }

    /// `(c_skip, c_out, c_in)` (table 1).
    #[must_use]
    pub fn preconditioning(&self, sigma: f64) -> [f64; 3] {
        let d = self.sigma_data;
        let square = sigma * sigma + d * d;
        [d * d / square, sigma * d / libm::sqrt(square), 1.0 / libm::sqrt(square)]
    }

    /// The way of `ln sigma` from the lowest level to the highest, 0 to 1: the model's timestep is that of its training timesteps. Below the
    /// lowest level, where a step to no noise has its middle, it is 0.
    #[must_use]
    pub fn place(&self, sigma: f64) -> f64 {
        (libm::log(sigma / self.sigma_min) / libm::log(self.sigma_max / self.sigma_min)).clamp(0.0, 1.0)
    }

    /// `(a, b)` of what the network is told, `c_noise = ln(sigma) / 4 = a t + b`, of the model's timestep t of `steps`.
    #[must_use]
    pub fn told(&self, steps: usize) -> [f64; 2] {
        let span = libm::log(self.sigma_max / self.sigma_min);
        [span / 4.0 / steps as f64, libm::log(self.sigma_min) / 4.0]
    }

    /// The scheduler of these levels.
    #[must_use]
    pub fn scheduler(self, class_name: String, steps: usize, notes: Vec<String>) -> SchedulerConfig {
        SchedulerConfig {
            edm: Some(self),
            notes,
            ..SchedulerConfig::continuous(class_name, steps, Levels::Edm)
        }
    }
}

/// Reads the configuration of one of [`CLASSES`].
pub(super) fn parse(mut fields: Fields, class_name: &str) -> Result<SchedulerConfig, ConfigError> {
    let edm = Edm::read(&mut fields)?;
    let steps = fields.integer("num_train_timesteps", 1, MAX_TIMESTEPS)?.unwrap_or(1000);
    for (field, default, why) in [
        (
            "sigma_schedule",
            "karras",
            "levels spread evenly in their logarithm are not supported: set it to karras",
        ),
        (
            "prediction_type",
            "epsilon",
            "the other sign of the output is not supported: negate the last layer, and set it to epsilon",
        ),
        ("final_sigmas_type", "zero", "runs end without noise: set it to zero"),
        (
            "algorithm_type",
            "dpmsolver++",
            "noise between steps is not supported: set it to dpmsolver++",
        ),
    ] {
        if fields.string(field, default)? != default {
            return Err(fields.error(field, why));
        }
    }
    fields.refuse_set("thresholding", "dynamic thresholding is not supported: set it to false")?;
    fields.ignore(&[
        "_class_name",
        "solver_order",
        "solver_type",
        "lower_order_final",
        "euler_at_final",
        "dynamic_thresholding_ratio",
        "sample_max_value",
    ]);
    fields.finish()?;
    let solver = class_name == CLASSES[1];
    let notes = if solver {
        vec![format!(
            "the noise levels are {class_name}'s; its solver is chosen with --sampler dpm++"
        )]
    } else {
        vec![]
    };
    Ok(edm.scheduler(class_name.to_owned(), steps, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(class: &str, rest: &str) -> Result<SchedulerConfig, ConfigError> {
        SchedulerConfig::parse("test", &format!(r#"{{"_class_name": "{class}"{rest}}}"#))
    }

    /// Equation 5 of Karras et al. 2022, by hand.
    #[test]
    fn levels_are_those_of_diffusers() {
        let config = parsed("EDMEulerScheduler", "").unwrap();
        let edm = config.edm.unwrap();
        assert_eq!((config.levels, config.num_train_timesteps), (Levels::Edm, 1000));
        let sigmas = edm.sigmas(5);
        for (found, expected) in sigmas.iter().zip([80.0, 17.527_8, 2.515_219, 0.169_752, 0.002, 0.0]) {
            assert!((found - expected).abs() < 1e-5 * expected.max(1e-3), "{sigmas:?}");
        }
        let [a, b] = edm.told(1000);
        for sigma in sigmas.iter().take(5) {
            let told = a * 1000.0 * edm.place(*sigma) + b;
            assert!((told - 0.25 * libm::log(*sigma)).abs() < 1e-12);
        }
        let [skip, out, input] = edm.preconditioning(0.5);
        assert!(
            (skip - 0.5).abs() < 1e-15 && (out - 0.125f64.sqrt()).abs() < 1e-15 && (input - 2f64.sqrt()).abs() < 1e-15
        );
    }

    #[test]
    fn what_no_file_holds_is_refused() {
        for (rest, field) in [
            (r#", "rho": 6.5"#, "rho"),
            (r#", "sigma_data": 1.5"#, "sigma_data"),
            (r#", "sigma_min": 90.0"#, "sigma_min"),
            (r#", "sigma_min": 1e-9"#, "sigma_max"),
            (r#", "sigma_schedule": "exponential""#, "sigma_schedule"),
            (r#", "prediction_type": "v_prediction""#, "prediction_type"),
        ] {
            assert_eq!(parsed("EDMEulerScheduler", rest).unwrap_err().field, field, "{rest}");
        }
        let solver = parsed(
            "EDMDPMSolverMultistepScheduler",
            r#", "solver_order": 2, "final_sigmas_type": "zero""#,
        );
        assert_eq!(solver.unwrap().notes.len(), 1);
    }
}
