//! LeRobot's folder: which features an observation is made of, how each is scaled, and where its statistics lie.
//!
//! Statistics are tensors of `model.safetensors` (`normalize_inputs.buffer_observation_state.min`), or of the files that
//! `policy_preprocessor.json` and `policy_postprocessor.json` name (`observation.state.min`).

use super::{Config, PolicyLoop, Scale, object};
use crate::import::files;
use crate::tensors::TensorFile;
use crate::{Error, ErrorKind};
use serde_json::Value;
use std::path::Path;

/// Features of an observation, in the order in which the network's condition has them, and their types.
const OBSERVED: [(&str, &str); 2] = [("observation.state", "STATE"), ("observation.environment_state", "ENV")];
const ACTION: &str = "action";
/// What LeRobot adds to, or puts in place of, a divisor of zero.
const EPSILON: f64 = 1e-8;

/// Reads the loop of the policy in `folder`.
pub(super) fn read(config: &Config, folder: &Path) -> Result<PolicyLoop, Error> {
    let named = |part: &str| [part, &part.replace("features", "shapes")].map(|key| config.fields.get(key));
    let inputs = named("input_features")
        .into_iter()
        .flatten()
        .next()
        .and_then(Value::as_object);
    let inputs = inputs.ok_or_else(|| config.error("input_features", "it is missing"))?;
    if let Some(other) = inputs
        .keys()
        .find(|name| OBSERVED.iter().all(|(known, _)| known != name))
    {
        let problem = format!("`{other}` goes through an encoder, which is no part of the model file");
        return Err(config
            .error("input_features", problem)
            .help("make condition vectors in Python, and give them to Model.sample(condition=...)"));
    }
    let statistics = Statistics::open(folder)?;
    let mut obs = Scale {
        low: vec![],
        high: vec![],
        bounded: true,
    };
    for (name, kind) in OBSERVED.iter().filter(|(name, _)| inputs.contains_key(*name)) {
        let part = statistics.scale(config, name, kind, &inputs[*name])?;
        obs.low.extend(part.low);
        obs.high.extend(part.high);
        obs.bounded &= part.bounded;
    }
    let outputs = named("output_features").into_iter().flatten().next();
    let shape = outputs.and_then(|outputs| outputs.get(ACTION));
    let shape = shape.ok_or_else(|| config.error("output_features", "it has no action"))?;
    let action = statistics.scale(config, ACTION, "ACTION", shape)?;
    let wrong = |what: &'static str| move |problem: &str| config.error(what, problem);
    config.with(obs.checked(wrong("observations"))?, action.checked(wrong("actions"))?)
}

/// The files with statistics: of the weights, of what comes before the network and of what comes after it.
struct Statistics {
    weights: TensorFile,
    processors: [Option<TensorFile>; 2],
}

impl Statistics {
    fn open(folder: &Path) -> Result<Self, Error> {
        let tensors = |path: &Path| {
            let read = TensorFile::read(path).map_err(|error| Error::coded(ErrorKind::Input, error));
            read.map_err(|error| error.help("copy the policy's folder again"))
        };
        let processor = |name: &str, step: &str| -> Result<Option<TensorFile>, Error> {
            let path = folder.join(name);
            if !path.is_file() {
                return Ok(None);
            }
            let text = files::text(&path, files::SMALL).map_err(|error| Error::input(error).about(path.display()))?;
            let object = object(&path, &text)?;
            let steps = object.get("steps").and_then(Value::as_array);
            let of = |key: &str, entry: &Value| entry.get(key).and_then(Value::as_str).map(str::to_owned);
            let found = steps
                .into_iter()
                .flatten()
                .find(|entry| of("registry_name", entry).as_deref() == Some(step));
            let file = found.and_then(|entry| of("state_file", entry));
            // A name, and no way out of the folder.
            let file = file.filter(|file| !file.contains(['/', '\\']));
            file.map(|file| tensors(&folder.join(file))).transpose()
        };
        Ok(Self {
            weights: tensors(&folder.join("model.safetensors"))?,
            processors: [
                processor("policy_preprocessor.json", "normalizer_processor")?,
                processor("policy_postprocessor.json", "unnormalizer_processor")?,
            ],
        })
    }

    /// The statistic of a feature: whether a processor has it, and its numbers.
    fn of(&self, feature: &str, statistic: &str) -> Option<(bool, Vec<f64>)> {
        let [before, after] = &self.processors;
        let processor = if feature == ACTION { after } else { before };
        let plain = format!("{feature}.{statistic}");
        if let Some(file) = processor {
            return Some((true, file.floats(&plain).ok()?.data));
        }
        let buffer = feature.replace('.', "_");
        let places = ["normalize_inputs", "unnormalize_outputs"];
        let place = places[usize::from(feature == ACTION)];
        let key = format!("{place}.buffer_{buffer}.{statistic}");
        Some((false, self.weights.floats(&key).ok()?.data))
    }

    /// How a feature of this type and shape is scaled.
    fn scale(&self, config: &Config, feature: &str, kind: &str, shape: &Value) -> Result<Scale, Error> {
        let extents = shape.get("shape").unwrap_or(shape).as_array();
        let size = extents.and_then(|extents| match extents.as_slice() {
            [one] => one.as_u64().filter(|size| (1..=super::MOST).contains(size)),
            _ => None,
        });
        let size = size.ok_or_else(|| config.error(feature, "expected a shape of one extent"))? as usize;
        let mode = mode(config, feature, kind);
        let [low, high] = match mode.as_str() {
            "IDENTITY" => {
                return Ok(Scale {
                    low: vec![-1.0; size],
                    high: vec![1.0; size],
                    bounded: false,
                });
            }
            "MIN_MAX" => ["min", "max"],
            "MEAN_STD" => ["mean", "std"],
            "QUANTILES" => ["q01", "q99"],
            "QUANTILE10" => ["q10", "q90"],
            other => return Err(config.error("normalization_mapping", format_args!("`{other}` is not known"))),
        };
        let numbers = |statistic: &str| {
            let found = self.of(feature, statistic);
            let found = found.filter(|(_, numbers)| numbers.len() == size);
            found.ok_or_else(|| {
                let problem =
                    format!("{mode} of {feature} needs {size} numbers `{statistic}`, and no file here has them");
                config
                    .error("normalization_mapping", problem)
                    .help("save the policy with its statistics")
            })
        };
        let ((processor, low), (_, high)) = (numbers(low)?, numbers(high)?);
        let inputs = feature != ACTION;
        let pair = |(a, b): (f64, f64)| match mode.as_str() {
            "MEAN_STD" => {
                // Only the divisor of an input is kept from zero.
                let spread = if inputs { b + EPSILON } else { b };
                (a - spread, a + spread)
            }
            // The processors put it in place of a zero, those before them added it.
            _ if processor && a == b => (a, a + EPSILON),
            _ if processor || !inputs => (a, b),
            _ => (a, b + EPSILON),
        };
        let (low, high) = low.into_iter().zip(high).map(pair).unzip();
        Ok(Scale {
            low,
            high,
            bounded: mode == "MIN_MAX",
        })
    }
}

/// The mode of a feature: by its type, or by its name as older configurations have it.
fn mode(config: &Config, feature: &str, kind: &str) -> String {
    let own = |key: &str, name: &str| {
        let found = config.fields.get(key)?.get(name)?.as_str()?;
        Some(found.to_ascii_uppercase())
    };
    let usual = if kind == "ENV" { "IDENTITY" } else { "MIN_MAX" };
    own("normalization_mapping", kind)
        .or_else(|| own("input_normalization_modes", feature))
        .or_else(|| own("output_normalization_modes", feature))
        .unwrap_or_else(|| usual.to_owned())
}
