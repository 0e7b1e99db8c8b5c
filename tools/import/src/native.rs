//! Networks that are known by the names of their weights: a file of `torch.save` or of safetensors, and `config.json` beside it.

use super::exported::{Kind, Manifest, Net, Plan, Tensor, View, null_class, planned};
use super::pickle::{Saved, Stored};
use super::stored::{self, Stored as File};
use super::weights::absent;
use super::{Checkpoint, ImportError, folders, notes_of, shown, unnamed};
use crate::files;
use crate::widen::widen;
use mote_graph::config::{self as settings, ConfigError, printable};
use mote_graph::schedule::SchedulerConfig;
use safetensors::SafeTensors;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Largest file of weights.
const MOST_BYTES: u64 = 2 << 30;

/// The weights, and which of them are used.
#[derive(Debug)]
pub(super) struct Native {
    path: String,
    folder: PathBuf,
    /// Holds the scheduler and the manifest.
    root: PathBuf,
    /// The class that reads the scheduler's configuration, where the pipeline's index says.
    scheduler_class: Option<String>,
    notes: Vec<String>,
    source: Source,
    /// Before every name.
    prefix: String,
    sizes: Sizes,
    left: BTreeSet<String>,
}

#[derive(Debug)]
enum Source {
    Saved(Saved, BTreeMap<String, Stored>),
    Safe(Vec<File>),
}

impl Native {
    /// Opens `file`. The tensors are in the first of `dictionaries` that holds `known` behind one of `prefixes`.
    pub fn open(file: &Path, dictionaries: &[&[&str]], prefixes: &[&str], known: &str) -> Result<Self, ImportError> {
        let safe = file.extension().is_some_and(|end| end == "safetensors");
        let (source, all) = if safe {
            safe_tensors(vec![whole(file)?])?
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
            advice: absent(known, all.keys()),
        })?;
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self::of(shown(file), &folder, source, prefix, all))
    }

    /// Opens the weights in `folder` as diffusers saves them: one file, shards, a variant, or a pickle. They hold `known`.
    pub fn open_folder(folder: &Path, known: &str) -> Result<Self, ImportError> {
        let pickle = folder.join("diffusion_pytorch_model.bin");
        if pickle.is_file() && !folder.join(super::WEIGHTS_FILE).is_file() {
            return Self::open(&pickle, &[&[]], &[""], known);
        }
        let (files, notes) = stored::read(folder)?;
        let path = files.first().map(|(path, _)| path.clone()).unwrap_or_default();
        let (source, all) = safe_tensors(files)?;
        if !all.contains_key(known) {
            return Err(ImportError::MissingTensor {
                path,
                key: known.to_string(),
                expected: vec![],
                advice: absent(known, all.keys()),
            });
        }
        let own = Self::of(path, folder, source, "", all);
        Ok(Self { notes, ..own })
    }

    fn of(path: String, folder: &Path, source: Source, prefix: &str, all: Sizes) -> Self {
        let own = |(key, sizes): (String, Vec<usize>)| Some((key.strip_prefix(prefix)?.to_string(), sizes));
        let sizes: Sizes = all.into_iter().filter_map(own).collect();
        Self {
            path,
            folder: folder.to_path_buf(),
            root: folder.to_path_buf(),
            scheduler_class: None,
            notes: vec![],
            source,
            prefix: prefix.to_string(),
            left: sizes.keys().cloned().collect(),
            sizes,
        }
    }

    /// A part of the pipeline in `root`, which says the scheduler's class.
    pub fn part_of(&mut self, root: &Path, scheduler_class: Option<String>) {
        self.root = root.to_path_buf();
        self.scheduler_class = scheduler_class;
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

    /// The folder that the weights lie in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Numbers of the tensor `name` of the diffusion that holds the network, if it is there.
    fn outer(&self, name: &str) -> Option<Vec<f64>> {
        let Source::Saved(saved, tensors) = &self.source else {
            return None;
        };
        let full = format!("{}{name}", self.prefix.strip_suffix("model.")?);
        let tensor = saved.tensor(&full, tensors.get(&full)?).ok()?;
        Some(tensor.data.to_vec())
    }

    /// The scheduler: its configuration beside the weights, or what the manifest says.
    fn scheduler(&self, manifest: &Manifest) -> Result<(SchedulerConfig, Value), ImportError> {
        let found = folders::scheduler_in(&self.root);
        let stored = || self.outer("betas");
        if let Some(levels) = &manifest.levels {
            return levels.scheduler(found.ok().as_deref(), manifest, stored());
        }
        let file = match found {
            Err(_) if stored().is_some() => {
                let problem = "the weights' file has noise levels and does not say what is predicted: write {\"objective\": \"pred_noise\"}, or pred_x0, or pred_v";
                return Err(manifest.error("schedule", problem).into());
            }
            Err(error) => match self.settings(&[])?.noise_scheduler() {
                None => return Err(error),
                Some((path, config)) => {
                    let scheduler = SchedulerConfig::parse_as(&path, &config, None)?;
                    let object = super::scheduler_object(&path, &config, &scheduler)?;
                    return Ok((scheduler, object));
                }
            },
            Ok(found) => found,
        };
        let text = files::text(&file, files::SMALL).map_err(|source| ImportError::Read {
            path: shown(&file),
            source,
            advice: "the noise schedule cannot be guessed; save it with the model",
        })?;
        let scheduler = SchedulerConfig::parse_as(&shown(&file), &text, self.scheduler_class.as_deref())?;
        let config = super::scheduler_object(&shown(&file), &text, &scheduler)?;
        Ok((scheduler, config))
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
            Source::Safe(files) => {
                let mut parsed = files
                    .iter()
                    .filter_map(|(_, bytes)| SafeTensors::deserialize(bytes).ok());
                let view = parsed.find_map(|tensors| tensors.tensor(&full).ok());
                let view = view.ok_or_else(|| self.missing(key))?;
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
        let manifest = Manifest::beside(&self.root)?;
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
        let (scheduler, scheduler_config) = self.scheduler(&manifest)?;
        let sha256 = match &self.source {
            Source::Saved(saved, _) => files::sha256(saved.bytes()),
            Source::Safe(parts) => files::sha256_of(parts.iter().map(|(_, bytes)| &bytes[..])),
        };
        let null_class = null_class(&manifest, &graph)?;
        let settings = self.settings(&[])?;
        Ok(Checkpoint {
            variances: false,
            name: unnamed(&graph, &sha256),
            notes: [notes_of(&scheduler, &shown(file)), self.notes.clone()].concat(),
            graph,
            scheduler_config,
            scheduler,
            sha256,
            config: Value::Object(settings.map),
            config_file: settings.file,
            unet: None,
            null_class,
            layout,
            calibration: manifest.calibration_in(&self.root),
            trained: None,
            decoder: None,
        })
    }
}

/// Extents of tensors by their names.
type Sizes = BTreeMap<String, Vec<usize>>;

type Found = (Source, Sizes);

fn whole(file: &Path) -> Result<File, ImportError> {
    let bytes = files::read_as(file, MOST_BYTES, files::Form::SafeTensors).map_err(|source| match source.kind() {
        ErrorKind::InvalidData => ImportError::Container {
            path: shown(file),
            problem: source.to_string(),
        },
        _ => ImportError::Read {
            path: shown(file),
            source,
            advice: "copy it again, or save the network again",
        },
    })?;
    Ok((shown(file), bytes))
}

fn safe_tensors(files: Vec<File>) -> Result<Found, ImportError> {
    let mut sizes = Sizes::new();
    for (path, bytes) in &files {
        let parsed = SafeTensors::deserialize(bytes).map_err(|error| ImportError::Container {
            path: path.clone(),
            problem: printable(&error.to_string()),
        })?;
        for (key, view) in parsed.tensors() {
            if sizes.insert(key.clone(), view.shape().to_vec()).is_some() {
                return Err(ImportError::Twice {
                    path: path.clone(),
                    other: files[0].0.clone(),
                    key: printable(&key),
                });
            }
        }
    }
    Ok((Source::Safe(files), sizes))
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

    /// The scheduler's configuration that LeRobot's `config.json` holds: its path and its text as diffusers writes it.
    fn noise_scheduler(&self) -> Option<(String, String)> {
        const FIELDS: [&str; 7] = [
            "num_train_timesteps",
            "beta_schedule",
            "beta_start",
            "beta_end",
            "prediction_type",
            "clip_sample",
            "clip_sample_range",
        ];
        let class = format!("{}Scheduler", self.text("noise_scheduler_type")?);
        let field = |name: &&str| Some(((*name).to_owned(), self.map.get(*name)?.clone()));
        let mut config: Map<String, Value> = FIELDS.iter().filter_map(field).collect();
        config.insert("_class_name".to_owned(), class.into());
        Some((self.file.clone(), Value::Object(config).to_string()))
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

    /// A number.
    pub fn number(&self, key: &str) -> Result<Option<f64>, ConfigError> {
        match self.map.get(key).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|v| v.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => Err(self.error(key, "expected a number")),
            },
        }
    }

    /// A name.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.map.get(key)?.as_str()
    }

    /// A setting that must have one of these values, where it is there: `advice` says why.
    pub fn one_of(&self, key: &str, values: &[Value], advice: &str) -> Result<(), ConfigError> {
        match self.map.get(key) {
            Some(value) if !values.contains(value) => Err(self.error(key, advice)),
            _ => Ok(()),
        }
    }

    /// Refuses settings that are none of these, and do not begin with an underscore.
    pub fn known(&self, keys: &[&str]) -> Result<(), ConfigError> {
        let unknown = |key: &&String| !key.starts_with('_') && !keys.contains(&key.as_str());
        match self.map.keys().find(unknown) {
            None => Ok(()),
            Some(key) => Err(self.error(key, "this setting is not known")),
        }
    }

    /// Whether the setting is there, null or not.
    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// A list of names; empty where there is none.
    pub fn names(&self, key: &str) -> Vec<&str> {
        let list = self.map.get(key).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .map(|name| name.as_str().unwrap_or_default())
            .collect()
    }

    /// The first number of a list of whole numbers.
    pub fn first(&self, key: &str) -> Option<usize> {
        usize::try_from(self.map.get(key)?.get(0)?.as_u64()?)
            .ok()
            .filter(|n| *n < 1 << 20)
    }

    /// A truth value.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.map.get(key)?.as_bool()
    }

    /// The error that a setting has this problem.
    pub fn error(&self, field: &str, problem: &str) -> ConfigError {
        ConfigError::of(&self.file, &self.map, field, problem)
    }
}
