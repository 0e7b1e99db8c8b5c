//! A trained chain in a folder: `chain.json` says what it is, `chain.safetensors` holds its tensors.

use candle_core::{Device, Tensor, Var};
use mote_host::chain::heartbeat::Heartbeat;
use mote_host::chain::swiss_roll::{self, SwissRoll};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// File of facts.
pub const FACTS: &str = "chain.json";
/// File of tensors.
pub const TENSORS: &str = "chain.safetensors";
/// Most steps that a chain may have: timesteps of a model file have 16 bits.
const MOST_STEPS: usize = 1 << 16;

/// A trained chain.
#[derive(Debug)]
pub enum Chain {
    /// The binomial chain.
    Heartbeat(Heartbeat),
    /// The Gaussian chain.
    SwissRoll(SwissRoll),
}

/// What `chain.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Which chain: `heartbeat` or `swiss-roll`.
    pub preset: String,
    /// T.
    pub steps: usize,
    /// How it was trained; for people.
    #[serde(default)]
    pub training: Value,
}

/// Why a chain's folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ChainFileError {
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Facts that are not such.
    #[error("{path}: {problem}")]
    Facts {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Tensors that are not those of the chain.
    #[error("{path}: {problem}")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Whether a folder holds a chain.
pub fn is_chain(folder: &Path) -> bool {
    folder.join(FACTS).is_file()
}

impl Chain {
    /// The preset's name.
    pub fn preset(&self) -> &'static str {
        match self {
            Self::Heartbeat(_) => "heartbeat",
            Self::SwissRoll(_) => "swiss-roll",
        }
    }

    /// T.
    pub fn steps(&self) -> usize {
        match self {
            Self::Heartbeat(h) => h.chain.steps(),
            Self::SwissRoll(_) => swiss_roll::STEPS,
        }
    }

    /// Every variable under its key.
    fn vars(&self) -> Vec<(String, Var)> {
        match self {
            Self::Heartbeat(h) => {
                let hidden = h.mlp.hidden.iter().enumerate().flat_map(|(i, (weight, bias))| {
                    [
                        (format!("hidden.{i}.weight"), weight.clone()),
                        (format!("hidden.{i}.bias"), bias.clone()),
                    ]
                });
                let readout = [
                    ("readout.weight".to_owned(), h.mlp.readout.clone()),
                    ("readout.bias".to_owned(), h.mlp.bias.clone()),
                ];
                hidden.chain(readout).collect()
            }
            Self::SwissRoll(s) => vec![
                ("beta.logits".to_owned(), s.chain.logits.clone()),
                ("rbf.centres".to_owned(), s.rbf.centres.clone()),
                ("rbf.log_width".to_owned(), s.rbf.log_width.clone()),
                ("readout.weight".to_owned(), s.rbf.readout.clone()),
                ("readout.bias".to_owned(), s.rbf.bias.clone()),
            ],
        }
    }

    /// Writes both files into `folder`, which is there.
    pub fn write(&self, folder: &Path, training: Value) -> Result<(), ChainFileError> {
        let facts = Facts {
            preset: self.preset().to_owned(),
            steps: self.steps(),
            training,
        };
        let path = folder.join(FACTS);
        let text = serde_json::to_string_pretty(&facts).unwrap_or_default() + "\n";
        std::fs::write(&path, text).map_err(|source| ChainFileError::File { path, source })?;
        let path = folder.join(TENSORS);
        let tensors: HashMap<String, Tensor> = self
            .vars()
            .into_iter()
            .map(|(k, v)| (k, v.as_tensor().clone()))
            .collect();
        candle_core::safetensors::save(&tensors, &path).map_err(|error| ChainFileError::Tensors {
            path,
            problem: error.to_string(),
        })
    }

    /// Reads a folder. Every tensor is there, of its shape and finite, and there is no other.
    pub fn read(folder: &Path) -> Result<(Self, Facts), ChainFileError> {
        let path = folder.join(FACTS);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(ChainFileError::File { path, source }),
        };
        let wrong = |problem: String| ChainFileError::Facts {
            path: path.clone(),
            problem,
        };
        let facts: Facts = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if !(3..=MOST_STEPS).contains(&facts.steps) {
            return Err(wrong(format!("'steps' is {}, not 3 to {MOST_STEPS}", facts.steps)));
        }
        let chain = match facts.preset.as_str() {
            "heartbeat" => Heartbeat::new(facts.steps, 0).map(Self::Heartbeat),
            "swiss-roll" if facts.steps == swiss_roll::STEPS => SwissRoll::new(0).map(Self::SwissRoll),
            "swiss-roll" => return Err(wrong(format!("'steps' is {}, not {}", facts.steps, swiss_roll::STEPS))),
            other => return Err(wrong(format!("'preset' is '{other}', not heartbeat or swiss-roll"))),
        };
        let chain = chain.map_err(|error| wrong(error.to_string()))?;
        chain.load(&folder.join(TENSORS))?;
        Ok((chain, facts))
    }

    fn load(&self, path: &Path) -> Result<(), ChainFileError> {
        let wrong = |problem: String| ChainFileError::Tensors {
            path: path.to_owned(),
            problem,
        };
        let mut tensors =
            candle_core::safetensors::load(path, &Device::Cpu).map_err(|error| wrong(error.to_string()))?;
        for (key, var) in self.vars() {
            let tensor = tensors
                .remove(&key)
                .ok_or_else(|| wrong(format!("'{key}' is missing")))?;
            if (tensor.dims(), tensor.dtype()) != (var.dims(), var.dtype()) {
                let (found, expected) = (tensor.shape(), var.shape());
                return Err(wrong(format!(
                    "'{key}' is {:?} {found:?}, not {:?} {expected:?}",
                    tensor.dtype(),
                    var.dtype()
                )));
            }
            let sum = tensor
                .abs()
                .and_then(|t| t.sum_all())
                .and_then(|t| t.to_dtype(candle_core::DType::F64));
            if !sum.and_then(|t| t.to_scalar::<f64>()).is_ok_and(f64::is_finite) {
                return Err(wrong(format!("'{key}' has a value that is not finite")));
            }
            var.set(&tensor).map_err(|error| wrong(error.to_string()))?;
        }
        match tensors.keys().min() {
            Some(key) => Err(wrong(format!("'{key}' is no tensor of this chain"))),
            None => Ok(()),
        }
    }

    /// Number of trained values.
    pub fn params(&self) -> usize {
        self.vars().iter().map(|(_, var)| var.elem_count()).sum()
    }
}
