//! Reference tensors by key, widened to f64.

use super::CrosscheckError;
use crate::files::{Form, read_as};
use crate::import::SampleLayout;
use mote_import::widen;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// Largest file that is read.
const MAX_BYTES: u64 = 4 << 30;

/// One reference tensor.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f64>,
}

/// All references of a checkpoint.
#[derive(Debug)]
pub(super) struct Vectors {
    pub(super) path: String,
    pub(super) tensors: BTreeMap<String, Reference>,
    /// Index into `fwd.*` of the pass whose blocks are in `layer.*`.
    pub(super) layer_pair: Option<usize>,
    /// Whether the runs were made without clipping, whatever the scheduler says.
    pub(super) unclipped: bool,
    /// The product of alphas behind the last step, where the file says it.
    pub(super) final_alpha: Option<f64>,
    /// Keys whose element type is not known here.
    pub(super) unread: Vec<String>,
}

impl Vectors {
    /// Reads `path`, and `vectors_extra.safetensors` beside it when there is one.
    pub(super) fn read(path: &Path) -> Result<Self, CrosscheckError> {
        let mut vectors = Self {
            path: path.display().to_string(),
            tensors: BTreeMap::new(),
            layer_pair: None,
            unclipped: false,
            final_alpha: None,
            unread: Vec::new(),
        };
        vectors.add(path)?;
        let extra = path.with_file_name("vectors_extra.safetensors");
        if extra != path && extra.is_file() {
            vectors.add(&extra)?;
        }
        Ok(vectors)
    }

    /// Turns samples that have the axes of the network's own code into `(channel, row, col)`.
    pub(super) fn turn(&mut self, layout: &SampleLayout, shape: [usize; 3]) {
        let own = layout.own(shape);
        if *layout == SampleLayout::plain() {
            return;
        }
        for (key, tensor) in &mut self.tensors {
            let samples =
                key.starts_with("noise") || key.starts_with("fwd.") || key.contains(".x0") || key.contains(".traj_");
            let Some(before) = tensor.shape.len().checked_sub(own.len()).filter(|_| samples) else {
                continue;
            };
            if before == 0 || tensor.shape[before..] != own {
                continue;
            }
            tensor.data = layout.to_graph(&tensor.data, shape);
            tensor.shape.truncate(before);
            tensor.shape.extend(shape);
        }
    }

    /// Whether there is a tensor of that name.
    pub(super) fn has(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// The tensor `needs`, for the sake of comparing `key`.
    pub(super) fn need(&self, key: &str, needs: &str) -> Result<&Reference, CrosscheckError> {
        self.tensors.get(needs).ok_or_else(|| self.missing(key, needs))
    }

    /// The error that says so.
    pub(super) fn missing(&self, key: &str, needs: &str) -> CrosscheckError {
        CrosscheckError::Missing {
            path: self.path.clone(),
            key: key.to_string(),
            needs: needs.to_string(),
        }
    }

    /// Whole numbers below `limit` from the tensor `needs`.
    pub(super) fn indices(&self, key: &str, needs: &str, limit: usize) -> Result<Vec<usize>, CrosscheckError> {
        let reference = self.need(key, needs)?;
        let bad = reference
            .data
            .iter()
            .find(|v| v.fract() != 0.0 || !(0.0..limit as f64).contains(*v));
        match bad {
            None => Ok(reference.data.iter().map(|v| *v as usize).collect()),
            Some(&value) => Err(CrosscheckError::Value {
                path: self.path.clone(),
                key: needs.to_string(),
                value,
                expected: format!("a whole number below {limit}"),
            }),
        }
    }

    /// A tensor of timesteps, which may lie between two.
    pub(super) fn times(&self, key: &str, needs: &str, signed: bool) -> Result<Vec<f64>, CrosscheckError> {
        let reference = self.need(key, needs)?;
        match reference
            .data
            .iter()
            .find(|t| !(t.is_finite() && (signed || **t >= 0.0)))
        {
            None => Ok(reference.data.clone()),
            Some(&value) => Err(CrosscheckError::Value {
                path: self.path.clone(),
                key: needs.to_string(),
                value,
                expected: if signed { "a number" } else { "a number, 0 or above" }.to_string(),
            }),
        }
    }

    /// An error about the shape of `key`.
    pub(super) fn shape(&self, key: &str, expected: impl Into<String>) -> CrosscheckError {
        let found = self
            .tensors
            .get(key)
            .map_or_else(Vec::new, |reference| reference.shape.clone());
        CrosscheckError::Shape {
            path: self.path.clone(),
            key: key.to_string(),
            expected: expected.into(),
            found,
        }
    }

    fn add(&mut self, path: &Path) -> Result<(), CrosscheckError> {
        let shown = path.display().to_string();
        let bytes = read_as(path, MAX_BYTES, Form::SafeTensors).map_err(|source| match source.kind() {
            ErrorKind::InvalidData => CrosscheckError::Container {
                path: shown.clone(),
                problem: source.to_string(),
            },
            _ => CrosscheckError::Read {
                path: shown.clone(),
                source,
            },
        })?;
        let container = |error: safetensors::SafeTensorError| CrosscheckError::Container {
            path: shown.clone(),
            problem: error.to_string(),
        };
        let file = SafeTensors::deserialize(&bytes).map_err(container)?;
        for (key, view) in file.tensors() {
            match widen(view.dtype(), view.data()) {
                Some(data) => {
                    self.tensors.insert(
                        key,
                        Reference {
                            shape: view.shape().to_vec(),
                            data,
                        },
                    );
                }
                None => self.unread.push(key),
            }
        }
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(container)?;
        let json = metadata.metadata().as_ref().and_then(|map| map.get("meta_json"));
        let meta: Option<serde_json::Value> = json.and_then(|text| serde_json::from_str(text).ok());
        let meta = meta.unwrap_or_default();
        self.unclipped |= meta.get("clipping").and_then(|clipping| clipping.as_str()) == Some("off");
        self.final_alpha = self
            .final_alpha
            .or(meta.get("final_alpha").and_then(serde_json::Value::as_f64));
        let pair = meta.get("layer_pair_index").and_then(serde_json::Value::as_u64);
        self.layer_pair = self.layer_pair.or(pair.and_then(|pair| usize::try_from(pair).ok()));
        Ok(())
    }
}
