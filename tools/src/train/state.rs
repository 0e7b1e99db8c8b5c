//! A run's state in a file, so that it can be taken up again.

use super::checkpoint::tensor_file;
use super::curve::Curve;
use crate::files::replace;
use mote_host::train::adam::Adam;
use mote_host::train::trainer::State;
use safetensors::SafeTensors;
use serde_json::Value;
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

const TENSORS: [&str; 4] = ["params", "average", "adam.mean", "adam.square"];

impl Saved {
    /// Writes it to `path`, whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let s = &self.state;
        let tensors = [&s.params, &s.average, &s.adam.mean, &s.adam.square];
        let metadata = HashMap::from([
            ("step".to_owned(), s.step.to_string()),
            (
                "curve".to_owned(),
                serde_json::to_string(&self.curve).map_err(io::Error::other)?,
            ),
            ("settings".to_owned(), self.settings.to_string()),
        ]);
        let tensors = TENSORS
            .iter()
            .zip(tensors)
            .map(|(key, data)| (*key, vec![data.len()], data.as_slice()));
        replace(path, &tensor_file(tensors, metadata)?)
    }

    /// Reads it; `None` where there is none. `len` is the number of parameters.
    pub fn read(path: &Path, len: usize) -> io::Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        Self::parse(&bytes, len)
            .map(Some)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is damaged, or of another network"))
    }

    fn parse(bytes: &[u8], len: usize) -> Option<Self> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
        let metadata = metadata.metadata().as_ref()?;
        let file = SafeTensors::deserialize(bytes).ok()?;
        let tensor = |key: &str| {
            let data = file.tensor(key).ok()?.data();
            let values: Vec<f32> = data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            (values.len() == len && values.iter().all(|v| v.is_finite())).then_some(values)
        };
        let [params, average, mean, square] = TENSORS.map(tensor);
        Some(Self {
            state: State {
                step: metadata.get("step")?.parse().ok()?,
                params: params?,
                average: average?,
                adam: Adam {
                    mean: mean?,
                    square: square?,
                },
            },
            curve: serde_json::from_str(metadata.get("curve")?).ok()?,
            settings: serde_json::from_str(metadata.get("settings")?).ok()?,
        })
    }
}
