//! A checkpoint's `scheduler_config.json`.

use super::edm::{self, Edm};
use super::{BetaSchedule, Precision, Prediction, Schedule, ScheduleError, Spacing, Variance, spacing_from_name};
use crate::config::{ConfigError, Fields, printable};
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

/// Where a class's last step ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// `set_alpha_to_one`, with its default.
    Field(bool),
    /// `final_sigmas_type`: `zero` or `sigma_min`.
    Sigmas,
    /// At cumulative alpha 1 (true) or at that of timestep 0 (false), always.
    Always(bool),
}

/// What a class makes of its configuration, where classes differ. A field that a class does not know is without effect.
struct Class {
    names: &'static [&'static str],
    /// Default of `clip_sample`; `None` where the class never clips.
    clip_sample: Option<bool>,
    end: End,
    /// Default of `timestep_spacing`.
    spacing: &'static str,
    /// Whether the class knows `timestep_spacing` and `steps_offset`.
    spaced: bool,
    /// Whether the class knows `rescale_betas_zero_snr`.
    rescales: bool,
    /// Whether the class knows `lambda_min_clipped`.
    clips_lambda: bool,
    /// Whether it is a solver of higher order, whose own method has no place in a model file.
    solver: bool,
}

const DDIM: Class = Class {
    names: &["DDIMScheduler", "DDIMParallelScheduler"],
    clip_sample: Some(true),
    end: End::Field(true),
    spacing: "leading",
    spaced: true,
    rescales: true,
    clips_lambda: false,
    solver: false,
};

const DPM_SOLVER: Class = Class {
    names: &["DPMSolverMultistepScheduler"],
    clip_sample: None,
    end: End::Sigmas,
    spacing: "linspace",
    spaced: true,
    rescales: true,
    clips_lambda: true,
    solver: true,
};

/// Every class that is supported, as diffusers 0.42 defines it.
const CLASSES: [Class; 7] = [
    DDIM,
    Class {
        names: &["DDPMScheduler", "DDPMParallelScheduler"],
        end: End::Always(true),
        ..DDIM
    },
    Class {
        names: &["PNDMScheduler"],
        clip_sample: None,
        end: End::Field(false),
        rescales: false,
        solver: true,
        ..DDIM
    },
    DPM_SOLVER,
    Class {
        names: &["DPMSolverSinglestepScheduler"],
        spaced: false,
        rescales: false,
        ..DPM_SOLVER
    },
    Class {
        names: &["DEISMultistepScheduler"],
        end: End::Always(false),
        rescales: false,
        clips_lambda: false,
        ..DPM_SOLVER
    },
    Class {
        names: &["UniPCMultistepScheduler"],
        clips_lambda: false,
        ..DPM_SOLVER
    },
];

/// Settings that say how a solver steps, and parameters of settings that are refused where they are on: neither changes the
/// schedule that a network was trained under, nor which noise levels a run visits.
const WITHOUT_EFFECT: [&str; 19] = [
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "skip_prk_steps",
    "solver_order",
    "solver_type",
    "lower_order_final",
    "euler_at_final",
    "predict_x0",
    "disable_corrector",
    "solver_p",
    "flow_shift",
    "time_shift_type",
    "sigma_min",
    "sigma_max",
    "set_alpha_to_one",
    "clip_sample",
    "clip_sample_range",
    "timestep_spacing",
    "steps_offset",
];

/// Settings that change which noise levels a run visits, and have no place in a model file.
const REFUSED: [(&str, &str); 8] = [
    (
        "thresholding",
        "dynamic thresholding is not supported: set it to false, or use clip_sample",
    ),
    ("use_karras_sigmas", OTHER_LEVELS),
    ("use_exponential_sigmas", OTHER_LEVELS),
    ("use_beta_sigmas", OTHER_LEVELS),
    ("use_lu_lambdas", OTHER_LEVELS),
    (
        "use_flow_sigmas",
        "flow matching is supported as FlowMatchEulerDiscreteScheduler: this class' sigmas are not",
    ),
    ("use_dynamic_shifting", OTHER_LEVELS),
    ("shift_terminal", OTHER_LEVELS),
];
const OTHER_LEVELS: &str = "it would have a run visit other noise levels than the training timesteps, which no model file \
    holds: set it to false, and choose how timesteps are spread by timestep_spacing";

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
        let (class_name, class) = self::class(&mut fields, class_name)?;
        for (field, problem) in REFUSED {
            fields.refuse_set(field, problem)?;
        }
        let num_train_timesteps = fields.integer("num_train_timesteps", 1, MAX_TIMESTEPS)?.unwrap_or(1000);
        let (beta_schedule, [beta_start, beta_end]) = betas(&mut fields, num_train_timesteps)?;
        let (clip_sample, clip_sample_range) = clip(&mut fields, class)?;
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
            variance: variance(&mut fields)?,
            levels: Levels::Alphas,
            shift: 1.0,
            edm: None,
            clip_sample,
            clip_sample_range,
            zero_snr_alpha: if class.solver { SOLVERS_ZERO } else { 0.0 },
            notes: class.notes(&class_name),
            class_name,
        };
        algorithm(&mut fields, config.set_alpha_to_one)?;
        lambda_min(&mut fields, class, &config)?;
        fields.ignore(&WITHOUT_EFFECT);
        fields.finish()?;
        Ok(config)
    }
}

impl Class {
    fn notes(&self, name: &str) -> Vec<String> {
        if !self.solver {
            return vec![];
        }
        let own = if name == "PNDMScheduler" {
            "it calls the network twice at some timesteps".to_string()
        } else {
            let ends = match self.end {
                End::Always(false) => ", and ends at the level of timestep 0",
                _ => "",
            };
            format!("it spreads n steps over n + 1 points and leaves the last one out, Mote over n{ends}")
        };
        vec![format!(
            "the noise schedule is {name}'s; its solver is left aside ({own}): choose a sampler with --sampler"
        )]
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

/// diffusers' class for flow matching.
const FLOW_EULER: &str = "FlowMatchEulerDiscreteScheduler";
/// The model file counts continuous timesteps to below this.
const MAX_FLOW_TIMESTEPS: usize = (1 << 16) - 1;
/// The largest shift that the model file holds.
const MAX_SHIFT: f64 = 128.0;

/// Reads flow matching's scheduler. Its levels are spread as pipelines ask for them, from 1 in even steps: the class's own default, which
/// ends with a step from the level of timestep 1, is the spacing linspace.
fn flow(mut fields: Fields) -> Result<SchedulerConfig, ConfigError> {
    for (field, why) in [
        (
            "use_dynamic_shifting",
            "the shift would depend on the image's size: set it to false and give `shift`",
        ),
        (
            "use_karras_sigmas",
            "other levels than shifted ones are not supported: set it to false",
        ),
        (
            "use_exponential_sigmas",
            "other levels than shifted ones are not supported: set it to false",
        ),
        (
            "use_beta_sigmas",
            "other levels than shifted ones are not supported: set it to false",
        ),
        (
            "invert_sigmas",
            "levels that run from the image to noise are not supported: set it to false",
        ),
        (
            "stochastic_sampling",
            "noise between steps is not supported: set it to false",
        ),
        ("shift_terminal", "stretched levels are not supported: set it to null"),
    ] {
        fields.refuse_set(field, why)?;
    }
    let shift = fields.number("shift", 1.0)?;
    if !(1e-3..=MAX_SHIFT).contains(&shift) {
        return Err(fields.error("shift", format!("expected a number from 0.001 to {MAX_SHIFT}")));
    }
    let steps = fields
        .integer("num_train_timesteps", 1, MAX_FLOW_TIMESTEPS)?
        .unwrap_or(1000);
    // Of dynamic shifting alone.
    fields.ignore(&[
        "base_shift",
        "max_shift",
        "base_image_seq_len",
        "max_image_seq_len",
        "time_shift_type",
        "_class_name",
    ]);
    fields.finish()?;
    let config = SchedulerConfig::continuous(FLOW_EULER.to_string(), steps, Levels::Flow);
    Ok(SchedulerConfig {
        prediction_type: Prediction::Velocity,
        shift,
        ..config
    })
}

fn class(fields: &mut Fields, given: Option<&str>) -> Result<(String, &'static Class), ConfigError> {
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
fn clip(fields: &mut Fields, class: &Class) -> Result<(bool, f64), ConfigError> {
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
fn ends_at_one(fields: &mut Fields, class: &Class) -> Result<bool, ConfigError> {
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

fn steps_offset(fields: &mut Fields, class: &Class, timesteps: usize) -> Result<usize, ConfigError> {
    if !class.spaced {
        return Ok(0);
    }
    Ok(fields.integer("steps_offset", 0, timesteps - 1)?.unwrap_or(0))
}

/// Solvers of the ODE differ in how they step, those of the SDE in where they go.
fn algorithm(fields: &mut Fields, to_one: bool) -> Result<(), ConfigError> {
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
fn lambda_min(fields: &mut Fields, class: &Class, config: &SchedulerConfig) -> Result<(), ConfigError> {
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

fn variance(fields: &mut Fields) -> Result<Variance, ConfigError> {
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
fn betas(fields: &mut Fields, timesteps: usize) -> Result<(BetaSchedule, [f64; 2]), ConfigError> {
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

fn spacing(fields: &mut Fields, class: &Class) -> Result<Spacing, ConfigError> {
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
    fn a_class_that_the_index_names_is_not_taken_in_silence() {
        let read = |text: &str| SchedulerConfig::parse_as("s.json", text, Some("DDIMScheduler"));
        let other = read(r#"{"_class_name": "DDPMScheduler"}"#).unwrap();
        assert_eq!(other.class_name, "DDIMScheduler");
        let differ = "the file is DDPMScheduler's, and the pipeline's model_index.json has it read by DDIMScheduler";
        assert_eq!(other.notes, [differ]);
        assert!(read(r#"{"_class_name": "DDIMScheduler"}"#).unwrap().notes.is_empty());
        let error = read(r#"{"_class_name": "EulerDiscreteScheduler", "interpolation_type": "linear"}"#).unwrap_err();
        assert_eq!(error.field, "interpolation_type");
        assert!(
            error.to_string().contains("the file is EulerDiscreteScheduler's"),
            "{error}"
        );
    }

    #[test]
    fn flow_matching_is_read_as_its_class_writes_it() {
        let text = r#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": "0.42.1", "base_image_seq_len": 256,
            "base_shift": 0.5, "invert_sigmas": false, "max_image_seq_len": 4096, "max_shift": 1.15, "num_train_timesteps": 1000,
            "shift": 3.0, "shift_terminal": null, "stochastic_sampling": false, "time_shift_type": "exponential",
            "use_beta_sigmas": false, "use_dynamic_shifting": false, "use_exponential_sigmas": false, "use_karras_sigmas": false}"#;
        let flow = parse(text).unwrap();
        assert_eq!(
            (flow.levels, flow.shift, flow.num_train_timesteps),
            (Levels::Flow, 3.0, 1000)
        );
        assert_eq!(flow.device_prediction(), sampling::Prediction::Flow);
        assert_eq!(flow.device_schedule(), sampling::Schedule::Flow { shift_q24: 3 << 24 });
        assert_eq!(flow.alpha_bars(), Ok((vec![], 1.0)));
        let refused = Schedule::new(&flow, Precision::F64);
        assert!(matches!(refused, Err(ScheduleError::NoAlphas { .. })));
        for (field, value) in [
            ("use_dynamic_shifting", "true"),
            ("use_karras_sigmas", "true"),
            ("use_exponential_sigmas", "true"),
            ("use_beta_sigmas", "true"),
            ("invert_sigmas", "true"),
            ("stochastic_sampling", "true"),
            ("shift_terminal", "0.1"),
            ("shift", "0"),
            ("shift", "129"),
            ("num_train_timesteps", "65536"),
            ("novel_setting", "1"),
        ] {
            let text = format!(r#"{{"_class_name": "FlowMatchEulerDiscreteScheduler", "{field}": {value}}}"#);
            assert_eq!(parse(&text).unwrap_err().field, field);
        }
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
            parse(r#"{"_class_name": "VQDiffusionScheduler"}"#).unwrap_err().field,
            "_class_name"
        );
        assert_eq!(parse("{}").unwrap_err().field, "_class_name");
    }

    /// What each class writes today, and what it says of a run: does x0 get clipped, does the last step end at alpha 1.
    #[test]
    fn every_class_is_read_as_diffusers_writes_its_defaults() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/schedulers");
        let expected = [
            ("DDIMScheduler", true, true, Spacing::Leading),
            ("DDIMParallelScheduler", true, true, Spacing::Leading),
            ("DDPMScheduler", true, true, Spacing::Leading),
            ("DDPMParallelScheduler", true, true, Spacing::Leading),
            ("PNDMScheduler", false, false, Spacing::Leading),
            ("DPMSolverMultistepScheduler", false, true, Spacing::Linspace),
            ("DPMSolverSinglestepScheduler", false, true, Spacing::Linspace),
            ("DEISMultistepScheduler", false, false, Spacing::Linspace),
            ("UniPCMultistepScheduler", false, true, Spacing::Linspace),
        ];
        let named: Vec<&str> = CLASSES.iter().flat_map(|class| class.names).copied().collect();
        assert!(expected.iter().all(|(name, ..)| named.contains(name)) && named.len() == expected.len());
        for (name, clips, to_one, spacing) in expected {
            let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
            let found = parse(&text).unwrap();
            assert_eq!(
                (found.clip_sample, found.set_alpha_to_one, found.timestep_spacing),
                (clips, to_one, spacing),
                "{name}"
            );
            assert_eq!(
                (found.steps_offset, found.variance),
                (0, Variance::FixedSmall),
                "{name}"
            );
            let solver = !name.starts_with("DD");
            let said = found.notes.iter().any(|note| note.contains("--sampler"));
            assert_eq!(said, solver, "{name}");
            // The same in the class's own words, and nothing said twice.
            let bare = parse(&format!(r#"{{"_class_name": "{name}"}}"#)).unwrap();
            assert_eq!(found, bare, "{name}");
        }
    }

    #[test]
    fn what_changes_the_levels_of_a_run_is_honoured_or_refused_by_name() {
        let solver = |name: &str, rest: &str| parse(&format!(r#"{{"_class_name": "{name}", {rest}}}"#));
        for name in [
            "DPMSolverMultistepScheduler",
            "DPMSolverSinglestepScheduler",
            "DEISMultistepScheduler",
            "UniPCMultistepScheduler",
        ] {
            for field in [
                "use_karras_sigmas",
                "use_exponential_sigmas",
                "use_beta_sigmas",
                "use_lu_lambdas",
                "use_flow_sigmas",
                "use_dynamic_shifting",
                "thresholding",
            ] {
                let error = solver(name, &format!(r#""{field}": true"#)).unwrap_err();
                let text = error.to_string();
                assert!(
                    text.starts_with(&format!("scheduler_config.json: `{field}` is true: ")),
                    "{text}"
                );
                solver(name, &format!(r#""{field}": null"#)).unwrap();
            }
            for algorithm in ["sde-dpmsolver", "sde-dpmsolver++", "dpmsolver", "ddim"] {
                let error = solver(name, &format!(r#""algorithm_type": "{algorithm}""#));
                assert_eq!(
                    error.map_err(|error| error.field).err(),
                    (algorithm != "dpmsolver" || name != "DEISMultistepScheduler")
                        .then(|| "algorithm_type".to_string())
                );
            }
            assert_eq!(
                solver(name, r#""final_sigmas_type": "last""#).unwrap_err().field,
                "final_sigmas_type"
            );
        }
        let multistep = "DPMSolverMultistepScheduler";
        let ends = solver(
            multistep,
            r#""final_sigmas_type": "sigma_min", "algorithm_type": "dpmsolver""#,
        )
        .unwrap();
        assert!(!ends.set_alpha_to_one);
        // The linear schedule ends at a half log ratio of -5.06.
        for (least, refused) in [
            ("-Infinity", false),
            ("-5.1", false),
            ("-5.0", true),
            ("Infinity", true),
        ] {
            let found = solver(multistep, &format!(r#""lambda_min_clipped": {least}"#));
            assert_eq!(found.is_err(), refused, "{least}");
        }
        assert!(solver(multistep, r#""lambda_min_clipped": null"#).is_err());
    }

    #[test]
    fn fields_of_other_classes_are_without_effect_as_in_diffusers() {
        let ddpm =
            parse(r#"{"_class_name": "DDPMScheduler", "set_alpha_to_one": false, "skip_prk_steps": true}"#).unwrap();
        assert!(ddpm.set_alpha_to_one);
        let pndm = parse(r#"{"_class_name": "PNDMScheduler", "clip_sample": true}"#).unwrap();
        assert!(!pndm.clip_sample);
        let name = "DPMSolverSinglestepScheduler";
        let text = format!(r#"{{"_class_name": "{name}", "timestep_spacing": "trailing", "steps_offset": 1}}"#);
        let single = parse(&text).unwrap();
        assert_eq!((single.timestep_spacing, single.steps_offset), (Spacing::Linspace, 0));
        // A pipeline's index says which class reads the file.
        let given = SchedulerConfig::parse_as("f", &text, Some("DDIMScheduler")).unwrap();
        assert_eq!((given.timestep_spacing, given.steps_offset), (Spacing::Trailing, 1));
    }

    #[test]
    fn null_means_what_the_library_makes_of_it() {
        let ddim = |rest: &str| parse(&format!(r#"{{"_class_name": "DDIMScheduler", {rest}}}"#));
        assert!(
            !ddim(r#""clip_sample": null, "clip_sample_range": null"#)
                .unwrap()
                .clip_sample
        );
        assert!(!ddim(r#""set_alpha_to_one": null"#).unwrap().set_alpha_to_one);
        assert!(
            !ddim(r#""rescale_betas_zero_snr": null"#)
                .unwrap()
                .rescale_betas_zero_snr
        );
        let cosine = r#""beta_schedule": "squaredcos_cap_v2", "beta_start": null, "beta_end": null"#;
        assert_eq!(ddim(cosine).unwrap().beta_schedule, BetaSchedule::SquaredCosine);
        let trained = r#""num_train_timesteps": 1, "trained_betas": [0.5], "beta_schedule": null"#;
        assert_eq!(ddim(trained).unwrap().beta_schedule, BetaSchedule::Trained(vec![0.5]));
        for field in [
            "num_train_timesteps",
            "beta_start",
            "beta_end",
            "beta_schedule",
            "steps_offset",
            "prediction_type",
            "timestep_spacing",
            "clip_sample_range",
        ] {
            let error = ddim(&format!(r#""{field}": null"#)).unwrap_err();
            assert_eq!((error.field.as_str(), error.value.as_str()), (field, "null"));
        }
    }

    #[test]
    fn what_the_model_file_cannot_hold_is_refused_here() {
        for (rest, expected) in [
            (r#""num_train_timesteps": 65537"#, "from 1 to 65536"),
            (r#""steps_offset": 1000"#, "from 0 to 999"),
            (r#""clip_sample_range": 64.5"#, "at most 64"),
        ] {
            let error = parse(&format!(r#"{{"_class_name": "DDIMScheduler", {rest}}}"#)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let off = r#"{"_class_name": "DDIMScheduler", "clip_sample": false, "clip_sample_range": 100}"#;
        assert!(!parse(off).unwrap().clip_sample);
    }

    #[test]
    fn solvers_keep_a_trace_of_signal_under_zero_terminal_snr() {
        for (name, last) in [("DDIMScheduler", 0.0), ("UniPCMultistepScheduler", SOLVERS_ZERO)] {
            let text = format!(r#"{{"_class_name": "{name}", "rescale_betas_zero_snr": true}}"#);
            let config = parse(&text).unwrap();
            for precision in [Precision::F64, Precision::F32] {
                let schedule = Schedule::new(&config, precision).unwrap();
                assert_eq!(schedule.alphas_cumprod[999], last, "{name}");
            }
        }
    }

    /// A linear schedule of 1000 timesteps is at 2^-28 before its end, where the solvers' classes have 2^-24.
    #[test]
    fn a_trace_of_signal_above_the_timestep_before_goes_into_no_file() {
        let text = r#"{"_class_name": "DPMSolverMultistepScheduler", "rescale_betas_zero_snr": true}"#;
        let error = parse(text).unwrap().alpha_bars().unwrap_err();
        assert!(matches!(error, ScheduleError::Rises { last, before } if last == SOLVERS_ZERO && before < last));
        let scaled = text.replace('}', r#", "beta_schedule": "scaled_linear"}"#);
        parse(&scaled).unwrap().alpha_bars().unwrap();
    }
}
