//! The weights: each tensor is taken once, checked, and turned into f32. Or no file: first weights, to be trained.

use super::ImportError;
use half::{bf16, f16};
use mote_graph::config::printable;
use mote_graph::graph::Param;
use mote_train::random::{Purpose, normal, uniform};
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, BTreeSet};

/// A weights file: its path, for errors, and its bytes.
pub(super) type WeightFile<'a> = (&'a str, &'a [u8]);

/// The tensors of one safetensors file or of several shards, and which of them have been used.
pub(super) struct Weights<'a> {
    path: String,
    source: Source<'a>,
    left: BTreeSet<String>,
}

/// Where tensors come from.
enum Source<'a> {
    Files {
        files: Vec<(String, SafeTensors<'a>)>,
        /// In which file each tensor is.
        places: BTreeMap<String, usize>,
    },
    Fresh(Fresh),
}

/// First weights, drawn as PyTorch's layers draw theirs.
struct Fresh {
    seed: u64,
    /// Tensors made.
    made: u64,
    /// Inputs of the layer whose weight was made last: its bias comes next.
    inputs: usize,
}

impl<'a> Weights<'a> {
    /// Parses the containers.
    pub(super) fn parse(files: &[WeightFile<'a>]) -> Result<Self, ImportError> {
        let mut parsed: Vec<(String, SafeTensors<'a>)> = Vec::with_capacity(files.len());
        let mut places = BTreeMap::new();
        for (index, (path, bytes)) in files.iter().enumerate() {
            let tensors = SafeTensors::deserialize(bytes).map_err(|error| ImportError::Container {
                path: (*path).to_string(),
                problem: printable(&error.to_string()),
            })?;
            for key in tensors.names() {
                if let Some(other) = places.insert(key.to_string(), index) {
                    return Err(ImportError::Twice {
                        path: (*path).to_string(),
                        other: files[other].0.to_string(),
                        key: printable(key),
                    });
                }
            }
            parsed.push(((*path).to_string(), tensors));
        }
        Ok(Self {
            path: files.first().map(|(path, _)| (*path).to_string()).unwrap_or_default(),
            left: places.keys().cloned().collect(),
            source: Source::Files { files: parsed, places },
        })
    }

    /// First weights of a network that is to be trained.
    pub(super) fn fresh(seed: u64) -> Self {
        Self {
            path: String::new(),
            source: Source::Fresh(Fresh {
                seed,
                made: 0,
                inputs: 1,
            }),
            left: BTreeSet::new(),
        }
    }

    /// Takes tensor `key` of exactly `shape`.
    pub(super) fn take(&mut self, key: &str, shape: &[usize]) -> Result<Param, ImportError> {
        self.take_as(key, key, shape)
    }

    /// Takes tensor `key`, or `legacy` where the file is from before the renaming. Legacy attention weights are 1x1
    /// convolutions in some files: trailing extents of 1 are dropped.
    pub(super) fn take_renamed(&mut self, key: &str, legacy: &str, shape: &[usize]) -> Result<Param, ImportError> {
        match (self.left.contains(key), self.left.contains(legacy)) {
            (true, true) => Err(ImportError::TwoNames {
                path: self.path.clone(),
                key: key.to_string(),
                legacy: legacy.to_string(),
            }),
            (false, true) => self.take_as(legacy, key, shape),
            _ => self.take_as(key, key, shape),
        }
    }

    /// Leaves out the tensors whose names begin so: those of a part that is not read.
    pub(super) fn leave(&mut self, prefix: &str) {
        self.left.retain(|key| !key.starts_with(prefix));
    }

    /// Whether a tensor of this name is there that nothing has taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.left.contains(key)
    }

    /// Refuses tensors that nothing has taken.
    pub(super) fn finish(self) -> Result<(), ImportError> {
        match self.left.first() {
            None => Ok(()),
            Some(key) => Err(ImportError::ExtraTensor {
                path: self.path.clone(),
                count: self.left.len(),
                key: printable(key),
            }),
        }
    }

    fn take_as(&mut self, found: &str, key: &str, shape: &[usize]) -> Result<Param, ImportError> {
        if let Source::Fresh(fresh) = &mut self.source {
            return Ok(fresh.tensor(key, shape));
        }
        if !self.left.remove(found) {
            return Err(ImportError::MissingTensor {
                path: self.path.clone(),
                key: key.to_string(),
                expected: shape.to_vec(),
                advice: absent(found, &self.left),
            });
        }
        let Source::Files { files, places } = &self.source else {
            return Err(self.container("it holds nothing".to_owned()));
        };
        let file = places.get(found).and_then(|place| files.get(*place));
        let (_, tensors) = file.ok_or_else(|| self.container("it holds nothing".to_owned()))?;
        let view = tensors
            .tensor(found)
            .map_err(|error| self.container(error.to_string()))?;
        let mut extents = view.shape();
        while extents.len() > shape.len() && extents.last() == Some(&1) {
            extents = &extents[..extents.len() - 1];
        }
        if extents != shape {
            return Err(ImportError::TensorShape {
                path: self.path.clone(),
                key: found.to_string(),
                expected: shape.to_vec(),
                found: view.shape().to_vec(),
            });
        }
        let data = self.floats(found, view.dtype(), view.data())?;
        if data.len() != shape.iter().product::<usize>() {
            return Err(self.container(format!("tensor `{found}` is cut short")));
        }
        Ok(Param {
            shape: shape.to_vec(),
            data,
        })
    }

    fn floats(&self, key: &str, dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, ImportError> {
        let wide: Vec<f64> = match dtype {
            Dtype::F32 => numbers(bytes, |b: [u8; 4]| f64::from(f32::from_le_bytes(b))),
            Dtype::F16 => numbers(bytes, |b: [u8; 2]| f16::from_le_bytes(b).to_f64()),
            Dtype::BF16 => numbers(bytes, |b: [u8; 2]| bf16::from_le_bytes(b).to_f64()),
            Dtype::F64 => numbers(bytes, f64::from_le_bytes),
            other => {
                return Err(ImportError::TensorType {
                    path: self.path.clone(),
                    key: key.to_string(),
                    found: format!("{other:?}"),
                });
            }
        };
        match wide.iter().position(|value| !(*value as f32).is_finite()) {
            Some(index) => Err(ImportError::NotFinite {
                path: self.path.clone(),
                key: key.to_string(),
                index,
                value: wide[index],
            }),
            None => Ok(wide.into_iter().map(|value| value as f32).collect()),
        }
    }

    fn container(&self, problem: String) -> ImportError {
        ImportError::Container {
            path: self.path.clone(),
            problem,
        }
    }
}

/// What it means that tensor `key` is not among `names`: where they begin with what a wrapper put before them, that.
pub(super) fn absent<'a>(key: &str, names: impl IntoIterator<Item = &'a String>) -> String {
    let before = |name: &'a String| name.strip_suffix(key).filter(|prefix| prefix.ends_with('.'));
    match names.into_iter().find_map(before).map(printable) {
        None => "so the two files are not of one model".to_owned(),
        Some(prefix) => format!(
            "and the file has `{prefix}{key}`: a wrapper put `{prefix}` before the names of its network; save the network itself \
             with save_pretrained, or take that off the names"
        ),
    }
}

impl Fresh {
    /// Normalizations start as the identity, tables as normal numbers, all else uniform within `1 / sqrt(inputs)`.
    fn tensor(&mut self, key: &str, shape: &[usize]) -> Param {
        self.made += 1;
        let len: usize = shape.iter().product();
        let norm = key.rsplit('.').nth(1).is_some_and(|layer| layer.contains("norm"));
        let data = if norm {
            vec![if key.ends_with("weight") { 1.0 } else { 0.0 }; len]
        } else if key.starts_with("class_embedding") {
            let mut data = vec![0.0; len];
            normal(self.seed, Purpose::Weights, self.made, 0, &mut data);
            data
        } else {
            if shape.len() > 1 {
                self.inputs = shape[1..].iter().product();
            }
            let bound = 1.0 / (self.inputs.max(1) as f32).sqrt();
            let draw = |i: usize| uniform(self.seed, Purpose::Weights, self.made, i as u32);
            (0..len).map(|i| bound * (2.0 * draw(i) - 1.0)).collect()
        };
        Param {
            shape: shape.to_vec(),
            data,
        }
    }
}

fn numbers<const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes
        .chunks_exact(N)
        .map(|chunk| {
            let mut word = [0; N];
            word.copy_from_slice(chunk);
            decode(word)
        })
        .collect()
}
