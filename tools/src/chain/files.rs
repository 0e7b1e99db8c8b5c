//! A trained chain in a folder: `chain.json` says what it is, `chain.safetensors` holds its tensors.
//!
//! Both files are written whole, the facts last: a folder whose writing was stopped is no chain, or still the one before.

use crate::files::replace;
use mote_chain::heartbeat::Heartbeat;
use mote_chain::swiss_roll::{STEPS, SwissRoll, UNITS};
use mote_chain::transposed;
use mote_graph::graph::{GraphError, Param};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

/// File of facts.
pub use mote_import::CHAIN_FILE as FACTS;
/// File of tensors.
pub const TENSORS: &str = "chain.safetensors";
/// Most steps that a chain may have: timesteps of a model file have 16 bits.
const MOST_STEPS: usize = 1 << 16;

/// Most bytes of either file, far above any chain's.
const MOST_BYTES: u64 = 64 << 20;

/// A trained chain.
#[derive(Debug, Clone)]
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
            Self::SwissRoll(_) => STEPS,
        }
    }

    /// The file's tensors, matrices as `(in, out)`.
    fn tensors(&self) -> Vec<Tensor> {
        match self {
            Self::Heartbeat(h) => h
                .graph
                .params
                .iter()
                .map(|(key, param)| of_heartbeat(key, param))
                .collect(),
            Self::SwissRoll(s) => {
                let (outs, size) = (s.rbf.bias.len() / STEPS, s.rbf.centres.len() / UNITS);
                let tensor = |key: &str, shape: Vec<usize>, values: &[f64]| Tensor {
                    key: key.to_owned(),
                    shape,
                    values: Values::F64(values.to_vec()),
                };
                vec![
                    tensor("beta.logits", vec![STEPS - 1], &s.chain.logits),
                    tensor("rbf.centres", vec![UNITS, size], &s.rbf.centres),
                    tensor("rbf.log_width", vec![], &[s.rbf.log_width]),
                    tensor("readout.weight", vec![STEPS, UNITS, outs], &s.rbf.readout),
                    tensor("readout.bias", vec![STEPS, 1, outs], &s.rbf.bias),
                ]
            }
        }
    }

    /// Takes the values of tensors as [`Chain::tensors`] gives them.
    fn set(&mut self, tensors: &[Tensor]) {
        match self {
            Self::Heartbeat(h) => {
                for tensor in tensors {
                    if let (Some(param), Values::F32(values)) = (h.graph.params.get_mut(&tensor.key), &tensor.values) {
                        into_heartbeat(&tensor.shape, values, param);
                    }
                }
            }
            Self::SwissRoll(s) => {
                let each = tensors.iter().filter_map(|tensor| match &tensor.values {
                    Values::F64(values) => Some(values.as_slice()),
                    Values::F32(_) => None,
                });
                let all: Vec<f64> = each.flatten().copied().collect();
                let (logits, rbf) = all.split_at(s.chain.logits.len());
                s.chain.logits.copy_from_slice(logits);
                s.rbf.set(rbf);
            }
        }
    }

    /// The tensors' file.
    fn tensor_file(&self) -> Result<Vec<u8>, SafeTensorError> {
        let tensors = self.tensors();
        let bytes: Vec<Vec<u8>> = tensors.iter().map(|tensor| tensor.values.bytes()).collect();
        let mut views = Vec::with_capacity(tensors.len());
        for (tensor, bytes) in tensors.iter().zip(&bytes) {
            let view = TensorView::new(tensor.values.dtype(), tensor.shape.clone(), bytes)?;
            views.push((tensor.key.as_str(), view));
        }
        safetensors::serialize(views, None)
    }

    /// Writes both files into `folder`, which is there.
    pub fn write(&self, folder: &Path, training: Value) -> Result<(), ChainFileError> {
        let path = folder.join(TENSORS);
        let written =
            |path: PathBuf, bytes: &[u8]| replace(&path, bytes).map_err(|source| ChainFileError::File { path, source });
        let tensors = self.tensor_file().map_err(|error| ChainFileError::Tensors {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        written(path, &tensors)?;
        let facts = Facts {
            preset: self.preset().to_owned(),
            steps: self.steps(),
            training,
        };
        let text = serde_json::to_string_pretty(&facts).unwrap_or_default() + "\n";
        written(folder.join(FACTS), text.as_bytes())
    }

    /// Reads a folder. Every tensor is there, of its shape and finite, and there is no other.
    pub fn read(folder: &Path) -> Result<(Self, Facts), ChainFileError> {
        let path = folder.join(FACTS);
        let text = bounded(&path)?;
        let wrong = |problem: String| ChainFileError::Facts {
            path: path.clone(),
            problem,
        };
        let facts: Facts = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if !(3..=MOST_STEPS).contains(&facts.steps) {
            return Err(wrong(format!("'steps' is {}, not 3 to {MOST_STEPS}", facts.steps)));
        }
        let unfit = |error: GraphError| wrong(error.to_string());
        let mut chain = match facts.preset.as_str() {
            "heartbeat" => Self::Heartbeat(Heartbeat::new(facts.steps, 0).map_err(unfit)?),
            "swiss-roll" if facts.steps == STEPS => Self::SwissRoll(SwissRoll::new(0)),
            "swiss-roll" => return Err(wrong(format!("'steps' is {}, not {STEPS}", facts.steps))),
            other => return Err(wrong(format!("'preset' is '{other}', not heartbeat or swiss-roll"))),
        };
        chain.load(&folder.join(TENSORS))?;
        Ok((chain, facts))
    }

    fn load(&mut self, path: &Path) -> Result<(), ChainFileError> {
        let wrong = |problem: String| ChainFileError::Tensors {
            path: path.to_owned(),
            problem,
        };
        let bytes = bounded(path)?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
        let mut tensors = self.tensors();
        for tensor in &mut tensors {
            let (key, shape, dtype) = (&tensor.key, &tensor.shape, tensor.values.dtype());
            let found = file.tensor(key).map_err(|_| wrong(format!("'{key}' is missing")))?;
            if (found.shape(), found.dtype()) != (shape.as_slice(), dtype) {
                let (found, of) = (found.shape(), found.dtype());
                return Err(wrong(format!("'{key}' is {of:?} {found:?}, not {dtype:?} {shape:?}")));
            }
            tensor.values.read(found.data());
            if !tensor.values.are_finite() {
                return Err(wrong(format!("'{key}' has a value that is not finite")));
            }
        }
        let mut others = file.names();
        others.retain(|name| !tensors.iter().any(|tensor| tensor.key == *name));
        if let Some(key) = others.iter().min() {
            return Err(wrong(format!("'{key}' is no tensor of this chain")));
        }
        self.set(&tensors);
        Ok(())
    }

    /// Whether every trained value is a number.
    pub fn is_finite(&self) -> bool {
        self.tensors().iter().all(|tensor| tensor.values.are_finite())
    }

    /// Number of trained values.
    pub fn params(&self) -> usize {
        let len = |tensor: &Tensor| tensor.shape.iter().product::<usize>();
        self.tensors().iter().map(len).sum()
    }
}

/// A tensor as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
struct Tensor {
    key: String,
    shape: Vec<usize>,
    values: Values,
}

/// How keys of readouts begin.
const READOUT: &str = "readout.";

/// A tensor of the heartbeat's graph as it stands in the file: matrices `(in, out)`, readouts without the first group's, which is 0.
fn of_heartbeat(key: &str, param: &Param) -> Tensor {
    let (shape, values) = match param.shape[..] {
        [groups, outs] if key.starts_with(READOUT) => (vec![groups - 1, 1, outs], param.data[outs..].to_vec()),
        [outs, ins] => (vec![ins, outs], transposed(&param.data, [outs, ins])),
        [groups, outs, ins] => {
            let learned = &param.data[outs * ins..];
            (vec![groups - 1, ins, outs], transposed(learned, [outs, ins]))
        }
        _ => (param.shape.clone(), param.data.clone()),
    };
    Tensor {
        key: key.to_owned(),
        shape,
        values: Values::F32(values),
    }
}

/// The same backwards, into the graph. What is not in the file stands first there, and stays.
fn into_heartbeat(shape: &[usize], values: &[f32], param: &mut Param) {
    match *shape {
        [ins, outs] => param.data = transposed(values, [ins, outs]),
        [_, 1, outs] => param.data[outs..].copy_from_slice(values),
        [_, ins, outs] => param.data[ins * outs..].copy_from_slice(&transposed(values, [ins, outs])),
        _ => param.data.copy_from_slice(values),
    }
}

/// Numbers of a tensor.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Values {
    fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
        }
    }

    /// Little endian.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    fn are_finite(&self) -> bool {
        match self {
            Self::F32(values) => values.iter().all(|v| v.is_finite()),
            Self::F64(values) => values.iter().all(|v| v.is_finite()),
        }
    }

    /// Takes as many numbers from little-endian bytes.
    fn read(&mut self, bytes: &[u8]) {
        match self {
            Self::F32(values) => {
                let from = bytes.as_chunks().0.iter();
                values
                    .iter_mut()
                    .zip(from)
                    .for_each(|(v, b)| *v = f32::from_le_bytes(*b));
            }
            Self::F64(values) => {
                let from = bytes.as_chunks().0.iter();
                values
                    .iter_mut()
                    .zip(from)
                    .for_each(|(v, b)| *v = f64::from_le_bytes(*b));
            }
        }
    }
}

/// A whole file, which must be one and not too long.
fn bounded(path: &Path) -> Result<Vec<u8>, ChainFileError> {
    let failed = |source| ChainFileError::File {
        path: path.to_owned(),
        source,
    };
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is not a regular file")));
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        let problem = format!("it has more than {MOST_BYTES} bytes, which no chain has");
        return Err(failed(std::io::Error::other(problem)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_read_as_it_was_written() {
        let place = tempfile::tempdir().unwrap();
        for chain in [
            Chain::Heartbeat(Heartbeat::new(60, 3).unwrap()),
            Chain::SwissRoll(SwissRoll::new(3)),
        ] {
            chain.write(place.path(), Value::Null).unwrap();
            let (read, facts) = Chain::read(place.path()).unwrap();
            assert_eq!((facts.preset.as_str(), facts.steps), (chain.preset(), chain.steps()));
            assert_eq!(read.tensors(), chain.tensors());
            assert!(read.is_finite() && read.params() > 1000);
        }
        let mut names: Vec<_> = std::fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, [FACTS, TENSORS]);
    }

    /// The tensors of one chain under the facts of another, as a stop between the two files could leave them.
    #[test]
    fn what_does_not_belong_together_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let roll = Chain::SwissRoll(SwissRoll::new(0));
        roll.write(place.path(), Value::Null).unwrap();
        let facts = std::fs::read(place.path().join(FACTS)).unwrap();
        Chain::Heartbeat(Heartbeat::new(60, 0).unwrap())
            .write(place.path(), Value::Null)
            .unwrap();
        std::fs::write(place.path().join(FACTS), facts).unwrap();
        let refused = Chain::read(place.path()).unwrap_err().to_string();
        assert!(
            refused.contains(TENSORS) && refused.contains("'beta.logits' is missing"),
            "{refused}"
        );
    }
}
