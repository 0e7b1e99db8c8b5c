//! `model_index.json` of a diffusers pipeline: which parts it has, and which class reads each.

use super::{ImportError, shown};
use crate::files;
use mote_graph::config;
use mote_graph::config::ConfigError;
use serde_json::Value;
use std::path::Path;

/// The one class of network that is converted.
pub(super) const NETWORK: &str = "UNet2DModel";
/// The index's name.
const FILE: &str = "model_index.json";

/// A part of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Component {
    /// The key, which names its folder too.
    pub name: String,
    library: String,
    /// The class that reads it.
    pub class: String,
}

impl Component {
    /// As errors and notes show it.
    pub fn shown(&self) -> String {
        format!("`{}`: {} of {}", self.name, self.class, self.library)
            .escape_debug()
            .take(200)
            .collect()
    }
}

/// A pipeline's index.
#[derive(Debug)]
pub(super) struct Index {
    file: String,
    components: Vec<Component>,
}

impl Index {
    /// Reads the index in `folder`; `None` where there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, ImportError> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let file = shown(&path);
        let text = files::text(&path, files::SMALL).map_err(|source| ImportError::Read {
            path: file.clone(),
            source,
            advice: "save the pipeline again, or give the folder of its network",
        })?;
        let map = config::object(&file, &text)?;
        Ok(Some(Self {
            components: map.iter().filter_map(component).collect(),
            file,
        }))
    }

    /// Its path, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The network to convert: `unet`, or the only one of its class.
    pub fn network(&self) -> Result<&Component, ImportError> {
        let networks: Vec<&Component> = self.components.iter().filter(|c| c.class == NETWORK).collect();
        if let Some(unet) = networks.iter().find(|c| c.name == "unet") {
            return Ok(unet);
        }
        if let [only] = networks[..] {
            return Ok(only);
        }
        let unet = self.components.iter().find(|c| c.name == "unet");
        Err(ImportError::Config(ConfigError {
            file: self.file.clone(),
            field: "unet".to_string(),
            value: unet.map_or("missing".to_string(), |c| {
                config::printable(&format!("{} of {}", c.class, c.library))
            }),
            problem: format!("the network that is converted is a {NETWORK}: give the folder of one"),
        }))
    }

    /// Whether it has a part of this name and class.
    pub fn has(&self, name: &str, class: &str) -> bool {
        self.components.iter().any(|c| c.name == name && c.class == class)
    }

    /// The parts beside the network `taken` and the scheduler.
    pub fn others(&self, taken: &str) -> Vec<&Component> {
        let other = |c: &&Component| c.name != taken && c.name != "scheduler";
        self.components.iter().filter(other).collect()
    }

    /// The autoencoder whose decoder makes pictures of what the network makes.
    pub fn autoencoder(&self) -> Option<&Component> {
        self.components.iter().find(|c| super::autoencoder::is_read(&c.class))
    }

    /// Whether a network of this name is a part that could be converted.
    pub fn holds(&self, name: &str) -> bool {
        self.components.iter().any(|c| c.name == name && c.class == NETWORK)
    }

    /// The class that reads the scheduler's configuration.
    pub fn scheduler_class(&self) -> Option<String> {
        let scheduler = self.components.iter().find(|c| c.name == "scheduler")?;
        Some(scheduler.class.clone())
    }

    /// The error that `other` is a part of this pipeline; its network lies in `network`.
    pub fn refuse(&self, other: &Component, network: &str) -> ImportError {
        ImportError::Config(ConfigError {
            file: self.file.clone(),
            field: config::printable(&other.name),
            value: config::shown(&Value::from(vec![other.library.as_str(), other.class.as_str()])),
            problem: format!(
                "the network is one of several parts of this pipeline, and a model file holds the network alone: what it makes \
                 would be no image without {}; to convert the network all the same, give its folder, {network}",
                config::printable(&other.class)
            ),
        })
    }
}

/// A part: its key, and `[library, class]`. Switches of the pipeline are no parts, nor is one that was left out.
fn component((key, value): (&String, &Value)) -> Option<Component> {
    let [library, class] = value.as_array()?.as_slice() else {
        return None;
    };
    if key.starts_with('_') {
        return None;
    }
    Some(Component {
        name: key.clone(),
        library: library.as_str()?.to_string(),
        class: class.as_str()?.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> Index {
        let map = config::object(FILE, text).unwrap();
        Index {
            file: FILE.to_string(),
            components: map.iter().filter_map(component).collect(),
        }
    }

    #[test]
    fn parts_are_pairs_of_library_and_class() {
        let index = index(
            r#"{"_class_name": "X", "unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDIMScheduler"],
                "feature_extractor": [null, null], "requires_safety_checker": true}"#,
        );
        assert_eq!(index.network().unwrap().name, "unet");
        assert_eq!(index.scheduler_class().unwrap(), "DDIMScheduler");
        assert!(index.others("unet").is_empty());
    }

    #[test]
    fn the_network_is_named_or_the_only_one() {
        let other = index(r#"{"denoiser": ["diffusers", "UNet2DModel"], "vae": ["diffusers", "AutoencoderKL"]}"#);
        assert_eq!(other.network().unwrap().name, "denoiser");
        let error = other.refuse(other.others("denoiser")[0], "x/denoiser").to_string();
        assert!(
            error.starts_with(r#"model_index.json: `vae` is ["diffusers","AutoencoderKL"]: "#)
                && error.contains("x/denoiser"),
            "{error}"
        );
        let error = index(r#"{"unet": ["diffusers", "UNet2DConditionModel"]}"#)
            .network()
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("model_index.json: `unet` is UNet2DConditionModel of diffusers: ")
                && error.contains(NETWORK),
            "{error}"
        );
    }
}
