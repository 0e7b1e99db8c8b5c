//! Options that several commands share.

use super::failure::Failure;
use clap::{Args, ValueEnum};
use mote_runtime::blob::header::Header;
use mote_runtime::sampler;
use mote_runtime::schedule::coefficients;
use mote_runtime::schedule::spacing;
use mote_runtime::{Config, Method};
use mote_tools::backend::Backend;
use mote_tools::validate::FloatDevice;

/// Steps of a run where none are asked for.
const DEFAULT_STEPS: u32 = 20;

/// Which steps a run makes, and their coefficients.
#[derive(Debug, Clone, Args)]
pub struct CourseArgs {
    /// The sampler [default: ddim, or what the file plans]
    #[arg(long, value_enum)]
    pub sampler: Option<Sampler>,
    /// The variance of --sampler ddpm [default: small]
    #[arg(long, value_enum)]
    pub variance: Option<Variance>,
    /// Denoising steps, 1 to the training steps [default: 20, all of a chain, or what the file plans]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<u32>,
    /// How steps are spread over the training timesteps [default: the checkpoint's]
    #[arg(long, value_enum)]
    pub spacing: Option<Spacing>,
    /// The timestep that a step goes to: the next in the list, or t - T/S as diffusers computes it [default: list]
    #[arg(long, value_enum)]
    pub prev: Option<Prev>,
    /// Noise that --sampler ddim adds at each step: 0 is deterministic, 1 is DDPM's variance [default: 0]
    #[arg(long, value_name = "E", value_parser = unit, allow_negative_numbers = true)]
    pub eta: Option<f64>,
    /// What is done about a predicted image out of range
    #[arg(long, value_enum, default_value = "checkpoint")]
    pub clip: Clip,
}

/// How images are sampled.
#[derive(Debug, Clone, Args)]
pub struct SamplerArgs {
    #[command(flatten)]
    pub course: CourseArgs,
    /// Class label of a conditional model [default: the null class]
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    pub class: Option<u16>,
    /// Weight of classifier-free guidance; two network calls a step
    #[arg(long, value_name = "W", value_parser = weight, allow_negative_numbers = true)]
    pub guidance: Option<f64>,
    /// Seed of the first image; the others count up from it
    #[arg(long, value_name = "S", default_value = "0", value_parser = seed, allow_negative_numbers = true)]
    pub seed: u64,
}

/// Samplers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sampler {
    /// Song, Meng and Ermon 2021: deterministic, or with noise by --eta
    Ddim,
    /// Ho, Jain and Abbeel 2020: ancestral, with noise in every step; see --variance
    Ddpm,
    /// DPM-Solver++(2M), Lu et al. 2022: second order, deterministic
    #[value(name = "dpm++")]
    DpmSolver2M,
    /// Heun's method on the probability-flow ODE: second order, two network calls a step
    Heun,
}

/// Variances of the ancestral sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Variance {
    /// The posterior's (diffusers' fixed_small)
    Small,
    /// The forward process' (fixed_large)
    Large,
}

/// Spacings by their diffusers names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spacing {
    /// Multiples of T/S
    Leading,
    /// From the last timestep down
    Trailing,
    /// First and last included
    Linspace,
    /// Denser where there is little noise
    Quadratic,
}

/// What the timestep after a timestep is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prev {
    /// The next in the list
    List,
    /// t - T/S
    Diffusers,
}

/// Clipping of the predicted image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Clip {
    /// As the checkpoint was saved
    Checkpoint,
    /// Never
    Off,
    /// Clamp x0 and keep epsilon: diffusers' clip_sample
    Stock,
    /// Clamp x0 and derive epsilon again
    Rederived,
}

impl CourseArgs {
    /// The configuration of a model's run, without class, guidance and seed; it is not validated.
    pub fn config(&self, header: &Header) -> Result<Config, Failure> {
        let usual = match header.schedule.plan() {
            Some(plan) => plan.steps,
            None if header.prediction.is_chain() => header.train_steps,
            None => DEFAULT_STEPS.min(header.train_steps),
        };
        let default = Config::of(header, self.steps.unwrap_or(usual));
        let method = self.method(default.method);
        if self.variance.is_some() && !matches!(method, Method::Ddpm(_)) {
            return Err(Failure::usage("--variance is for --sampler ddpm").help("leave it out, or add --sampler ddpm"));
        }
        if self.eta.is_some_and(|eta| eta != 0.0) && method != Method::Ddim {
            return Err(
                Failure::usage("--eta is for --sampler ddim").help("leave it out: other samplers have no choice of it")
            );
        }
        let eta_q16 = match self.eta {
            Some(eta) => q16(eta) as u32,
            None if method == default.method => default.eta_q16,
            None => 0,
        };
        Ok(Config {
            spacing: self.spacing.map_or(default.spacing, Spacing::runtime),
            prev: match self.prev {
                Some(Prev::List) => spacing::PrevRule::List,
                Some(Prev::Diffusers) => spacing::PrevRule::Diffusers,
                None => default.prev,
            },
            eta_q16,
            clip: match self.clip {
                Clip::Checkpoint => default.clip,
                Clip::Off => coefficients::Clip::Off,
                Clip::Stock => coefficients::Clip::Stock,
                Clip::Rederived => coefficients::Clip::Rederived,
            },
            method,
            ..default
        })
    }

    fn method(&self, default: Method) -> Method {
        let variance = match (self.variance, default) {
            (Some(Variance::Large), _) => sampler::Variance::Large,
            (None, Method::Ddpm(variance)) => variance,
            _ => sampler::Variance::Small,
        };
        match self.sampler {
            Some(Sampler::Ddim) => Method::Ddim,
            Some(Sampler::Ddpm) => Method::Ddpm(variance),
            Some(Sampler::DpmSolver2M) => Method::DpmSolver2M,
            Some(Sampler::Heun) => Method::Heun,
            None if matches!(default, Method::Ddpm(_)) => Method::Ddpm(variance),
            None => default,
        }
    }
}

impl SamplerArgs {
    /// The configuration for a model.
    pub fn config(&self, header: &Header) -> Result<Config, Failure> {
        let config = Config {
            class: self.class,
            guidance_q16: self.guidance.map(q16),
            seed: self.seed,
            ..self.course.config(header)?
        };
        config.validate(header)?;
        Ok(config)
    }

    /// `count` seeds from the first on.
    pub fn seeds(&self, count: usize) -> Vec<u64> {
        (0..count as u64).map(|i| self.seed.wrapping_add(i)).collect()
    }
}

/// A sampler as it is written on the command line.
pub fn method_name(method: Method) -> String {
    let sampler = match method {
        Method::Ddim => Sampler::Ddim,
        Method::Ddpm(_) => Sampler::Ddpm,
        Method::DpmSolver2M => Sampler::DpmSolver2M,
        Method::Heun => Sampler::Heun,
    };
    let value = sampler.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

impl Spacing {
    fn runtime(self) -> spacing::Spacing {
        match self {
            Self::Leading => spacing::Spacing::Leading,
            Self::Trailing => spacing::Spacing::Trailing,
            Self::Linspace => spacing::Spacing::Linspace,
            Self::Quadratic => spacing::Spacing::Quadratic,
        }
    }
}

/// Lower-case names of enums of the runtime, for JSON.
pub fn name(value: impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

/// Nearest multiple of 1/65536.
pub fn q16(value: f64) -> i32 {
    (value * 65536.0).round() as i32
}

/// A number from 0 to 1.
pub fn unit(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err("it must lie between 0 and 1".into())
    }
}

fn weight(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.abs() <= 1000.0 {
        Ok(value)
    } else {
        Err("it must lie between -1000 and 1000".into())
    }
}

/// A seed, decimal or hexadecimal.
pub fn seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "a seed is a whole number from 0 to 2^64 - 1, decimal or 0x hexadecimal".into())
}

/// What runs the float network, by its name.
pub fn float_device(text: &str) -> Result<FloatDevice, String> {
    FloatDevice::parse(text)
}

/// A backend by its name.
pub fn backend(text: &str) -> Result<Backend, String> {
    Backend::parse(text)
}
