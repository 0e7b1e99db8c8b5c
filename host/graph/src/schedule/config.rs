//! A checkpoint's `scheduler_config.json`.

use super::{BetaSchedule, Precision, Prediction, Schedule, ScheduleError, Spacing, Variance, spacing_from_name};
use crate::config::{ConfigError, Fields};
use mote_runtime::blob::sampling;

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
}

/// Defaults that differ from class to class; every other default is shared.
struct ClassDefaults {
    names: &'static [&'static str],
    clip_sample: bool,
    set_alpha_to_one: bool,
    spacing: &'static str,
}

const CLASSES: [ClassDefaults; 3] = [
    ClassDefaults {
        names: &[
            "DDIMScheduler",
            "DDPMScheduler",
            "DDIMParallelScheduler",
            "DDPMParallelScheduler",
        ],
        clip_sample: true,
        set_alpha_to_one: true,
        spacing: "leading",
    },
    ClassDefaults {
        names: &["PNDMScheduler"],
        clip_sample: false,
        set_alpha_to_one: false,
        spacing: "leading",
    },
    ClassDefaults {
        names: &[
            "DPMSolverMultistepScheduler",
            "DPMSolverSinglestepScheduler",
            "DEISMultistepScheduler",
            "UniPCMultistepScheduler",
        ],
        clip_sample: false,
        set_alpha_to_one: true,
        spacing: "linspace",
    },
];

/// Settings of other solvers, or of features refused below: they do not change what a network was trained under.
const WITHOUT_EFFECT: [&str; 18] = [
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "skip_prk_steps",
    "solver_order",
    "algorithm_type",
    "solver_type",
    "lower_order_final",
    "euler_at_final",
    "final_sigmas_type",
    "lambda_min_clipped",
    "use_lu_lambdas",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "predict_x0",
    "disable_corrector",
    "flow_shift",
    "solver_p",
];

/// Far above any published schedule; only stops absurd tables.
const MAX_TIMESTEPS: usize = 100_000;

impl SchedulerConfig {
    /// Reads a configuration. `file` is used in errors only.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let mut fields = Fields::parse(file, text)?;
        let (class_name, class) = class(&mut fields)?;
        fields.refuse_set(
            "thresholding",
            "dynamic thresholding is not supported: set it to false, or use clip_sample",
        )?;
        fields.refuse_set(
            "use_flow_sigmas",
            "flow matching is not supported: only betas-based schedules are",
        )?;
        let num_train_timesteps = fields.integer("num_train_timesteps", 1, MAX_TIMESTEPS)?.unwrap_or(1000);
        let config = Self {
            num_train_timesteps,
            beta_start: fields.number("beta_start", 0.0001)?,
            beta_end: fields.number("beta_end", 0.02)?,
            beta_schedule: beta_schedule(&mut fields, num_train_timesteps)?,
            rescale_betas_zero_snr: fields.bool("rescale_betas_zero_snr", false)?,
            set_alpha_to_one: fields.bool("set_alpha_to_one", class.set_alpha_to_one)?,
            steps_offset: fields.integer("steps_offset", 0, MAX_TIMESTEPS)?.unwrap_or(0),
            timestep_spacing: spacing(&mut fields, class.spacing)?,
            prediction_type: prediction(&mut fields)?,
            variance: variance(&mut fields)?,
            clip_sample: fields.bool("clip_sample", class.clip_sample)?,
            clip_sample_range: fields.number("clip_sample_range", 1.0)?,
            class_name,
        };
        if config.clip_sample_range <= 0.0 {
            return Err(fields.error("clip_sample_range", "expected a number above 0"));
        }
        for (field, beta) in [("beta_start", config.beta_start), ("beta_end", config.beta_end)] {
            if !(0.0..=1.0).contains(&beta) {
                return Err(fields.error(field, "expected a number from 0 to 1"));
            }
        }
        fields.ignore(&WITHOUT_EFFECT);
        fields.finish()?;
        Ok(config)
    }
}

/// What a model file says of it.
impl SchedulerConfig {
    /// The cumulative alphas by training timestep, in f64, and the one before the first.
    ///
    /// # Errors
    /// What keeps the schedule from being made.
    pub fn alpha_bars(&self) -> Result<(Vec<f64>, f64), ScheduleError> {
        let schedule = Schedule::new(self, Precision::F64)?;
        Ok((schedule.alphas_cumprod, schedule.final_alpha_cumprod))
    }

    /// What the network predicts.
    #[must_use]
    pub fn device_prediction(&self) -> sampling::Prediction {
        match self.prediction_type {
            Prediction::Epsilon => sampling::Prediction::Epsilon,
            Prediction::Velocity => sampling::Prediction::V,
            Prediction::Sample => sampling::Prediction::Sample,
        }
    }

    /// The noise levels, and how timesteps are spread over them.
    #[must_use]
    pub fn device_schedule(&self) -> sampling::Schedule {
        self.timestep_spacing.into()
    }
}

fn class(fields: &mut Fields) -> Result<(String, &'static ClassDefaults), ConfigError> {
    let name = fields.string("_class_name", "")?;
    match CLASSES.iter().find(|class| class.names.contains(&name.as_str())) {
        Some(class) => Ok((name, class)),
        None => {
            let known: Vec<&str> = CLASSES.iter().flat_map(|class| class.names).copied().collect();
            Err(fields.error("_class_name", format!("supported schedulers are {}", known.join(", "))))
        }
    }
}

fn variance(fields: &mut Fields) -> Result<Variance, ConfigError> {
    match fields.string("variance_type", "fixed_small")?.as_str() {
        "fixed_small" | "fixed_small_log" => Ok(Variance::FixedSmall),
        "fixed_large" | "fixed_large_log" => Ok(Variance::FixedLarge),
        "learned_range" => Ok(Variance::LearnedRange),
        _ => Err(fields.error(
            "variance_type",
            "supported are fixed_small, fixed_small_log, fixed_large, fixed_large_log and learned_range",
        )),
    }
}

fn beta_schedule(fields: &mut Fields, timesteps: usize) -> Result<BetaSchedule, ConfigError> {
    let name = fields.string("beta_schedule", "linear")?;
    if let Some(betas) = fields.numbers("trained_betas")? {
        if betas.len() != timesteps {
            let problem = format!("holds {} betas, but num_train_timesteps is {timesteps}", betas.len());
            return Err(fields.error("trained_betas", problem));
        }
        return Ok(BetaSchedule::Trained(betas));
    }
    match name.as_str() {
        "linear" => Ok(BetaSchedule::Linear),
        "scaled_linear" => Ok(BetaSchedule::ScaledLinear),
        "squaredcos_cap_v2" => Ok(BetaSchedule::SquaredCosine),
        _ => Err(fields.error(
            "beta_schedule",
            "supported are linear, scaled_linear, squaredcos_cap_v2, and any other through trained_betas",
        )),
    }
}

fn spacing(fields: &mut Fields, default: &str) -> Result<Spacing, ConfigError> {
    let name = fields.string("timestep_spacing", default)?;
    spacing_from_name(&name).ok_or_else(|| {
        fields.error(
            "timestep_spacing",
            "supported are leading, trailing, linspace and quadratic",
        )
    })
}

fn prediction(fields: &mut Fields) -> Result<Prediction, ConfigError> {
    match fields.string("prediction_type", "epsilon")?.as_str() {
        "epsilon" => Ok(Prediction::Epsilon),
        "v_prediction" => Ok(Prediction::Velocity),
        "sample" => Ok(Prediction::Sample),
        _ => Err(fields.error("prediction_type", "supported are epsilon, v_prediction and sample")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SchedulerConfig, ConfigError> {
        SchedulerConfig::parse("scheduler_config.json", text)
    }

    #[test]
    fn defaults_are_the_class_s_own() {
        let ddim = parse(r#"{"_class_name": "DDIMScheduler"}"#).unwrap();
        assert!(ddim.clip_sample && ddim.set_alpha_to_one);
        assert_eq!(
            (ddim.num_train_timesteps, ddim.timestep_spacing),
            (1000, Spacing::Leading)
        );
        let pndm = parse(r#"{"_class_name": "PNDMScheduler"}"#).unwrap();
        assert!(!pndm.clip_sample && !pndm.set_alpha_to_one);
        let dpm = parse(r#"{"_class_name": "DPMSolverMultistepScheduler", "solver_order": 2}"#).unwrap();
        assert_eq!(dpm.timestep_spacing, Spacing::Linspace);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (field, value) in [
            ("beta_schedule", "\"sigmoid\""),
            ("prediction_type", "\"flow\""),
            ("timestep_spacing", "\"karras\""),
            ("thresholding", "true"),
            ("variance_type", "\"learned\""),
            ("trained_betas", "[0.1, 0.2]"),
            ("num_train_timesteps", "0"),
            ("num_train_timesteps", "99999999999999"),
            ("beta_end", "1.5"),
            ("clip_sample_range", "0"),
            ("steps_offset", "-1"),
            ("novel_setting", "3"),
        ] {
            let text = format!(r#"{{"_class_name": "DDIMScheduler", "{field}": {value}}}"#);
            assert_eq!(parse(&text).unwrap_err().field, field);
        }
        assert_eq!(
            parse(r#"{"_class_name": "EDMEulerScheduler"}"#).unwrap_err().field,
            "_class_name"
        );
        assert_eq!(parse("{}").unwrap_err().field, "_class_name");
    }
}
