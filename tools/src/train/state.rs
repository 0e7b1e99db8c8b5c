//! A run's state in a file, so that it can be taken up again.

use super::checkpoint::tensor_file;
use super::curve::Curve;
use crate::files::{Form, hex, read_as, replace};
use mote_train::adam::Adam;
use mote_train::trainer::State;
use safetensors::SafeTensors;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// What is saved: state, curve, and what the run was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// Weights, moments, step.
    pub state: State,
    /// The loss so far.
    pub curve: Curve,
    /// The run's settings: a run is taken up by the same settings alone.
    pub settings: Value,
}

/// Steps that a run has at most.
pub const MOST_STEPS: u64 = 100_000_000;

/// Largest state that is read.
const MAX_BYTES: u64 = 8 << 30;
const TENSORS: [&str; 4] = ["params", "average", "adam.mean", "adam.square"];

impl Saved {
    /// Writes it to `path`, whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let s = &self.state;
        let tensors = [&s.params, &s.average, &s.adam.mean, &s.adam.square];
        let curve = serde_json::to_string(&self.curve).map_err(io::Error::other)?;
        let settings = self.settings.to_string();
        let metadata = HashMap::from([
            ("sha256".to_owned(), sum(s, &curve, &settings)),
            ("step".to_owned(), s.step.to_string()),
            ("curve".to_owned(), curve),
            ("settings".to_owned(), settings),
        ]);
        let tensors = TENSORS
            .iter()
            .zip(tensors)
            .map(|(key, data)| (*key, vec![data.len()], data.as_slice()));
        replace(path, &tensor_file(tensors, metadata)?)
    }

    /// Reads it; `None` where there is none. `len` is the number of parameters.
    pub fn read(path: &Path, len: usize) -> io::Result<Option<Self>> {
        let bytes = match read_as(path, MAX_BYTES, Form::SafeTensors) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        Self::parse(&bytes, len)
            .map(Some)
            .map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem))
    }

    fn parse(bytes: &[u8], len: usize) -> Result<Self, String> {
        let whole = |_| "it is damaged, or of another network".to_owned();
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(whole)?;
        let missing = |key: &str| format!("`{key}` is missing or malformed: it is damaged, or of another network");
        let fields = metadata.metadata().clone().unwrap_or_default();
        let field = |key: &str| fields.get(key).ok_or_else(|| missing(key));
        let file = SafeTensors::deserialize(bytes).map_err(whole)?;
        let tensor = |key: &str| -> Result<Vec<f32>, String> {
            let data = file.tensor(key).map_err(|_| missing(key))?;
            let values: Vec<f32> = data
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect();
            if values.len() != len {
                let found = values.len();
                return Err(format!(
                    "`{key}` holds {found} values, the network has {len}: it is of another network"
                ));
            }
            match values.iter().position(|v| !v.is_finite()) {
                Some(at) => Err(format!("`{key}` holds {} at {at}: it is damaged", values[at])),
                None => Ok(values),
            }
        };
        let saved = Self {
            state: State {
                step: field("step")?.parse().map_err(|_| missing("step"))?,
                params: tensor(TENSORS[0])?,
                average: tensor(TENSORS[1])?,
                adam: Adam {
                    mean: tensor(TENSORS[2])?,
                    square: tensor(TENSORS[3])?,
                },
            },
            curve: serde_json::from_str(field("curve")?).map_err(|_| missing("curve"))?,
            settings: serde_json::from_str(field("settings")?).map_err(|_| missing("settings"))?,
        };
        saved.check()?;
        // Earlier versions wrote none.
        let expected = fields.get("sha256");
        let found = sum(&saved.state, field("curve")?, field("settings")?);
        match expected.filter(|expected| **expected != found) {
            Some(_) => Err("its `sha256` is not that of what it holds: it was changed since it was written".into()),
            None => Ok(saved),
        }
    }

    /// Checks that the numbers belong to one run: a file may say anything.
    fn check(&self) -> Result<(), String> {
        let step = self.state.step;
        let steps = self.settings["steps"].as_u64().unwrap_or(0);
        if !(1..=MOST_STEPS).contains(&steps) {
            let found = &self.settings["steps"];
            return Err(format!(
                "`steps` of its settings is {found}, expected 1 to {MOST_STEPS}"
            ));
        }
        if step > steps {
            return Err(format!("`step` is {step}, but the run has {steps} steps"));
        }
        if let Some(at) = self.state.adam.square.iter().position(|v| *v < 0.0) {
            let found = self.state.adam.square[at];
            return Err(format!("`adam.square` holds {found} at {at}, and no square is below 0"));
        }
        let (sum, count) = self.curve.pending;
        if count > step || !sum.is_finite() {
            return Err(format!(
                "`pending` of its curve is the sum {sum} of {count} losses, after {step} steps"
            ));
        }
        let points = self.curve.train.iter().map(|(at, loss, rate)| (at, loss + rate));
        let mut points = points.chain(self.curve.held_out.iter().map(|(at, loss)| (at, *loss)));
        match points.find(|(at, loss)| **at > step || !loss.is_finite()) {
            Some((at, loss)) => Err(format!("its curve holds {loss} at step {at}, after {step} steps")),
            None => Ok(()),
        }
    }
}

/// What says that nothing of a state was changed: SHA-256 of step, tensors, curve and settings.
fn sum(state: &State, curve: &str, settings: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(state.step.to_le_bytes());
    for tensor in [&state.params, &state.average, &state.adam.mean, &state.adam.square] {
        digest.update(bytemuck::cast_slice::<f32, u8>(tensor));
    }
    digest.update(curve);
    digest.update(settings);
    hex(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        Saved {
            state: State {
                step: 3,
                params: vec![1.0, 2.0],
                average: vec![1.0, 2.0],
                adam: Adam {
                    mean: vec![0.0, 0.5],
                    square: vec![0.0, 0.25],
                },
            },
            curve: Curve {
                train: vec![(2, 0.5, 1e-3)],
                held_out: vec![(2, 0.75)],
                pending: (0.5, 1),
            },
            settings: serde_json::json!({ "steps": 10 }),
        }
    }

    /// Writes what `craft` makes of a state and reads it again.
    fn reread(craft: impl FnOnce(&mut Saved)) -> Result<Option<Saved>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        let mut crafted = saved();
        craft(&mut crafted);
        crafted.write(&path).unwrap();
        Saved::read(&path, 2).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_saved_is_read() {
        assert_eq!(reread(|_| ()), Ok(Some(saved())));
    }

    #[test]
    fn a_bit_that_was_changed_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        saved().write(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = Saved::read(&path, 2).unwrap_err().to_string();
        assert!(error.contains("`sha256`") && error.contains("changed since"), "{error}");
    }

    type Craft = fn(&mut Saved);

    #[test]
    fn a_crafted_state_is_refused_by_field_and_value() {
        let cases: [(Craft, &str); 9] = [
            (|s| s.state.step = 11, "`step` is 11, but the run has 10 steps"),
            (
                |s| s.settings["steps"] = 0.into(),
                "`steps` of its settings is 0, expected 1 to",
            ),
            (
                |s| s.settings["steps"] = u64::MAX.into(),
                "`steps` of its settings is 18446744073709551615",
            ),
            (
                |s| s.settings = serde_json::json!([]),
                "`steps` of its settings is null",
            ),
            (
                |s| s.curve.pending.1 = u64::MAX,
                "sum 0.5 of 18446744073709551615 losses, after 3 steps",
            ),
            (|s| s.curve.train[0].0 = 4, "at step 4, after 3 steps"),
            (|s| s.state.adam.square[1] = -0.25, "`adam.square` holds -0.25 at 1"),
            (|s| s.state.params[0] = f32::NAN, "`params` holds NaN at 0"),
            (
                |s| s.state.average = vec![1.0],
                "`average` holds 1 values, the network has 2",
            ),
        ];
        for (craft, words) in cases {
            let error = reread(craft).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
