//! Where a diffusers network of one class lies: in a pipeline's folder, or alone.

use super::ImportError;
use super::autoencoder;
use super::index::{Component, Index};
use super::native::{Native, Settings};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The class of a network, and the folder of it in a pipeline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    /// `_class_name` of its `config.json`.
    pub name: &'static str,
    pub folder: &'static str,
}

/// Where a checkpoint lies.
#[derive(Debug)]
pub(super) struct NetworkPlace {
    class: Class,
    /// Holds `config.json` and the weights.
    pub network: PathBuf,
    /// Holds the scheduler, and the pipeline's index where there is one.
    root: PathBuf,
}

impl NetworkPlace {
    /// The checkpoint of `class` that `path` is meant to be; `None` where another importer reads it.
    pub fn find(path: &Path, class: Class) -> Option<Self> {
        let is = |folder: &Path| {
            Settings::peek(&folder.join("config.json"), |fields| {
                fields.get("_class_name").and_then(Value::as_str) == Some(class.name)
            })
        };
        let of = |network: PathBuf, root: PathBuf| Self { class, network, root };
        let inside = path.join(class.folder);
        if is(&inside) {
            return Some(of(inside, path.to_path_buf()));
        }
        is(path).then(|| {
            let alone = path.join("scheduler").is_dir() || path.join("scheduler_config.json").is_file();
            let root = if alone { path.to_path_buf() } else { path.join("..") };
            of(path.to_path_buf(), root)
        })
    }

    /// Opens its weights, which hold the tensor `known`. A pipeline with a second network is refused by that network's name, unless that is the
    /// autoencoder of its latents.
    pub fn open(&self, known: &str) -> Result<Native, ImportError> {
        let Class { name, folder } = self.class;
        let index = Index::read(&self.root)?.filter(|index| index.has(folder, name));
        if let Some(index) = &index
            && self.network == self.root.join(folder)
            && let Some(other) = index.others(folder).into_iter().find(|other| !self.decodes(other))
        {
            return Err(index.refuse(other, &self.network.display().to_string()));
        }
        let mut native = Native::open_folder(&self.network, known)?;
        native.part_of(&self.root, index.and_then(|index| index.scheduler_class()));
        Ok(native)
    }

    /// Whether a part is an autoencoder that is here, whose decoder is read beside the network.
    fn decodes(&self, part: &Component) -> bool {
        autoencoder::is_read(&part.class) && self.root.join(&part.name).join("config.json").is_file()
    }
}
