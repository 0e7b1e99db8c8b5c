//! A trained chain in a folder: `chain.json` says what it is, `chain.safetensors` holds its tensors.
//!
//! Both files are written whole, the facts last: a folder whose writing was stopped is no chain, or still the one before.

use crate::files::replace;
use mote_host::chain::heartbeat::Heartbeat;
use mote_host::chain::network::Layer;
use mote_host::chain::swiss_roll::{STEPS, SwissRoll, UNITS};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

/// File of facts.
pub const FACTS: &str = "chain.json";
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

    /// Key and shape of every tensor, in the order of [`Chain::values`].
    fn layout(&self) -> Vec<(String, Vec<usize>)> {
        let layer = |name: &str, weight: Vec<usize>, bias: Vec<usize>| {
            [(format!("{name}.weight"), weight), (format!("{name}.bias"), bias)]
        };
        match self {
            Self::Heartbeat(h) => {
                let linear = h.network.layers.iter().filter_map(|layer| match *layer {
                    Layer::Linear { groups, ins, outs } => Some([groups, ins, outs]),
                    Layer::Silu | Layer::Softmax => None,
                });
                let linear: Vec<[usize; 3]> = linear.collect();
                let last = linear.len() - 1;
                let each = linear.into_iter().enumerate().flat_map(|(i, [groups, ins, outs])| {
                    if i == last {
                        layer("readout", vec![groups, ins, outs], vec![groups, 1, outs])
                    } else {
                        layer(&format!("hidden.{i}"), vec![ins, outs], vec![outs])
                    }
                });
                each.collect()
            }
            Self::SwissRoll(s) => {
                let (steps, units, outs) = (STEPS, UNITS, s.rbf.bias.len() / STEPS);
                let own = [
                    ("beta.logits".to_owned(), vec![steps - 1]),
                    ("rbf.centres".to_owned(), vec![units, s.rbf.centres.len() / units]),
                    ("rbf.log_width".to_owned(), vec![]),
                ];
                let readout = layer("readout", vec![steps, units, outs], vec![steps, 1, outs]);
                own.into_iter().chain(readout).collect()
            }
        }
    }

    /// Every trained value, tensor after tensor.
    fn values(&self) -> Values {
        match self {
            Self::Heartbeat(h) => Values::F32(h.network.params.clone()),
            Self::SwissRoll(s) => Values::F64([s.chain.logits.clone(), s.rbf.flat()].concat()),
        }
    }

    /// Takes values as [`Chain::values`] gives them.
    fn set(&mut self, values: &Values) {
        match (self, values) {
            (Self::Heartbeat(h), Values::F32(values)) => h.network.params.copy_from_slice(values),
            (Self::SwissRoll(s), Values::F64(values)) => {
                let (logits, rbf) = values.split_at(s.chain.logits.len());
                s.chain.logits.copy_from_slice(logits);
                s.rbf.set(rbf);
            }
            (Self::Heartbeat(_), Values::F64(_)) | (Self::SwissRoll(_), Values::F32(_)) => {}
        }
    }

    /// The tensors' file.
    fn tensors(&self) -> Result<Vec<u8>, String> {
        let (values, layout) = (self.values(), self.layout());
        let bytes = values.bytes();
        let mut rest = bytes.as_slice();
        let mut views = Vec::with_capacity(layout.len());
        for (key, shape) in layout {
            let data;
            (data, rest) = rest.split_at(shape.iter().product::<usize>() * values.size());
            let view = TensorView::new(values.dtype(), shape, data).map_err(|error| error.to_string())?;
            views.push((key, view));
        }
        safetensors::serialize(views, None).map_err(|error| error.to_string())
    }

    /// Writes both files into `folder`, which is there.
    pub fn write(&self, folder: &Path, training: Value) -> Result<(), ChainFileError> {
        let path = folder.join(TENSORS);
        let written =
            |path: PathBuf, bytes: &[u8]| replace(&path, bytes).map_err(|source| ChainFileError::File { path, source });
        let tensors = self.tensors().map_err(|problem| ChainFileError::Tensors {
            path: path.clone(),
            problem,
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
        let mut chain = match facts.preset.as_str() {
            "heartbeat" => Self::Heartbeat(Heartbeat::new(facts.steps, 0)),
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
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
        let layout = self.layout();
        let mut values = self.values();
        let (dtype, mut all) = (values.dtype(), Vec::new());
        for (key, shape) in &layout {
            let missing = |_| wrong(format!("'{key}' is missing"));
            let tensor = tensors.tensor(key).map_err(missing)?;
            if (tensor.shape(), tensor.dtype()) != (shape.as_slice(), dtype) {
                let (found, of) = (tensor.shape(), tensor.dtype());
                return Err(wrong(format!("'{key}' is {of:?} {found:?}, not {dtype:?} {shape:?}")));
            }
            if !values.are_finite(tensor.data()) {
                return Err(wrong(format!("'{key}' has a value that is not finite")));
            }
            all.extend_from_slice(tensor.data());
        }
        let mut names = tensors.names();
        names.retain(|name| !layout.iter().any(|(key, _)| key == name));
        if let Some(key) = names.iter().min() {
            return Err(wrong(format!("'{key}' is no tensor of this chain")));
        }
        values.read(&all);
        self.set(&values);
        Ok(())
    }

    /// Whether every trained value is a number.
    pub fn is_finite(&self) -> bool {
        let values = self.values();
        values.are_finite(&values.bytes())
    }

    /// Number of trained values.
    pub fn params(&self) -> usize {
        self.layout()
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }
}

/// Numbers of a chain's tensors.
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

    /// Bytes of a number.
    fn size(&self) -> usize {
        match self {
            Self::F32(_) => 4,
            Self::F64(_) => 8,
        }
    }

    /// Little endian.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    fn are_finite(&self, bytes: &[u8]) -> bool {
        match self {
            Self::F32(_) => bytes.as_chunks().0.iter().all(|b| f32::from_le_bytes(*b).is_finite()),
            Self::F64(_) => bytes.as_chunks().0.iter().all(|b| f64::from_le_bytes(*b).is_finite()),
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
            Chain::Heartbeat(Heartbeat::new(60, 3)),
            Chain::SwissRoll(SwissRoll::new(3)),
        ] {
            chain.write(place.path(), Value::Null).unwrap();
            let (read, facts) = Chain::read(place.path()).unwrap();
            assert_eq!((facts.preset.as_str(), facts.steps), (chain.preset(), chain.steps()));
            assert_eq!(read.values().bytes(), chain.values().bytes());
            assert_eq!(read.params() * read.values().size(), read.values().bytes().len());
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
        Chain::Heartbeat(Heartbeat::new(60, 0))
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
