//! Files of weights as diffusers writes them: one file, shards with an index, either of them of a variant.
//!
//! ```text
//! diffusion_pytorch_model.safetensors              ┐ without a variant, else of the only variant
//! diffusion_pytorch_model.fp16.safetensors         ┘
//! diffusion_pytorch_model.safetensors.index.json   ─▶ weight_map: tensor ─▶ file
//! diffusion_pytorch_model.safetensors.index.fp16.json
//! ```

use super::{ImportError, WEIGHTS_FILE, shown};
use crate::files;
use mote_graph::config;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// Begins every name of a file of weights.
const STEM: &str = "diffusion_pytorch_model";
/// Largest files that are read, all together: a microcontroller's network is a few megabytes.
const MAX_BYTES: u64 = 4 << 30;

/// A file of weights: its path, for errors, and its bytes.
pub(super) type Stored = (String, Vec<u8>);

/// Reads the weights in `folder`, in order of their names; and what a user should know of the choice.
pub(super) fn read(folder: &Path) -> Result<(Vec<Stored>, Vec<String>), ImportError> {
    let plain = folder.join(WEIGHTS_FILE);
    if plain.exists() {
        return Ok((vec![whole(&plain, MAX_BYTES)?], vec![]));
    }
    let index = folder.join(format!("{WEIGHTS_FILE}.index.json"));
    if index.exists() {
        return Ok((shards(folder, &index)?, vec![]));
    }
    let variants = variants(folder);
    match &variants[..] {
        [] => Err(missing(folder, &plain)),
        [only] => {
            let path = folder.join(only);
            let note = format!("the weights are those of a variant, {}", shown(&path));
            let stored = if only.ends_with(".json") {
                shards(folder, &path)?
            } else {
                vec![whole(&path, MAX_BYTES)?]
            };
            Ok((stored, vec![note]))
        }
        several => Err(ImportError::Variants {
            path: shown(&plain),
            found: several.join(", "),
        }),
    }
}

/// Names of the files of variants, each once: an index, or a file that is no shard.
fn variants(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return vec![];
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let rest = name.strip_prefix(STEM).unwrap_or_default();
            let index = rest.starts_with(".safetensors.index.") && rest.ends_with(".json");
            let shard = rest.contains("-of-");
            index || (rest.starts_with('.') && rest.ends_with(".safetensors") && !shard)
        })
        .collect();
    names.sort();
    names
}

/// Why there are no weights: others lie there, or none.
fn missing(folder: &Path, plain: &Path) -> ImportError {
    let others = [
        "diffusion_pytorch_model.bin",
        "diffusion_pytorch_model.bin.index.json",
        "pytorch_model.bin",
        "diffusion_flax_model.msgpack",
    ];
    let other_name = folder.join("model.safetensors").exists();
    match others.into_iter().find(|name| folder.join(name).exists()) {
        Some(found) => ImportError::OtherWeights {
            path: shown(plain),
            found: found.to_string(),
        },
        None => ImportError::Read {
            path: shown(plain),
            source: io::ErrorKind::NotFound.into(),
            advice: if other_name {
                "model.safetensors lies there: rename it to this name, where it is this network's"
            } else {
                "save the model with save_pretrained(folder, safe_serialization=True)"
            },
        },
    }
}

/// A safetensors file of at most `most` bytes. Its first bytes are looked at before the rest is read.
fn whole(path: &Path, most: u64) -> Result<Stored, ImportError> {
    let failed = |source| ImportError::Read {
        path: shown(path),
        source,
        advice: "copy it again, or save the model again",
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_file() && metadata.len() > most {
        return Err(ImportError::TooLarge {
            path: shown(path),
            bytes: metadata.len(),
            limit: most,
        });
    }
    let bytes = files::read_as(path, most, files::Form::SafeTensors).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => ImportError::Container {
            path: shown(path),
            problem: source.to_string(),
        },
        _ => failed(source),
    })?;
    Ok((shown(path), bytes))
}

/// The shards that `index` names, each tensor in the file that the index says.
fn shards(folder: &Path, index: &Path) -> Result<Vec<Stored>, ImportError> {
    let text = files::text(index, files::SMALL).map_err(|source| ImportError::Read {
        path: shown(index),
        source,
        advice: "copy it again, or save the model again",
    })?;
    let wrong = |problem: String| ImportError::Shards {
        path: shown(index),
        problem,
    };
    let object = config::object(&shown(index), &text)?;
    let map = object.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| wrong("`weight_map` is no object that names a file for each tensor".to_string()))?;
    let mut held: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, file) in map {
        let name = file.as_str().filter(|name| is_plain(name));
        let name = name.ok_or_else(|| {
            let (key, value) = (config::printable(key), config::shown(file));
            wrong(format!(
                "`weight_map` has {value} for {key}, which names no file of this folder"
            ))
        })?;
        held.entry(name).or_default().insert(key);
    }
    let mut stored = vec![];
    let mut left = MAX_BYTES;
    for (name, keys) in held {
        let file = whole(&folder.join(name), left)?;
        left -= file.1.len() as u64;
        let tensors = safetensors::SafeTensors::deserialize(&file.1).map_err(|error| ImportError::Container {
            path: file.0.clone(),
            problem: config::printable(&error.to_string()),
        })?;
        let found: BTreeSet<&str> = tensors.names().into_iter().collect();
        if let Some(key) = keys.symmetric_difference(&found).next() {
            let says = if keys.contains(key) { "" } else { "not " };
            return Err(wrong(format!(
                "it does {says}name {name} for {}, and the file differs",
                key.escape_debug()
            )));
        }
        stored.push(file);
    }
    Ok(stored)
}

/// Whether `name` is the name of a file and no way out of the folder.
fn is_plain(name: &str) -> bool {
    name.ends_with(".safetensors") && Path::new(name).file_name().is_some_and(|own| own == name) && !name.contains('\\')
}
