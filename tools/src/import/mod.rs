//! Importers: a trained checkpoint becomes a [`Checkpoint`], that is a float graph and a scheduler configuration.
//!
//! The diffusers layout is read: a pipeline folder that holds `unet/` and `scheduler/`, or the `unet/` folder itself with
//! `../scheduler/` beside it.
//!
//! ```text
//! unet/config.json ──▶ config.rs ──▶ unet.rs, blocks.rs ──▶ Graph
//! unet/diffusion_pytorch_model.safetensors ──▶ weights.rs ──┘
//! scheduler/scheduler_config.json ──▶ mote_host::schedule ──▶ SchedulerConfig
//! ```
//!
//! Whatever is not supported is refused with the file, the field and the value. Every weight in the file is used exactly
//! once, has the shape that the configuration asks for, and is finite; anything else is an error.

mod attention;
mod blocks;
mod config;
mod error;
mod resnet;
mod trained;
mod unet;
mod weights;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use config::{BlockKind, Resample, UnetConfig};
pub use error::ImportError;
pub use trained::{Trained, TrainedActivation, TrainedWeight};

use mote_host::config::ConfigError;
use mote_host::graph::Graph;
use mote_host::schedule::SchedulerConfig;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Name of the weights in either layout of folders.
pub const WEIGHTS_FILE: &str = "diffusion_pytorch_model.safetensors";

/// Name of the file with the number formats that a network was trained with, in the pipeline's folder.
pub const TRAINED_FILE: &str = "quantization.json";

/// A trained model, ready to be crosschecked, calibrated and lowered.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The folder's name.
    pub name: String,
    /// The network.
    pub graph: Graph,
    /// How it was trained to be sampled.
    pub scheduler: SchedulerConfig,
    /// SHA-256 of the weights file, lower-case hexadecimal.
    pub sha256: String,
    /// `unet/config.json` as it stands.
    pub config: serde_json::Value,
    /// The network's configuration, defaults filled in.
    pub unet: UnetConfig,
    /// Number formats that it was trained with, if it was.
    pub trained: Option<Trained>,
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

/// Reads the checkpoint in `path`: a pipeline folder, or its `unet/` folder.
pub fn import(path: &Path) -> Result<Checkpoint, ImportError> {
    let folders = Folders::find(path)?;
    let scheduler_file = folders.scheduler.join("scheduler_config.json");
    let scheduler = read_text(
        &scheduler_file,
        "the noise schedule cannot be guessed; save it with the model",
    )?;
    let config = read_text(&folders.unet.join("config.json"), "save the model with save_pretrained")?;
    let weights = read_weights(&folders.unet)?;
    let names = Names {
        config: shown(&folders.unet.join("config.json")),
        weights: shown(&folders.unet.join(WEIGHTS_FILE)),
        scheduler: shown(&scheduler_file),
    };
    let parts = Parts {
        name: &folders.name,
        config: &config,
        weights: &weights,
        scheduler: &scheduler,
    };
    Ok(Checkpoint {
        trained: read_trained(&folders.root.join(TRAINED_FILE))?,
        ..assemble(parts, &names)?
    })
}

fn read_trained(file: &Path) -> Result<Option<Trained>, ImportError> {
    if !file.is_file() {
        return Ok(None);
    }
    let text = read_text(file, "remove it to convert without it")?;
    let whole = |error: serde_json::Error| ConfigError {
        file: shown(file),
        field: "(whole file)".to_string(),
        value: "malformed".to_string(),
        problem: format!("{error}; remove it to convert without it, or train again"),
    };
    Ok(Some(serde_json::from_str(&text).map_err(whole)?))
}

/// [`import`] from memory, for a checkpoint that is bundled with a program.
pub fn import_parts(parts: Parts<'_>) -> Result<Checkpoint, ImportError> {
    let names = Names {
        config: "config.json".to_string(),
        weights: WEIGHTS_FILE.to_string(),
        scheduler: "scheduler_config.json".to_string(),
    };
    assemble(parts, &names)
}

/// A network that is not trained yet: what `config` and `scheduler` describe, with first weights.
pub fn fresh(name: &str, config: &str, scheduler: &str, seed: u64) -> Result<Checkpoint, ImportError> {
    let unet = UnetConfig::parse("config.json", config)?;
    let mut weights = weights::Weights::fresh(seed);
    Ok(Checkpoint {
        name: name.to_string(),
        graph: unet::build(&unet, &mut weights)?,
        scheduler: SchedulerConfig::parse("scheduler_config.json", scheduler)?,
        sha256: String::new(),
        config: serde_json::from_str(config).unwrap_or(serde_json::Value::Null),
        unet,
        trained: None,
    })
}

/// File names as errors give them.
struct Names {
    config: String,
    weights: String,
    scheduler: String,
}

fn assemble(parts: Parts<'_>, names: &Names) -> Result<Checkpoint, ImportError> {
    let scheduler = SchedulerConfig::parse(&names.scheduler, parts.scheduler)?;
    let unet = UnetConfig::parse(&names.config, parts.config)?;
    let mut weights = weights::Weights::parse(&names.weights, parts.weights)?;
    let graph = unet::build(&unet, &mut weights)?;
    weights.finish()?;
    let config = serde_json::from_str(parts.config).unwrap_or(serde_json::Value::Null);
    let sha256 = Sha256::digest(parts.weights)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Checkpoint {
        name: parts.name.to_string(),
        graph,
        scheduler,
        sha256,
        config,
        unet,
        trained: None,
    })
}

struct Folders {
    name: String,
    root: PathBuf,
    unet: PathBuf,
    scheduler: PathBuf,
}

impl Folders {
    fn find(path: &Path) -> Result<Self, ImportError> {
        if !path.is_dir() {
            return Err(ImportError::NotAFolder { path: shown(path) });
        }
        let (unet, root) = if path.join("unet").is_dir() {
            (path.join("unet"), path.to_path_buf())
        } else if path.join("config.json").is_file() {
            (path.to_path_buf(), path.join(".."))
        } else {
            return Err(ImportError::NoUnet { path: shown(path) });
        };
        let scheduler = [root.join("scheduler"), path.join("scheduler")]
            .into_iter()
            .find(|folder| folder.is_dir());
        let Some(scheduler) = scheduler else {
            return Err(ImportError::NoScheduler {
                path: shown(&root.join("scheduler/scheduler_config.json")),
            });
        };
        Ok(Self {
            name: name_of(&root),
            root,
            unet,
            scheduler,
        })
    }
}

/// The last component of the folder's true path.
fn name_of(root: &Path) -> String {
    let full = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    full.file_name()
        .map_or_else(|| "model".to_string(), |name| name.to_string_lossy().into_owned())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Largest file read whole: a microcontroller's network is a few megabytes.
const MAX_BYTES: u64 = 4 << 30;

fn read(path: &Path, advice: &'static str) -> Result<Vec<u8>, ImportError> {
    let failed = |source| ImportError::Read {
        path: shown(path),
        source,
        advice,
    };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > MAX_BYTES {
        return Err(ImportError::TooLarge {
            path: shown(path),
            bytes,
            limit: MAX_BYTES,
        });
    }
    std::fs::read(path).map_err(failed)
}

fn read_text(path: &Path, advice: &'static str) -> Result<String, ImportError> {
    let bytes = read(path, advice)?;
    String::from_utf8(bytes).map_err(|_| ImportError::NotText { path: shown(path) })
}

fn read_weights(unet: &Path) -> Result<Vec<u8>, ImportError> {
    let file = unet.join(WEIGHTS_FILE);
    if !file.exists() {
        let others = [
            "diffusion_pytorch_model.bin",
            "diffusion_pytorch_model.safetensors.index.json",
        ];
        if let Some(found) = others.into_iter().find(|name| unet.join(name).exists()) {
            return Err(ImportError::OtherWeights {
                path: shown(&file),
                found,
            });
        }
    }
    read(
        &file,
        "save the model with save_pretrained(folder, safe_serialization=True)",
    )
}
