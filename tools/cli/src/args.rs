//! Options that several commands share.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use mote_runtime::Method;
use mote_runtime::internals::sampler;
use mote_runtime::internals::schedule::{coefficients, spacing};
use mote_tools::samplers::{sampler_named, samplers};
use mote_tools::{Conditions, Error, FloatDevice, Request, RunOptions, SecondFactor, Shard};
use std::ffi::OsString;

/// Which steps a run makes, and their coefficients.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The sampler [default: ddim, or what the file plans]
    #[arg(long, value_parser = sampler())]
    pub sampler: Option<Method>,
    /// The variance of --sampler ddpm [default: learned where the file has the network's, else small]
    #[arg(long, value_enum)]
    pub variance: Option<Variance>,
    /// Denoising steps, 1 to the training steps [default: 20, all of a chain, or what the file plans]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<u32>,
    /// How steps are spread over the training timesteps [default: the checkpoint's]
    #[arg(long, value_enum)]
    pub spacing: Option<Spacing>,
    /// The timestep that a step goes to: the next in the list, or t - T/S as diffusers' DDIM computes it [default: list]
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
    pub run: RunArgs,
    /// Class label of a conditional model [default: the null class]
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    pub class: Option<u16>,
    /// Weight of classifier-free guidance; two network calls a step
    #[arg(long, value_name = "W", value_parser = weight, allow_negative_numbers = true)]
    pub guidance: Option<f64>,
    /// Condition vectors of a model that takes them: numbers with commas between, for all images; or an array of a .npz, .npy or safetensors file, a row an image or one for all
    #[arg(long, value_name = "FILE.npz[:KEY]|X,Y,...", allow_hyphen_values = true)]
    pub condition: Option<OsString>,
    /// Seed of the first image; the others count up from it
    #[arg(long, value_name = "S", default_value = "0", value_parser = seed, allow_negative_numbers = true)]
    pub seed: u64,
}

/// What is known of a chain's samples.
#[derive(Debug, Clone, Args)]
pub struct KnownArgs {
    /// Of a diffusion chain: elements of every sample that are known, with commas between, ? where nothing is known; a bit is 0 or 1
    #[arg(long, value_name = "X,?,...", allow_hyphen_values = true)]
    known: Option<String>,
    /// How well: the probability that each bit was seen flipped, 0 to 0.5, or the standard deviation of each value, to inf [default: 0, exactly]
    #[arg(long, value_name = "F", requires = "known", allow_negative_numbers = true)]
    known_noise: Option<f64>,
}

impl KnownArgs {
    /// As the library takes it.
    pub fn factor(&self) -> Result<Option<SecondFactor>, Error> {
        let noise = self.known_noise.unwrap_or(0.0);
        let known = self.known.as_deref();
        known.map(|known| SecondFactor::parse(known, noise)).transpose()
    }
}

/// Variances of the ancestral sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Variance {
    /// The posterior's (diffusers' fixed_small)
    Small,
    /// The forward process' (fixed_large)
    Large,
    /// Between the two, as the network says (learned_range): of files converted with --learned-variance keep
    Learned,
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

impl RunArgs {
    /// As the library takes them.
    pub fn options(&self) -> RunOptions {
        RunOptions {
            sampler: self.sampler,
            variance: self.variance.map(|variance| match variance {
                Variance::Small => sampler::Variance::Small,
                Variance::Large => sampler::Variance::Large,
                Variance::Learned => sampler::Variance::Learned,
            }),
            steps: self.steps,
            spacing: self.spacing.map(|spacing| match spacing {
                Spacing::Leading => spacing::Spacing::Leading,
                Spacing::Trailing => spacing::Spacing::Trailing,
                Spacing::Linspace => spacing::Spacing::Linspace,
                Spacing::Quadratic => spacing::Spacing::Quadratic,
            }),
            prev: self.prev.map(|prev| match prev {
                Prev::List => spacing::PrevRule::List,
                Prev::Diffusers => spacing::PrevRule::Diffusers,
            }),
            eta: self.eta,
            clip: match self.clip {
                Clip::Checkpoint => None,
                Clip::Off => Some(coefficients::Clip::Off),
                Clip::Stock => Some(coefficients::Clip::Stock),
                Clip::Rederived => Some(coefficients::Clip::Rederived),
            },
        }
    }
}

impl SamplerArgs {
    /// The first of its options that was given other than by its default.
    pub fn given(&self) -> Option<&'static str> {
        let run = &self.run;
        let options = [
            ("--sampler", run.sampler.is_some()),
            ("--variance", run.variance.is_some()),
            ("--steps", run.steps.is_some()),
            ("--spacing", run.spacing.is_some()),
            ("--prev", run.prev.is_some()),
            ("--eta", run.eta.is_some()),
            ("--clip", run.clip != Clip::Checkpoint),
            ("--class", self.class.is_some()),
            ("--guidance", self.guidance.is_some()),
            ("--condition", self.condition.is_some()),
            ("--seed", self.seed != 0),
        ];
        options.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    /// One image from the first seed, or one of each condition.
    pub fn request(&self) -> Result<Request, Error> {
        Ok(Request {
            run: self.run.options(),
            class: self.class,
            guidance: self.guidance,
            seed: self.seed,
            condition: self.condition.as_deref().map(Conditions::parse).transpose()?,
            ..Request::default()
        })
    }
}

/// Samplers by their names.
fn sampler() -> impl TypedValueParser<Value = Method> {
    let values = samplers().map(|method| PossibleValue::new(method.entry().name).help(method.entry().about));
    PossibleValuesParser::new(values).try_map(|name| sampler_named(&name).ok_or("unknown sampler"))
}

/// Lower-case names of enums of the runtime, for JSON.
pub fn name(value: impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
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

/// A shard of a run.
pub fn shard(text: &str) -> Result<Shard, String> {
    let said = |error: Error| match error.advice() {
        Some(advice) => format!("{error}: {advice}"),
        None => error.to_string(),
    };
    text.parse().map_err(said)
}

/// What runs the float network, by its name.
pub fn float_device(text: &str) -> Result<FloatDevice, String> {
    FloatDevice::parse(text)
}
