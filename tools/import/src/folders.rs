//! Where a checkpoint's files lie: a pipeline's folder, the folder of one of its networks, or one folder for all files.
//!
//! Settings come from the checkpoint and from nowhere else: a folder beside the network's is looked at only where both are
//! parts of one pipeline.

use super::index::{Component, Index};
use super::{ImportError, UnetConfig, autoencoder, shown};
use mote_graph::config;
use std::path::{Path, PathBuf};

/// Folders of a network as diffusers names them; the second holds averaged weights.
const NETWORKS: [&str; 2] = ["unet", "unet_ema"];
/// The scheduler's configuration.
const SCHEDULER_FILE: &str = "scheduler_config.json";
/// File of facts of a chain of 2015, which is no network.
pub const CHAIN_FILE: &str = "chain.json";
/// Entries of a folder that are looked at.
const MOST_ENTRIES: usize = 10_000;

/// A checkpoint's folders and files.
#[derive(Debug)]
pub(super) struct Layout {
    /// Holds what belongs to the whole checkpoint.
    pub root: PathBuf,
    /// Holds the network's configuration and weights.
    pub network: PathBuf,
    /// The scheduler's configuration.
    pub scheduler: PathBuf,
    /// The class that reads it, where the pipeline's index says.
    pub scheduler_class: Option<String>,
    /// What a user should know of the choice made here.
    pub notes: Vec<String>,
}

impl Layout {
    /// Finds the checkpoint that `path` is meant to be.
    pub fn find(path: &Path) -> Result<Self, ImportError> {
        if !path.is_dir() {
            return Err(ImportError::NotAFolder { path: shown(path) });
        }
        if let Some(index) = Index::read(path)? {
            return Self::indexed(path, &index);
        }
        if path.join("unet").is_dir() {
            return Self::pipeline(path);
        }
        if path.join("config.json").is_file() {
            return Self::single(path);
        }
        if path.join(CHAIN_FILE).is_file() {
            return Err(ImportError::NoUnet {
                path: shown(path),
                advice: "it is a chain of 2015, which `mote convert`, `mote eval` and `mote train` take, and which has no float network to compare with"
                    .to_string(),
            });
        }
        let network = NETWORKS.into_iter().find(|name| path.join(name).is_dir());
        Err(ImportError::NoUnet {
            path: shown(path),
            advice: network.map_or_else(
                || "give the pipeline folder of a UNet2DModel or a DiTTransformer2DModel, the folder of its network, one with net.pt2 or net.onnx, or that of a policy, \
                     of lucidrains' weights or of an autoencoder"
                    .to_string(),
                |name| format!("give {}", shown(&path.join(name))),
            ),
        })
    }

    /// A pipeline with an index: a part lies in the folder of its name, or in the pipeline's own where there is none.
    fn indexed(path: &Path, index: &Index) -> Result<Self, ImportError> {
        let network = index.network()?;
        let others = index.others(&network.name);
        if let Some(other) = others.iter().find(|other| !autoencoder::is_read(&other.class)) {
            return Err(index.refuse(other, &shown(&folder_of(path, &network.name))));
        }
        Ok(Self {
            root: path.to_path_buf(),
            network: folder_of(path, &network.name),
            scheduler: scheduler_in(path)?,
            scheduler_class: index.scheduler_class(),
            notes: averages(path, &network.name),
        })
    }

    /// A pipeline without an index.
    fn pipeline(path: &Path) -> Result<Self, ImportError> {
        check_class(&path.join("unet"))?;
        if let Some((file, class)) = second_network(path, "unet").filter(|(_, class)| !autoencoder::is_read(class)) {
            return Err(ImportError::SecondNetwork {
                path: shown(&file),
                class,
                network: shown(&path.join("unet")),
            });
        }
        Ok(Self {
            root: path.to_path_buf(),
            network: path.join("unet"),
            scheduler: scheduler_in(path)?,
            scheduler_class: None,
            notes: averages(path, "unet"),
        })
    }

    /// One folder of a network: with its own scheduler, or a part of the pipeline above it.
    fn single(path: &Path) -> Result<Self, ImportError> {
        check_class(path)?;
        if path.join(SCHEDULER_FILE).is_file() || path.join("scheduler").is_dir() {
            if let Some((file, class)) = second_network(path, "") {
                return Err(ImportError::SecondNetwork {
                    path: shown(&file),
                    class,
                    network: shown(path),
                });
            }
            return Ok(Self {
                root: path.to_path_buf(),
                network: path.to_path_buf(),
                scheduler: scheduler_in(path)?,
                scheduler_class: None,
                notes: vec![],
            });
        }
        let above = path.join("..");
        let name = path.canonicalize().ok().and_then(|full| {
            let name = full.file_name()?.to_str()?;
            Some(name.to_string())
        });
        let index = Index::read(&above)?;
        let part = name.filter(|name| match &index {
            Some(index) => index.holds(name) || NETWORKS.contains(&name.as_str()),
            None => NETWORKS.contains(&name.as_str()),
        });
        let Some(name) = part else {
            return Err(ImportError::NoScheduler {
                path: shown(&path.join(SCHEDULER_FILE)),
            });
        };
        let mut notes = vec![];
        if let Some(index) = &index {
            let others = index.others(&name);
            let others: Vec<&Component> = others
                .into_iter()
                .filter(|c| !NETWORKS.contains(&c.name.as_str()))
                .collect();
            notes.extend(others.first().map(|other| {
                format!(
                    "{} names {} beside this network: what it makes is a part of that pipeline's work, and may be no image",
                    index.file(),
                    other.shown()
                )
            }));
        } else if let Some((file, class)) = second_network(&above, &name) {
            notes.push(format!(
                "{} is {class}: if both are of one pipeline, this network makes no image alone",
                shown(&file)
            ));
        }
        Ok(Self {
            scheduler: scheduler_in(&above)?,
            root: above,
            network: path.to_path_buf(),
            scheduler_class: index.and_then(|index| index.scheduler_class()),
            notes,
        })
    }
}

/// Refuses a network of another class, before anything that it lacks is asked for. Whether its configuration can be read is seen later.
fn check_class(network: &Path) -> Result<(), ImportError> {
    let file = network.join("config.json");
    match crate::files::text(&file, crate::files::SMALL) {
        Ok(text) => Ok(UnetConfig::check_class(&shown(&file), &text)?),
        Err(_) => Ok(()),
    }
}

/// Where the part `name` of a pipeline lies.
fn folder_of(root: &Path, name: &str) -> PathBuf {
    let own = root.join(name);
    if own.is_dir() { own } else { root.to_path_buf() }
}

/// The scheduler's configuration of the pipeline or of the single folder `root`.
pub(super) fn scheduler_in(root: &Path) -> Result<PathBuf, ImportError> {
    let own = root.join("scheduler");
    let (inside, flat) = (own.join(SCHEDULER_FILE), root.join(SCHEDULER_FILE));
    if own.is_dir() && (inside.is_file() || !flat.is_file()) {
        return Ok(inside);
    }
    if flat.is_file() {
        return Ok(flat);
    }
    Err(ImportError::NoScheduler { path: shown(&inside) })
}

/// A note about averaged weights that lie beside the network `taken`.
fn averages(root: &Path, taken: &str) -> Vec<String> {
    let ema = root.join("unet_ema");
    if taken == "unet_ema" || !ema.join("config.json").is_file() {
        return vec![];
    }
    vec![format!(
        "{} holds averaged weights of the network; {taken} is taken: give that folder to take them",
        shown(&ema)
    )]
}

/// A folder in `root` beside `taken` that holds another network's configuration: that file, and its class.
fn second_network(root: &Path, taken: &str) -> Option<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .ok()?
        .take(MOST_ENTRIES)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    folders.iter().find_map(|folder| {
        let name = folder.file_name()?.to_str()?;
        if name == taken || name.starts_with('.') || NETWORKS.contains(&name) {
            return None;
        }
        let file = folder.join("config.json");
        let text = crate::files::text(&file, crate::files::SMALL).ok()?;
        let fields = config::object("config.json", &text).ok()?;
        let class = ["_class_name", "model_type"]
            .into_iter()
            .find_map(|key| fields.get(key)?.as_str())?;
        (!class.ends_with("Scheduler")).then(|| (file, config::printable(class)))
    })
}
