//! What a policy's control loop needs beside the network: how far it looks back, how many actions it carries out, and between which numbers
//! observations and actions lie.
//!
//! Read of `config.json` alone; of LeRobot's folder (`normalization_mapping`, statistics in `model.safetensors` or in the files of its
//! processors); of Diffusion Policy's `.ckpt` with `config.json` beside it (`normalizer.params_dict`).

mod lerobot;

use crate::import::files;
use crate::import::numbers_beside;
use crate::{Error, ErrorKind};
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Most numbers of an observation or an action, and most steps of a plan.
const MOST: u64 = 1 << 16;

/// The numbers that stand for -1 and for 1, an element each. Every scaling that policies have is one of these.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scale {
    /// Stand for -1.
    pub low: Vec<f64>,
    /// Stand for 1.
    pub high: Vec<f64>,
    /// Whether what was recorded lies between the two; it does not where these are a mean and a spread.
    pub bounded: bool,
}

/// A policy's loop (Chi et al. 2023, section 4.3, receding horizon).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyLoop {
    /// Observations that a plan is made from.
    pub n_obs_steps: usize,
    /// Actions that are carried out before the next plan.
    pub n_action_steps: usize,
    /// Actions of a plan. The first stands beside the oldest observation.
    pub horizon: usize,
    /// Denoising steps that the checkpoint asks for.
    pub steps: Option<usize>,
    /// Observations.
    pub obs: Scale,
    /// Actions.
    pub action: Scale,
}

/// A configuration, and the path that errors name.
struct Config {
    path: PathBuf,
    fields: Map<String, Value>,
}

/// The object of a JSON file.
fn object(path: &Path, text: &str) -> Result<Map<String, Value>, Error> {
    mote_graph::config::object(&path.display().to_string(), text)
        .map_err(|error| Error::coded(ErrorKind::Input, error).help("copy the policy's folder again"))
}

impl PolicyLoop {
    /// Reads what `path` holds: `config.json`, its folder, or a `.ckpt` with `config.json` beside it.
    ///
    /// # Errors
    /// Of kind `Input`, with file, field and what is expected.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let is = |end: &str| path.extension().is_some_and(|found| found == end);
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        let folder = folder.unwrap_or(Path::new(""));
        let own = if is("json") {
            path.to_path_buf()
        } else {
            folder.join("config.json")
        };
        let config = Config::read(own)?;
        if config.fields.contains_key("obs_min") {
            return config.recorded();
        }
        let saved = folder.join("policy.ckpt");
        match is("ckpt") {
            true => config.normalizer(path),
            false if folder.join("model.safetensors").is_file() => lerobot::read(&config, folder),
            false if saved.is_file() => config.normalizer(&saved),
            false => config.recorded(),
        }
    }

    /// Reads the text of a `config.json` that holds all of it.
    ///
    /// # Errors
    /// As [`PolicyLoop::read`].
    pub fn of_text(text: &str) -> Result<Self, Error> {
        Config::parsed(PathBuf::from("the policy's configuration"), text)?.recorded()
    }
}

impl Config {
    fn read(path: PathBuf) -> Result<Self, Error> {
        let text = files::text(&path, files::SMALL).map_err(|error| {
            Error::input(format_args!("cannot read {}: {error}", path.display()))
                .help("give a policy's folder, its config.json, or its .ckpt with config.json beside it")
        })?;
        Self::parsed(path, &text)
    }

    fn parsed(path: PathBuf, text: &str) -> Result<Self, Error> {
        let fields = object(&path, text)?;
        Ok(Self { path, fields })
    }

    /// The error that `field` has this problem.
    fn error(&self, field: &str, problem: impl std::fmt::Display) -> Error {
        Error::input(format_args!("{}: {field}: {problem}", self.path.display()))
            .help("give the config.json of the checkpoint, as its training wrote it")
    }

    fn whole(&self, field: &str) -> Result<usize, Error> {
        let number = self.fields.get(field).and_then(Value::as_u64);
        let number = number
            .filter(|number| (1..=MOST).contains(number))
            .map(|number| number as usize);
        number.ok_or_else(|| match self.fields.get(field) {
            None => self.error(field, "it is missing"),
            Some(_) => self.error(field, format_args!("expected a whole number from 1 to {MOST}")),
        })
    }

    /// A list of finite numbers.
    fn numbers(&self, field: &str) -> Result<Vec<f64>, Error> {
        let list = self.fields.get(field).and_then(Value::as_array);
        let numbers: Option<Vec<f64>> = list.and_then(|list| list.iter().map(Value::as_f64).collect());
        let numbers = numbers.filter(|numbers| numbers.iter().all(|number| number.is_finite()));
        numbers.ok_or_else(|| match self.fields.get(field) {
            None => self.error(field, "it is missing"),
            Some(_) => self.error(field, "expected a list of finite numbers"),
        })
    }

    /// The loop whose ranges this configuration holds itself.
    fn recorded(&self) -> Result<PolicyLoop, Error> {
        let scale = |what: &str| {
            let found = Scale {
                low: self.numbers(&format!("{what}_min"))?,
                high: self.numbers(&format!("{what}_max"))?,
                bounded: true,
            };
            found.checked(|problem| self.error(&format!("{what}_min and {what}_max"), problem))
        };
        self.with(scale("obs")?, scale("action")?)
    }

    /// The loop whose scaling the normalizer of a Diffusion Policy's checkpoint holds: `x * scale + offset` lies in [-1, 1].
    fn normalizer(&self, file: &Path) -> Result<PolicyLoop, Error> {
        let refuse = |problem: String| {
            Error::input(format_args!("{}: {problem}", file.display()))
                .help("save the policy with its normalizer, or write obs_min, obs_max, action_min and action_max into config.json; \
                       of a policy that sees images the encoder is no part of the model file: give its features to Model.sample(condition=...)")
        };
        let scale = |what: &str| -> Result<Scale, Error> {
            let fields = ["scale", "offset", "input_stats.min", "input_stats.max"];
            let names = fields.map(|field| format!("normalizer.params_dict.{what}.{field}"));
            let mut found = names.iter().zip(numbers_beside(file, &names)?);
            let mut next = || found.next().unwrap_or((&names[0], None));
            let needed = |(name, numbers): (&String, Option<Vec<f64>>)| {
                numbers.ok_or_else(|| refuse(format!("it holds no tensor `{name}`")))
            };
            let (factor, offset) = (needed(next())?, needed(next())?);
            let seen = [next().1, next().1];
            if factor.len() != offset.len() {
                return Err(refuse(format!("scale and offset of `{what}` differ in length")));
            }
            let of = |unit: f64| factor.iter().zip(&offset).map(|(f, o)| (unit - o) / f).collect();
            let found = Scale {
                low: of(-1.0),
                high: of(1.0),
                bounded: is_limits(&seen, &factor, &offset),
            };
            found.checked(|problem| refuse(format!("the normalizer of `{what}`: {problem}")))
        };
        self.with(scale("obs")?, scale("action")?)
    }

    /// The loop with these scales.
    fn with(&self, obs: Scale, action: Scale) -> Result<PolicyLoop, Error> {
        let steps = self.fields.get("num_inference_steps").filter(|value| !value.is_null());
        let found = PolicyLoop {
            n_obs_steps: self.whole("n_obs_steps")?,
            n_action_steps: self.whole("n_action_steps")?,
            horizon: self.whole("horizon")?,
            steps: steps.map(|_| self.whole("num_inference_steps")).transpose()?,
            obs,
            action,
        };
        let [history, carried, horizon] = [found.n_obs_steps, found.n_action_steps, found.horizon];
        if history > horizon || carried > horizon - history + 1 {
            let problem = format!("{carried} actions after {history} observations do not fit a horizon of {horizon}");
            return Err(Error::input(format_args!("{}: {problem}", self.path.display()))
                .help("n_action_steps is at most horizon - n_obs_steps + 1"));
        }
        Ok(found)
    }
}

/// Whether a normalizer maps the least and the largest number that it saw into [-1, 1]; where it does not say what it saw, it does.
fn is_limits(seen: &[Option<Vec<f64>>], factor: &[f64], offset: &[f64]) -> bool {
    let within = |seen: &Vec<f64>| {
        let units = seen.iter().zip(factor).zip(offset).map(|((x, f), o)| x * f + o);
        units.into_iter().all(|unit| unit.abs() <= 1.0 + 1e-3)
    };
    seen.iter().flatten().all(within)
}

impl Scale {
    /// Itself, where it is one.
    fn checked(self, error: impl Fn(&str) -> Error) -> Result<Self, Error> {
        if self.low.is_empty() || self.low.len() != self.high.len() || self.low.len() as u64 > MOST {
            return Err(error("they are no ranges: they differ in length, or are empty"));
        }
        let sound = |(low, high): (&f64, &f64)| low.is_finite() && high.is_finite() && high > low;
        match self.low.iter().zip(&self.high).position(|pair| !sound(pair)) {
            None => Ok(self),
            Some(at) => Err(error(&format!(
                "element {at} reaches from {} to {}, which is no range",
                self.low[at], self.high[at]
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
