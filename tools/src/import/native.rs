//! Networks that are known by the names of their weights: a file of `torch.save` or of safetensors, and `config.json` beside it.

use super::exported::{Kind, Manifest, Net, Plan, Tensor, View, planned};
use super::pickle::{Saved, Stored};
use super::{Checkpoint, ImportError, folders, shown};
use crate::files;
use crate::tensors::widen;
use mote_graph::config::{self as settings, ConfigError, printable};
use mote_graph::schedule::SchedulerConfig;
use safetensors::SafeTensors;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Largest file of weights.
const MOST_BYTES: u64 = 2 << 30;

/// The weights, and which of them are used.
#[derive(Debug)]
pub(super) struct Native {
    path: String,
    folder: std::path::PathBuf,
    source: Source,
    /// Before every name.
    prefix: String,
    sizes: BTreeMap<String, Vec<usize>>,
    left: BTreeSet<String>,
}

#[derive(Debug)]
enum Source {
    Saved(Saved, BTreeMap<String, Stored>),
    Safe(Vec<u8>),
}

impl Native {
    /// Opens `file`. The tensors are in the first of `dictionaries` that holds `known` behind one of `prefixes`.
    pub fn open(file: &Path, dictionaries: &[&[&str]], prefixes: &[&str], known: &str) -> Result<Self, ImportError> {
        let safe = file.extension().is_some_and(|end| end == "safetensors");
        let (source, all) = if safe {
            safe_tensors(file)?
        } else {
            saved(file, dictionaries, prefixes, known)?
        };
        let prefix = prefixes
            .iter()
            .find(|prefix| all.contains_key(&format!("{prefix}{known}")));
        let prefix = prefix.ok_or_else(|| ImportError::MissingTensor {
            path: shown(file),
            key: known.to_string(),
            expected: vec![],
        })?;
        let own = |(key, sizes): (String, Vec<usize>)| Some((key.strip_prefix(prefix)?.to_string(), sizes));
        let sizes: BTreeMap<String, Vec<usize>> = all.into_iter().filter_map(own).collect();
        Ok(Self {
            path: shown(file),
            folder: file.parent().map(Path::to_path_buf).unwrap_or_default(),
            source,
            prefix: (*prefix).to_string(),
            left: sizes.keys().cloned().collect(),
            sizes,
        })
    }

    /// The settings beside the weights, which must have these.
    pub fn settings(&self, needed: &[&'static str]) -> Result<Settings, ImportError> {
        let path = self.folder.join("config.json");
        let file = shown(&path);
        let text = if path.is_file() {
            files::text(&path, files::SMALL).map_err(|source| ImportError::Read {
                path: file.clone(),
                source,
                advice: "copy it again, or write it anew",
            })?
        } else {
            "{}".to_string()
        };
        let map = settings::object(&file, &text)?;
        let settings = Settings { file, map };
        match needed.iter().find(|key| !settings.map.contains_key(**key)) {
            None => Ok(settings),
            Some(key) => Err(settings.error(key, "the weights do not say it: write it there").into()),
        }
    }

    /// Extents of the tensor `key`.
    pub fn sizes(&self, key: &str) -> Result<Vec<usize>, ImportError> {
        let sizes = self.sizes.get(key).filter(|sizes| sizes.len() > 1);
        sizes.cloned().ok_or_else(|| self.missing(key))
    }

    /// Whether there is a tensor `key`.
    pub fn has(&self, key: &str) -> bool {
        self.sizes.contains_key(key)
    }

    /// How many modules `name.0`, `name.1` … there are.
    pub fn count(&self, name: &str) -> usize {
        let is = |i: &usize| {
            let start = format!("{name}.{i}.");
            self.sizes
                .range(start.clone()..)
                .next()
                .is_some_and(|(key, _)| key.starts_with(&start))
        };
        (0..64).take_while(is).count()
    }

    /// Takes the tensor `key`.
    pub fn take(&mut self, key: &str) -> Result<Tensor, ImportError> {
        if !self.left.remove(key) {
            return Err(self.missing(key));
        }
        let full = format!("{}{key}", self.prefix);
        let mut tensor = match &self.source {
            Source::Saved(saved, tensors) => match tensors.get(&full) {
                Some(stored) => saved.tensor(&full, stored)?,
                None => return Err(self.missing(key)),
            },
            Source::Safe(bytes) => {
                let tensors = SafeTensors::deserialize(bytes).map_err(|error| self.refuse(error.to_string()))?;
                let view = tensors.tensor(&full).map_err(|error| self.refuse(error.to_string()))?;
                let data = widen(view.dtype(), view.data());
                let data =
                    data.ok_or_else(|| self.refuse(format!("tensor `{}` is of no float type", printable(key))))?;
                Tensor::new(Kind::F32, view.shape().to_vec(), data)
            }
        };
        tensor.key = Some(key.to_string());
        Ok(tensor)
    }

    /// The error that the weights have this problem.
    pub fn refuse(&self, problem: String) -> ImportError {
        ImportError::Exported {
            path: self.path.clone(),
            problem: printable(&problem),
        }
    }

    fn missing(&self, key: &str) -> ImportError {
        self.refuse(format!("it holds no tensor `{key}` of a fitting rank"))
    }

    /// The checkpoint of the network that `build` makes.
    pub fn finish(
        &mut self,
        file: &Path,
        plan: Plan,
        build: impl FnOnce(&mut Self, &mut Net, View, Option<View>) -> Result<View, ImportError>,
    ) -> Result<Checkpoint, ImportError> {
        let module = |key: &String| Some(key.rsplit_once('.')?.0.to_string());
        let modules: Vec<String> = self.sizes.keys().filter_map(module).collect();
        let manifest = Manifest::beside(&self.folder)?;
        let (graph, layout) = planned(&modules, &plan, &manifest, |net, sample, condition| {
            build(self, net, sample, condition)
        })?;
        if let Some(key) = self.left.first() {
            let problem = format!(
                "{} tensors have no place in the network, such as `{}`",
                self.left.len(),
                printable(key)
            );
            return Err(self.refuse(problem));
        }
        let scheduler_file = folders::scheduler_in(&self.folder)?;
        let text = files::text(&scheduler_file, files::SMALL).map_err(|source| ImportError::Read {
            path: shown(&scheduler_file),
            source,
            advice: "the noise schedule cannot be guessed; save it with the model",
        })?;
        let scheduler = SchedulerConfig::parse_as(&shown(&scheduler_file), &text, None)?;
        let bytes = match &self.source {
            Source::Saved(saved, _) => saved.bytes(),
            Source::Safe(bytes) => bytes,
        };
        let sha256 = files::sha256(bytes);
        let [channels, rows, cols] = graph.sample_shape();
        let settings = self.settings(&[])?;
        Ok(Checkpoint {
            name: format!("net-{channels}x{rows}x{cols}-{}", &sha256[..8]),
            notes: scheduler
                .notes
                .iter()
                .map(|note| format!("{}: {note}", shown(file)))
                .collect(),
            graph,
            scheduler_config: super::scheduler_object(&shown(&scheduler_file), &text, &scheduler)?,
            scheduler,
            sha256,
            config: Value::Object(settings.map),
            config_file: settings.file,
            unet: None,
            null_class: None,
            layout,
            calibration: manifest
                .calibration
                .as_ref()
                .map(|place| shown(&self.folder.join(place))),
            trained: None,
            decoder: None,
        })
    }
}

type Found = (Source, BTreeMap<String, Vec<usize>>);

fn safe_tensors(file: &Path) -> Result<Found, ImportError> {
    let bytes = files::read(file, MOST_BYTES).map_err(|source| ImportError::Read {
        path: shown(file),
        source,
        advice: "copy it again, or save the network again",
    })?;
    let parsed = SafeTensors::deserialize(&bytes).map_err(|error| ImportError::Container {
        path: shown(file),
        problem: printable(&error.to_string()),
    })?;
    let sizes = parsed
        .tensors()
        .into_iter()
        .map(|(key, view)| (key, view.shape().to_vec()))
        .collect();
    Ok((Source::Safe(bytes), sizes))
}

fn saved(file: &Path, dictionaries: &[&[&str]], prefixes: &[&str], known: &str) -> Result<Found, ImportError> {
    let saved = Saved::open(file)?;
    let holds = |tensors: &BTreeMap<String, Stored>| {
        prefixes
            .iter()
            .any(|prefix| tensors.contains_key(&format!("{prefix}{known}")))
    };
    let tensors = dictionaries.iter().find_map(|keys| saved.tensors(keys).filter(holds));
    let tensors = tensors.ok_or_else(|| ImportError::Exported {
        path: shown(file),
        problem: format!("it holds no dictionary of tensors with `{known}`"),
    })?;
    let sizes = tensors
        .iter()
        .map(|(key, stored)| (key.clone(), stored.sizes.clone()))
        .collect();
    Ok((Source::Saved(saved, tensors), sizes))
}

/// `config.json` beside weights.
#[derive(Debug)]
pub(super) struct Settings {
    file: String,
    map: Map<String, Value>,
}

impl Settings {
    /// Whether `is` holds of the file; false where there is none.
    pub fn peek(path: &Path, is: impl Fn(&Map<String, Value>) -> bool) -> bool {
        let text = files::text(path, files::SMALL).ok();
        text.and_then(|text| settings::object("config.json", &text).ok())
            .is_some_and(|map| is(&map))
    }

    /// A whole number above 0.
    pub fn whole(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        let Some(value) = self.map.get(key).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let number = value
            .as_u64()
            .and_then(|v| usize::try_from(v).ok())
            .filter(|v| (1..1 << 20).contains(v));
        number
            .map(Some)
            .ok_or_else(|| self.error(key, "expected a whole number from 1 to 1048575"))
    }

    /// A truth value.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.map.get(key)?.as_bool()
    }

    fn error(&self, field: &str, problem: &str) -> ConfigError {
        ConfigError {
            file: self.file.clone(),
            field: field.to_string(),
            value: self
                .map
                .get(field)
                .map_or_else(|| "missing".to_string(), settings::shown),
            problem: problem.to_string(),
        }
    }
}
