//! Fields, each read as its class reads it.

use super::classes::{CLASSES, Class, End};
use super::flow::FLOW_EULER;
use super::{MAX_CLIP, SchedulerConfig};
use crate::config::{ConfigError, Fields};
use crate::schedule::{BetaSchedule, Precision, Prediction, Schedule, Spacing, Variance, edm, spacing_from_name};

pub(super) fn class(fields: &mut Fields, given: Option<&str>) -> Result<(String, &'static Class), ConfigError> {
    let own = fields.string("_class_name", "")?;
    let name = given.map_or(own, str::to_string);
    match CLASSES.iter().find(|class| class.names.contains(&name.as_str())) {
        Some(class) => Ok((name, class)),
        None => {
            let known = CLASSES.iter().flat_map(|class| class.names).copied();
            let known: Vec<&str> = known.chain([FLOW_EULER]).chain(edm::CLASSES).collect();
            Err(fields.error("_class_name", format!("supported schedulers are {}", known.join(", "))))
        }
    }
}

/// Whether x0 is clipped, and where. The bound is checked where it is used.
pub(super) fn clip(fields: &mut Fields, class: &Class) -> Result<(bool, f64), ConfigError> {
    let Some(default) = class.clip_sample else {
        return Ok((false, 1.0));
    };
    let clips = fields.bool("clip_sample", default)?;
    if !clips && fields.is_null("clip_sample_range") {
        return Ok((false, 1.0));
    }
    let range = fields.number("clip_sample_range", 1.0)?;
    if range <= 0.0 {
        return Err(fields.error("clip_sample_range", "expected a number above 0"));
    }
    if clips && range > MAX_CLIP {
        return Err(fields.error(
            "clip_sample_range",
            format!("the model file holds at most {MAX_CLIP}: set clip_sample to false, which does as much"),
        ));
    }
    Ok((clips, range))
}

/// Whether the last step ends at cumulative alpha 1.
pub(super) fn ends_at_one(fields: &mut Fields, class: &Class) -> Result<bool, ConfigError> {
    let sigmas = fields.string("final_sigmas_type", "zero")?;
    if !["zero", "sigma_min"].contains(&sigmas.as_str()) {
        return Err(fields.error("final_sigmas_type", "supported are zero and sigma_min"));
    }
    match class.end {
        End::Field(default) => fields.bool("set_alpha_to_one", default),
        End::Sigmas => Ok(sigmas == "zero"),
        End::Always(one) => Ok(one),
    }
}

pub(super) fn steps_offset(fields: &mut Fields, class: &Class, timesteps: usize) -> Result<usize, ConfigError> {
    if !class.spaced {
        return Ok(0);
    }
    Ok(fields.integer("steps_offset", 0, timesteps - 1)?.unwrap_or(0))
}

/// Solvers of the ODE differ in how they step, those of the SDE in where they go.
pub(super) fn algorithm(fields: &mut Fields, to_one: bool) -> Result<(), ConfigError> {
    let name = fields.string("algorithm_type", "dpmsolver++")?;
    match name.as_str() {
        "dpmsolver++" | "deis" => Ok(()),
        "dpmsolver" if !to_one => Ok(()),
        "dpmsolver" => Err(fields.error(
            "algorithm_type",
            "diffusers refuses it without final_sigmas_type sigma_min: set it to dpmsolver++",
        )),
        "sde-dpmsolver" | "sde-dpmsolver++" => Err(fields.error(
            "algorithm_type",
            "it adds noise between its steps, which no model file holds: set it to dpmsolver++, and sample with --sampler ddpm \
             or --eta for noise",
        )),
        _ => Err(fields.error("algorithm_type", "supported are dpmsolver++, dpmsolver and deis")),
    }
}

/// `lambda_min_clipped` leaves out the timesteps whose half log signal-to-noise ratio is below it. It may leave out none.
pub(super) fn lambda_min(fields: &mut Fields, class: &Class, config: &SchedulerConfig) -> Result<(), ConfigError> {
    if !class.clips_lambda {
        fields.ignore(&["lambda_min_clipped"]);
        return Ok(());
    }
    let least = fields.extended("lambda_min_clipped", f64::NEG_INFINITY)?;
    // A schedule that cannot be made is refused where it is made.
    let Ok(schedule) = Schedule::new(config, Precision::F64) else {
        return Ok(());
    };
    let below = |bar: &f64| 0.5 * libm::log(bar / (1.0 - bar)) < least;
    let first = schedule.alphas_cumprod.iter().position(below);
    first.map_or(Ok(()), |timestep| {
        let problem = format!(
            "it would leave out the timesteps from {timestep} on, which no model file holds: write -Infinity there, or \
             remove the field"
        );
        Err(fields.error("lambda_min_clipped", problem))
    })
}

pub(super) fn variance(fields: &mut Fields) -> Result<Variance, ConfigError> {
    // Null is the posterior's: none of the library's cases changes it.
    if fields.is_null("variance_type") {
        return Ok(Variance::FixedSmall);
    }
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

/// The schedule, and the ends of the linear ones, which are checked where they are used.
pub(super) fn betas(fields: &mut Fields, timesteps: usize) -> Result<(BetaSchedule, [f64; 2]), ConfigError> {
    let trained = fields.numbers("trained_betas")?;
    let used = trained.is_none();
    let schedule = match trained {
        Some(betas) if betas.len() != timesteps => {
            let problem = format!("holds {} betas, but num_train_timesteps is {timesteps}", betas.len());
            return Err(fields.error("trained_betas", problem));
        }
        Some(betas) => BetaSchedule::Trained(betas),
        None => match fields.string("beta_schedule", "linear")?.as_str() {
            "linear" => BetaSchedule::Linear,
            "scaled_linear" => BetaSchedule::ScaledLinear,
            "squaredcos_cap_v2" => BetaSchedule::SquaredCosine,
            _ => {
                return Err(fields.error(
                    "beta_schedule",
                    "supported are linear, scaled_linear, squaredcos_cap_v2, and any other through trained_betas",
                ));
            }
        },
    };
    fields.ignore(&["beta_schedule"]);
    let used = used && schedule != BetaSchedule::SquaredCosine;
    let mut end = |field: &'static str, default: f64| {
        if !used && fields.is_null(field) {
            return Ok(default);
        }
        match fields.number(field, default)? {
            beta if (0.0..=1.0).contains(&beta) => Ok(beta),
            _ => Err(fields.error(field, "expected a number from 0 to 1")),
        }
    };
    Ok((schedule, [end("beta_start", 0.0001)?, end("beta_end", 0.02)?]))
}

pub(super) fn spacing(fields: &mut Fields, class: &Class) -> Result<Spacing, ConfigError> {
    let name = if class.spaced {
        fields.string("timestep_spacing", class.spacing)?
    } else {
        class.spacing.to_string()
    };
    spacing_from_name(&name).ok_or_else(|| {
        fields.error(
            "timestep_spacing",
            "supported are leading, trailing, linspace and quadratic",
        )
    })
}

pub(super) fn prediction(fields: &mut Fields) -> Result<Prediction, ConfigError> {
    match fields.string("prediction_type", "epsilon")?.as_str() {
        "epsilon" => Ok(Prediction::Epsilon),
        "v_prediction" => Ok(Prediction::Velocity),
        "sample" => Ok(Prediction::Sample),
        _ => Err(fields.error("prediction_type", "supported are epsilon, v_prediction and sample")),
    }
}
