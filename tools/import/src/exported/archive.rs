//! The ZIP archive that `torch.export.save` writes.
//!
//! ```text
//! NAME/models/model.json                           the program
//! NAME/data/weights/model_weights_config.json      tensor ─▶ file, type, extents, strides
//! NAME/data/weights/weight_0 …                     raw little-endian numbers
//! NAME/data/constants/model_constants_config.json, tensor_0 …
//! ```
//!
//! Nothing is unpacked that is not asked for, and all that is unpacked is bounded by the archive's own size.

use super::schema::{Payload, Payloads};
use crate::files;
use crate::zip::{self, Entry};
use crate::{ImportError, shown};
use mote_graph::config::printable;
use std::collections::BTreeMap;
use std::path::Path;

/// Largest archive that is read.
const MOST_BYTES: u64 = 1 << 30;
/// Largest JSON file of an archive.
const MOST_TEXT: usize = 128 << 20;
/// What may be unpacked beyond four times the archive's size.
const SPARE: usize = 64 << 20;
/// The program of PyTorch before 2.8.
const OLD: &str = "serialized_exported_program.json";

/// An archive, and how much of it may still be unpacked.
#[derive(Debug)]
pub(super) struct Archive {
    path: String,
    bytes: Vec<u8>,
    entries: BTreeMap<String, Entry>,
    /// Before `models/`.
    root: String,
    /// The model's name in it.
    model: String,
    left: usize,
}

impl Archive {
    /// Opens the archive `path` and finds its one model.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let bytes = files::read_as(path, MOST_BYTES, files::Form::Zip)
            .map_err(|source| ImportError::unread(path, source, "copy it again, or export the network again"))?;
        let refuse = |problem: String| ImportError::Exported {
            path: shown(path),
            problem,
        };
        let list = zip::entries(&bytes).ok_or_else(|| refuse("it is no whole ZIP archive: copy it again".into()))?;
        let mut entries = BTreeMap::new();
        for entry in list {
            if let Some(twice) = entries.insert(entry.name.clone(), entry) {
                return Err(refuse(format!("it holds {} twice", printable(&twice.name))));
            }
        }
        if entries
            .keys()
            .any(|name| name == OLD || name.ends_with(&format!("/{OLD}")))
        {
            return Err(refuse(format!(
                "it holds {OLD}, the form of PyTorch before 2.8: export the network again with a newer one"
            )));
        }
        let (root, model) = model_of(&entries).map_err(refuse)?;
        Ok(Self {
            path: shown(path),
            left: SPARE + 4 * bytes.len(),
            bytes,
            entries,
            root,
            model,
        })
    }

    /// Its path, for errors.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole archive, for its digest.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The program's JSON.
    pub fn program(&mut self) -> Result<Vec<u8>, ImportError> {
        let name = format!("{}models/{}.json", self.root, self.model);
        self.text(&name)
    }

    /// Where the tensors of `kind`, `weights` or `constants`, lie; empty where there are none.
    pub fn payloads(&mut self, kind: &str) -> Result<BTreeMap<String, Payload>, ImportError> {
        let name = format!("{}data/{kind}/{}_{kind}_config.json", self.root, self.model);
        if !self.entries.contains_key(&name) {
            return Ok(BTreeMap::new());
        }
        let text = self.text(&name)?;
        let payloads: Payloads = serde_json::from_slice(&text)
            .map_err(|error| self.refuse(format!("{}: {}", printable(&name), printable(&error.to_string()))))?;
        Ok(payloads.config)
    }

    /// The bytes of the tensor file `name` of `kind`.
    pub fn tensor(&mut self, kind: &str, name: &str) -> Result<Vec<u8>, ImportError> {
        self.read(&format!("{}data/{kind}/{name}", self.root))
    }

    /// The error that the archive has this problem.
    pub fn refuse(&self, problem: String) -> ImportError {
        ImportError::Exported {
            path: self.path.clone(),
            problem,
        }
    }

    fn text(&mut self, name: &str) -> Result<Vec<u8>, ImportError> {
        let size = self.entries.get(name).map_or(0, |entry| entry.size);
        if size > MOST_TEXT {
            let problem = format!(
                "{} has {size} bytes, more than the {MOST_TEXT} that are read",
                printable(name)
            );
            return Err(self.refuse(problem));
        }
        self.read(name)
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, ImportError> {
        let Some(entry) = self.entries.get(name) else {
            return Err(self.refuse(format!("it does not hold {}, which it names", printable(name))));
        };
        if entry.size > self.left {
            let problem = format!(
                "{} would be {} bytes unpacked: files of this archive are far larger than it is itself",
                printable(name),
                entry.size
            );
            return Err(self.refuse(problem));
        }
        let size = entry.size;
        let contents = zip::contents(&self.bytes, entry);
        self.left -= size;
        contents.map_err(|problem| self.refuse(format!("{} {problem}", printable(name))))
    }
}

/// The folder before `models/`, and the name of the only model, or of `model`.
fn model_of(entries: &BTreeMap<String, Entry>) -> Result<(String, String), String> {
    let models: Vec<(&str, &str)> = entries
        .keys()
        .filter_map(|name| {
            let stem = name.strip_suffix(".json")?;
            let (root, model) = stem.rsplit_once('/').unwrap_or(("", stem));
            let root = root.strip_suffix("models")?;
            (root.is_empty() || root.ends_with('/')).then_some((root, model))
        })
        .collect();
    let chosen = match models[..] {
        [] => {
            return Err("it holds no models/model.json, so it is no file of torch.export.save".to_string());
        }
        [only] => only,
        _ => *models.iter().find(|(_, model)| *model == "model").ok_or_else(|| {
            let names: Vec<&str> = models.iter().map(|(_, model)| *model).take(9).collect();
            format!("it holds several models, {}: save one", printable(&names.join(", ")))
        })?,
    };
    Ok((chosen.0.to_string(), chosen.1.to_string()))
}
