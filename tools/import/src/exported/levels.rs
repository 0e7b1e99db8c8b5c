//! Noise levels and prediction that `mote.json` says, where there is no scheduler's configuration:
//!
//! ```text
//! "schedule": {"kind": "cosine", "timesteps": 1000, "objective": "pred_v"}
//! ```
//!
//! These are the words of lucidrains' `GaussianDiffusion`. `kind` and `timesteps` may be left out where the weights' file has `betas`.

use super::Manifest;
use crate::{ImportError, scheduler_object, shown};
use mote_graph::config::{ConfigError, Fields};
use mote_graph::schedule::SchedulerConfig;
use serde_json::{Value, json};
use std::path::Path;

/// Most training timesteps.
const MOST: usize = 1 << 16;
/// The largest beta.
const MOST_BETA: f64 = 0.999;

/// How noise levels are spread over the training timesteps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Ho et al. 2020, with ends for any number of timesteps.
    Linear,
    /// Nichol and Dhariwal 2021, equation 17, with s = 0.008.
    Cosine,
    /// Jabri et al. 2022, figure 8, from -3 to 3 with tau 1.
    Sigmoid,
}

const KINDS: [(&str, Kind); 3] = [
    ("linear", Kind::Linear),
    ("cosine", Kind::Cosine),
    ("sigmoid", Kind::Sigmoid),
];

/// What the network predicts, and diffusers' word for it.
const OBJECTIVES: [(&str, &str); 3] = [
    ("pred_noise", "epsilon"),
    ("pred_x0", "sample"),
    ("pred_v", "v_prediction"),
];

/// What the file says.
#[derive(Debug, Clone)]
pub(crate) struct Levels {
    kind: Option<Kind>,
    timesteps: Option<usize>,
    prediction: &'static str,
}

impl Levels {
    /// Reads `schedule`; `None` where it is not there, or is a flow.
    pub fn parse(fields: &mut Fields) -> Result<Option<Self>, ConfigError> {
        let Some(value) = fields.get("schedule").cloned() else {
            return Ok(None);
        };
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let kind = text("kind").map(|kind| KINDS.iter().find(|(name, _)| *name == kind));
        if kind == Some(None) || (kind.is_none() && text("objective").is_none()) {
            return Ok(None);
        }
        let objective = OBJECTIVES.iter().find(|(name, _)| Some(*name) == text("objective"));
        let Some((_, prediction)) = objective else {
            let problem = "`objective` must say what the network predicts: pred_noise, pred_x0 or pred_v";
            return Err(fields.error("schedule", problem));
        };
        let timesteps = match value.get("timesteps") {
            None => None,
            Some(number) => {
                let number = number.as_u64().and_then(|n| usize::try_from(n).ok());
                let number = number.filter(|n| (1..=MOST).contains(n));
                let problem = || {
                    fields.error(
                        "schedule",
                        format!("`timesteps` must be a whole number from 1 to {MOST}"),
                    )
                };
                Some(number.ok_or_else(problem)?)
            }
        };
        let known = |key: &String| ["kind", "timesteps", "objective"].contains(&key.as_str());
        if !value.as_object().is_some_and(|object| object.keys().all(known)) {
            return Err(fields.error("schedule", "expected `kind`, `timesteps` and `objective`"));
        }
        Ok(Some(Self {
            kind: kind.flatten().map(|(_, kind)| *kind),
            timesteps,
            prediction,
        }))
    }

    /// The scheduler, with the betas of the weights' file where there are any. `beside` is another configuration that is there.
    pub fn scheduler(
        &self,
        beside: Option<&Path>,
        manifest: &Manifest,
        stored: Option<Vec<f64>>,
    ) -> Result<(SchedulerConfig, Value), ImportError> {
        if let Some(other) = beside.filter(|other| other.is_file()) {
            let problem = format!("{} says it too; remove one of them", shown(other));
            return Err(manifest.error("schedule", problem).into());
        }
        let betas = match (stored, self.kind) {
            (Some(stored), None) if self.timesteps.is_none_or(|steps| steps == stored.len()) => stored,
            (Some(stored), None) => {
                let problem = format!("the weights' file has {} betas", stored.len());
                return Err(manifest.error("schedule", problem).into());
            }
            (_, Some(kind)) => betas(kind, self.timesteps.unwrap_or(1000)),
            (None, None) => {
                let problem =
                    "the weights' file has no betas: write \"kind\": linear, cosine or sigmoid, and \"timesteps\"";
                return Err(manifest.error("schedule", problem).into());
            }
        };
        let text = json!({
            "_class_name": "DDPMScheduler",
            "num_train_timesteps": betas.len(),
            "trained_betas": betas,
            "prediction_type": self.prediction,
            "clip_sample": true,
            "timestep_spacing": "trailing",
        })
        .to_string();
        let schedule = SchedulerConfig::parse_as(&manifest.file, &text, None)?;
        let config = scheduler_object(&manifest.file, &text, &schedule)?;
        Ok((schedule, config))
    }
}

/// The betas of `steps` timesteps.
fn betas(kind: Kind, steps: usize) -> Vec<f64> {
    let at = |i: usize| i as f64 / steps as f64;
    let alpha = |t: f64| match kind {
        Kind::Linear => 1.0,
        Kind::Cosine => libm::pow(libm::cos((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2), 2.0),
        Kind::Sigmoid => {
            let sigmoid = |v: f64| 1.0 / (1.0 + libm::exp(-v));
            (sigmoid(3.0) - sigmoid(6.0 * t - 3.0)) / (sigmoid(3.0) - sigmoid(-3.0))
        }
    };
    let beta = |i: usize| match kind {
        Kind::Linear => {
            let (first, last) = (0.1 / steps as f64, 20.0 / steps as f64);
            first + (last - first) * i as f64 / (steps.max(2) - 1) as f64
        }
        _ => 1.0 - alpha(at(i + 1)) / alpha(at(i)),
    };
    (0..steps).map(|i| beta(i).clamp(0.0, MOST_BETA)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `linear_beta_schedule`, `cosine_beta_schedule` and `sigmoid_beta_schedule` in plain Python, for 5 and 1000 timesteps.
    #[test]
    fn betas_are_those_of_the_package() {
        let close = |kind, steps: usize, at: usize, wanted: f64| {
            let found = betas(kind, steps)[at];
            assert!((found - wanted).abs() < 1e-12, "{kind:?} {steps} {at}: {found}");
        };
        close(Kind::Linear, 5, 0, 0.02);
        close(Kind::Linear, 1000, 0, 0.0001);
        close(Kind::Linear, 1000, 500, 0.01005995995995996);
        close(Kind::Linear, 1000, 999, 0.02);
        close(Kind::Cosine, 5, 0, 0.10129407940049107);
        close(Kind::Cosine, 5, 3, 0.7240523691082572);
        close(Kind::Cosine, 1000, 0, 4.128422482196914e-05);
        close(Kind::Cosine, 1000, 500, 0.003155691441585007);
        close(Kind::Cosine, 1000, 999, 0.999);
        close(Kind::Sigmoid, 5, 0, 0.10432013909620674);
        close(Kind::Sigmoid, 5, 3, 0.6923437305160005);
        close(Kind::Sigmoid, 1000, 0, 0.00030027919974917605);
        close(Kind::Sigmoid, 1000, 500, 0.003314364235860956);
        close(Kind::Sigmoid, 1000, 999, 0.999);
    }
}
