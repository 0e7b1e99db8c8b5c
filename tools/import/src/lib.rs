//! Importers: a trained checkpoint becomes a [`Checkpoint`], that is a float graph and a scheduler configuration.
//!
//! A network that `torch.export.save` wrote is read by its graph (`exported`). Without one, the diffusers layouts are read: a pipeline folder that holds `unet/` and `scheduler/`, the `unet/` (or `unet_ema/`) folder of
//! one, or a single folder of all files. `model_index.json` says what a pipeline's parts are where it is there.
//!
//! ```text
//! folders.rs, index.rs: which files
//! unet/config.json ──▶ config.rs ──▶ unet.rs, blocks.rs ──▶ Graph
//! unet/diffusion_pytorch_model.safetensors ──▶ stored.rs ──▶ weights.rs ──┘
//! scheduler/scheduler_config.json ──▶ mote_graph::schedule ──▶ SchedulerConfig
//! ```
//!
//! Whatever is not supported is refused with the file, the field and the value. Every weight in the file is used exactly
//! once, has the shape that the configuration asks for, and is finite; anything else is an error.

mod attention;
pub mod autoencoder;
mod blocks;
mod checkpoint;
mod config;
mod dit;
mod error;
mod exported;
pub mod files;
mod folders;
mod index;
mod labels;
mod layout;
mod lucidrains;
mod native;
mod network_place;
mod pickle;
mod policy;
pub mod preset;
mod resnet;
mod stored;
mod trained;
mod unet;
mod unet1d;
mod variances;
mod weights;
mod widen;
pub mod zip;

pub use autoencoder::Decoder;
pub use config::{BlockKind, Resample, UnetConfig};
pub use error::ImportError;
pub use exported::FILES as EXPORTED_FILES;
pub use folders::CHAIN_FILE;
pub use layout::SampleLayout;
pub use policy::numbers_beside;
pub use trained::{Trained, TrainedActivation, TrainedWeight};
pub use widen::widen;

use folders::Layout;
use mote_graph::config as settings;
use mote_graph::config::ConfigError;
use mote_graph::graph::Graph;
use mote_graph::schedule::SchedulerConfig;
use mote_graph::schedule::edm::Edm;
use network_place::NetworkPlace;
use preset::Preset;
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;
use weights::{WeightFile, Weights};

/// Name of the weights in either layout of folders.
pub const WEIGHTS_FILE: &str = "diffusion_pytorch_model.safetensors";

/// Name of the file with the number formats that a network was trained with, in the pipeline's folder.
pub const TRAINED_FILE: &str = "quantization.json";

/// A trained model, ready to be crosschecked, calibrated and lowered.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Its own name, whatever its folder is called: that of the preset whose network it is, or its sample's shape and the
    /// first digits of [`sha256`](Self::sha256).
    pub name: String,
    /// The network.
    pub graph: Graph,
    /// How it was trained to be sampled.
    pub scheduler: SchedulerConfig,
    /// SHA-256 of the weights file, lower-case hexadecimal; of the shards one after the other, by name.
    pub sha256: String,
    /// `unet/config.json` as it stands.
    pub config: Value,
    /// Its path, for errors.
    pub config_file: String,
    /// `scheduler_config.json`, with the class that reads it.
    pub scheduler_config: Value,
    /// The network's configuration, defaults filled in; `None` where the network came as a graph.
    pub unet: Option<UnetConfig>,
    /// The label that stands for none, if one does.
    pub null_class: Option<usize>,
    /// The order in which the network's own code has the axes of a sample.
    pub layout: SampleLayout,
    /// Where condition vectors for calibration are: `FILE.npz:ARRAY`.
    pub calibration: Option<OsString>,
    /// Number formats that it was trained with, if it was.
    pub trained: Option<Trained>,
    /// Whether the network is deployed with the variances that it gives ([`Checkpoint::keep_variances`]).
    pub variances: bool,
    /// The decoder that makes pictures of what it makes, where these are latents.
    pub decoder: Option<Decoder>,
    /// What a user should know of how it was read, a sentence each.
    pub notes: Vec<String>,
}

impl Checkpoint {
    /// Says which label stands for none, for guidance and for calls without a label, whatever the checkpoint says.
    pub fn set_null_class(&mut self, label: usize) -> Result<(), ConfigError> {
        let problem = match self.graph.classes {
            Some(classes) if label < classes => {
                self.null_class = Some(label);
                return Ok(());
            }
            Some(classes) => format!(
                "{label} is no label of this network: the null class is one from 0 to {}",
                classes - 1
            ),
            None => format!("the network has no labels, so {label} cannot be its null class"),
        };
        Err(ConfigError {
            file: self.config_file.clone(),
            field: "num_class_embeds".to_string(),
            value: self
                .config
                .get("num_class_embeds")
                .map_or_else(|| "missing".to_string(), settings::shown),
            problem,
        })
    }
}

/// The three files of a checkpoint, in memory.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Text of `unet/config.json`.
    pub config: &'a str,
    /// Bytes of the safetensors file.
    pub weights: &'a [u8],
    /// Text of `scheduler_config.json`.
    pub scheduler: &'a str,
}

/// Reads the checkpoint in `path`: a pipeline folder, the folder of its network, or a folder of all files.
///
/// A pipeline's autoencoder is read too: what the network makes are its latents.
pub fn import(path: &Path) -> Result<Checkpoint, ImportError> {
    let mut checkpoint = import_network(path)?;
    let latent = checkpoint.graph.sample_shape();
    checkpoint.decoder = match autoencoder::beside(path, latent)? {
        None => exported::decoder(path, latent)?,
        found => found,
    };
    Ok(checkpoint)
}

fn import_network(path: &Path) -> Result<Checkpoint, ImportError> {
    if let Some(file) = exported::find(path) {
        return exported::import(&file);
    }
    if let Some(file) = policy::find(path) {
        return policy::import(&file);
    }
    if let Some(place) = NetworkPlace::find(path, dit::CLASS) {
        return dit::import(&place);
    }
    if let Some(place) = NetworkPlace::find(path, unet1d::CLASS) {
        return unet1d::import(&place);
    }
    if let Some(found) = lucidrains::find(path) {
        let (file, native) = found?;
        return lucidrains::import(&file, native);
    }
    let layout = Layout::find(path)?;
    let text = |file: &Path, advice| {
        files::text(file, files::SMALL).map_err(|source| ImportError::Read {
            path: shown(file),
            source,
            advice,
        })
    };
    let names = Names {
        config: shown(&layout.network.join("config.json")),
        scheduler: shown(&layout.scheduler),
    };
    let scheduler = text(
        &layout.scheduler,
        "the noise schedule cannot be guessed; save it with the model",
    )?;
    let config = text(
        &layout.network.join("config.json"),
        "save the model with save_pretrained",
    )?;
    let (stored, notes) = stored::read(&layout.network)?;
    let weights: Vec<WeightFile<'_>> = stored
        .iter()
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
        .collect();
    let class = layout.scheduler_class.as_deref();
    let mut checkpoint = assemble(&names, &config, &weights, (&scheduler, class))?;
    checkpoint.notes.extend(layout.notes.into_iter().chain(notes));
    checkpoint.trained = read_trained(&layout.root.join(TRAINED_FILE))?;
    Ok(checkpoint)
}

fn read_trained(file: &Path) -> Result<Option<Trained>, ImportError> {
    if !file.is_file() {
        return Ok(None);
    }
    let text = files::text(file, files::SMALL).map_err(|source| ImportError::Read {
        path: shown(file),
        source,
        advice: "remove it to convert without it",
    })?;
    let whole = |error: serde_json::Error| ConfigError {
        file: shown(file),
        field: "(whole file)".to_string(),
        value: "malformed".to_string(),
        problem: format!(
            "{}; remove it to convert without it, or train again",
            settings::printable(&error.to_string())
        ),
    };
    Ok(Some(serde_json::from_str(&text).map_err(whole)?))
}

/// [`import`] from memory, for a checkpoint that is bundled with a program. It keeps the name that it is given.
pub fn import_parts(parts: Parts<'_>) -> Result<Checkpoint, ImportError> {
    let checkpoint = assemble(
        &Names::of_parts(),
        parts.config,
        &[(WEIGHTS_FILE, parts.weights)],
        (parts.scheduler, None),
    )?;
    Ok(Checkpoint {
        name: parts.name.to_string(),
        ..checkpoint
    })
}

/// A network that is not trained yet: what `config` and `scheduler` describe, with first weights.
pub fn fresh(name: &str, config: &str, scheduler: &str, seed: u64) -> Result<Checkpoint, ImportError> {
    let mut weights = Weights::fresh(seed);
    let checkpoint = with_weights(&Names::of_parts(), config, &mut weights, (scheduler, None))?;
    Ok(Checkpoint {
        name: name.to_string(),
        ..checkpoint
    })
}

/// File names as errors give them.
struct Names {
    config: String,
    scheduler: String,
}

impl Names {
    fn of_parts() -> Self {
        Self {
            config: "config.json".to_string(),
            scheduler: "scheduler_config.json".to_string(),
        }
    }
}

/// A checkpoint of these texts and weights; the scheduler is read as the class beside it, or as its own.
fn assemble(
    names: &Names,
    config: &str,
    files: &[WeightFile<'_>],
    scheduler: (&str, Option<&str>),
) -> Result<Checkpoint, ImportError> {
    let mut weights = Weights::parse(files)?;
    let mut checkpoint = with_weights(names, config, &mut weights, scheduler)?;
    weights.finish()?;
    checkpoint.sha256 = files::sha256_of(files.iter().map(|(_, bytes)| *bytes));
    checkpoint.name = own_name(&checkpoint);
    Ok(checkpoint)
}

fn with_weights(
    names: &Names,
    config: &str,
    weights: &mut Weights<'_>,
    (scheduler, class): (&str, Option<&str>),
) -> Result<Checkpoint, ImportError> {
    let schedule = SchedulerConfig::parse_as(&names.scheduler, scheduler, class)?;
    let unet = UnetConfig::parse(&names.config, config)?;
    let told = |edm: &Edm| edm.told(schedule.num_train_timesteps);
    let time = schedule.edm.as_ref().map_or([1.0, 0.0], told);
    Ok(Checkpoint {
        variances: false,
        name: String::new(),
        graph: unet::build(&unet, weights, time)?,
        sha256: String::new(),
        config: Value::Object(settings::object(&names.config, config)?),
        config_file: names.config.clone(),
        scheduler_config: scheduler_object(&names.scheduler, scheduler, &schedule)?,
        trained: None,
        decoder: None,
        null_class: unet.null_class,
        layout: SampleLayout::plain(),
        calibration: None,
        notes: notes_of(&schedule, &names.scheduler),
        scheduler: schedule,
        unet: Some(unet),
    })
}

/// A scheduler's configuration as it stands, with the class that reads it.
fn scheduler_object(file: &str, text: &str, schedule: &SchedulerConfig) -> Result<Value, ConfigError> {
    let mut object = settings::object(file, text)?;
    // An infinity is only ever a default here, and no JSON.
    object.retain(|_, value| value.as_str().is_none_or(|text| !text.starts_with('\0')));
    object.insert("_class_name".to_string(), schedule.class_name.clone().into());
    Ok(Value::Object(object))
}

/// The name that a checkpoint has of itself, wherever it lies.
fn own_name(checkpoint: &Checkpoint) -> String {
    if let Some(preset) = checkpoint.unet.as_ref().and_then(Preset::of) {
        return preset.name.to_string();
    }
    let [channels, rows, cols] = checkpoint.graph.sample_shape();
    format!("unet-{channels}x{rows}x{cols}-{}", &checkpoint.sha256[..8])
}

/// What a user should know of a scheduler that `file` holds.
fn notes_of(schedule: &SchedulerConfig, file: &str) -> Vec<String> {
    let notes = schedule.notes.iter();
    notes.map(|note| format!("{file}: {note}")).collect()
}

/// The name of a network that has none: its sample's shape and the first digits of its weights' SHA-256.
fn unnamed(graph: &Graph, sha256: &str) -> String {
    let [channels, rows, cols] = graph.sample_shape();
    format!("net-{channels}x{rows}x{cols}-{}", &sha256[..8])
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
