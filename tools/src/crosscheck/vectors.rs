//! Reference tensors by key, widened to f64.

use super::CrosscheckError;
use crate::tensors::widen;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;

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
            unread: Vec::new(),
        };
        vectors.add(path)?;
        let extra = path.with_file_name("vectors_extra.safetensors");
        if extra != path && extra.is_file() {
            vectors.add(&extra)?;
        }
        Ok(vectors)
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
    pub(super) fn times(&self, key: &str, needs: &str) -> Result<Vec<f64>, CrosscheckError> {
        let reference = self.need(key, needs)?;
        match reference.data.iter().find(|t| !(t.is_finite() && **t >= 0.0)) {
            None => Ok(reference.data.clone()),
            Some(&value) => Err(CrosscheckError::Value {
                path: self.path.clone(),
                key: needs.to_string(),
                value,
                expected: "a number, 0 or above".to_string(),
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
        let bytes = std::fs::read(path).map_err(|source| CrosscheckError::Read {
            path: shown.clone(),
            source,
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
        let pair = meta.and_then(|meta| meta.get("layer_pair_index")?.as_u64());
        self.layer_pair = self.layer_pair.or(pair.and_then(|pair| usize::try_from(pair).ok()));
        Ok(())
    }
}
