//! Tensors of an ONNX file: in it, or in files beside it.

use super::meant;
use super::message;
use crate::exported::program::{Store, Stored};
use crate::exported::tensor::{Kind, Tensor};
use crate::files;
use crate::{ImportError, shown};
use mote_graph::config::printable;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Largest file that is read.
const MOST_BYTES: u64 = 1 << 30;
/// Most files beside it.
const MOST_FILES: usize = 64;

/// An ONNX file with its tensors.
#[derive(Debug)]
pub(in crate::exported) struct Source {
    path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) tensors: Vec<message::Tensor>,
    /// Files beside it, by the names that tensors give.
    beside: BTreeMap<String, Vec<u8>>,
}

impl Source {
    /// Reads the file `path`, without its tensors.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let bytes = files::read_as(path, MOST_BYTES, files::Form::Onnx)
            .map_err(|source| ImportError::unread(path, source, "copy it again, or export the network again"))?;
        Ok(Self {
            path: path.to_path_buf(),
            bytes,
            tensors: vec![],
            beside: BTreeMap::new(),
        })
    }

    /// Reads the files beside it that its tensors name: plain names of files in its own folder, or in one below that.
    pub fn read_beside(&mut self) -> Result<(), ImportError> {
        let mut names: Vec<String> = vec![];
        for tensor in self.tensors.iter().filter(|tensor| tensor.elsewhere) {
            let location = tensor.external.iter().find(|(key, _)| key == "location");
            let Some((_, location)) = location else {
                return Err(self.refuse(format!(
                    "tensor `{}` lies in another file, and none is named",
                    printable(&tensor.name)
                )));
            };
            if !names.contains(location) {
                names.push(location.clone());
            }
            if names.len() > MOST_FILES {
                return Err(self.refuse(format!("its tensors lie in more than {MOST_FILES} files")));
            }
        }
        let mut left = MOST_BYTES;
        for name in names {
            let path = self.inside(&name)?;
            let bytes = files::read(&path, left).map_err(|source| ImportError::Read {
                path: shown(&path),
                source,
                advice: "it holds tensors of the ONNX file: copy it too, or save the network with external_data=False",
            })?;
            left -= bytes.len() as u64;
            self.beside.insert(name, bytes);
        }
        Ok(())
    }

    /// The file `name` beside this one, whose path must not leave the folder.
    fn inside(&self, name: &str) -> Result<PathBuf, ImportError> {
        let refuse = || {
            self.refuse(format!(
                "its tensors lie in `{}`, which is outside of its folder: a file of tensors lies beside the ONNX file",
                printable(name)
            ))
        };
        let plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
        let relative = Path::new(name);
        if name.is_empty() || name.len() > 4096 || name.contains(['\\', '\0']) || !relative.components().all(plain) {
            return Err(refuse());
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let path = folder.join(relative);
        // A link must not lead out of it either.
        if let (Ok(own), Ok(found)) = (folder.canonicalize(), path.canonicalize())
            && !found.starts_with(&own)
        {
            return Err(refuse());
        }
        Ok(path)
    }

    /// SHA-256 of the file, and of those beside it by name.
    pub fn sha256(&self) -> String {
        let beside = self.beside.values().map(|bytes| &bytes[..]);
        files::sha256_of([&self.bytes[..]].into_iter().chain(beside))
    }

    fn held(&self, held: &message::Tensor) -> Result<Tensor, String> {
        let kind = kind(held.kind)?;
        let sizes = super::extents(&held.dims)?;
        let count: usize = sizes.iter().product();
        let bytes = self.bytes_of(held)?;
        let expected = count * kind.bytes();
        if bytes.len() != expected {
            return Err(format!(
                "of extents {sizes:?} has {} bytes, and {expected} were expected",
                bytes.len()
            ));
        }
        let mut strides = vec![1; sizes.len()];
        for i in (1..sizes.len()).rev() {
            strides[i - 1] = strides[i] * sizes[i];
        }
        let tensor = Tensor::stored(kind, sizes, &strides, 0, bytes)?;
        Ok(meant::number(tensor))
    }

    fn bytes_of<'a>(&'a self, held: &'a message::Tensor) -> Result<&'a [u8], String> {
        if !held.elsewhere {
            return Ok(held.raw.as_ref().map_or(&held.typed, |raw| &self.bytes[raw.clone()]));
        }
        let entry = |key: &str| held.external.iter().find(|(own, _)| own == key).map(|(_, value)| value);
        let number = |key: &str| -> Result<Option<usize>, String> {
            let parsed = entry(key).map(|value| value.parse::<usize>()).transpose();
            parsed.map_err(|_| format!("has a `{key}` that is no number of bytes"))
        };
        let file = entry("location").and_then(|name| self.beside.get(name));
        let file = file.ok_or("lies in a file that was not read")?;
        let first = number("offset")?.unwrap_or(0);
        let past = match number("length")? {
            Some(length) => first.checked_add(length),
            None => Some(file.len()),
        };
        let part = past.and_then(|past| file.get(first..past));
        part.ok_or_else(|| format!("lies outside of the {} bytes of its file: copy that again", file.len()))
    }
}

impl Store for Source {
    fn path(&self) -> String {
        shown(&self.path)
    }

    fn refuse(&self, problem: String) -> ImportError {
        ImportError::Exported {
            path: shown(&self.path),
            problem,
        }
    }

    fn tensor(&mut self, stored: &Stored) -> Result<Tensor, ImportError> {
        let held = stored.index().and_then(|index| self.tensors.get(index));
        let read = held
            .ok_or_else(|| "is not there".to_string())
            .and_then(|held| self.held(held));
        read.map_err(|problem| self.refuse(format!("tensor `{}` {problem}", printable(&stored.key))))
    }
}

/// The type of that number in `onnx.proto`.
pub(super) fn kind(number: i64) -> Result<Kind, String> {
    Ok(match number {
        1 => Kind::F32,
        2 => Kind::U8,
        3 => Kind::I8,
        5 => Kind::I16,
        6 => Kind::I32,
        7 => Kind::I64,
        9 => Kind::Bool,
        10 => Kind::F16,
        11 => Kind::F64,
        16 => Kind::Bf16,
        other => return Err(format!("has element type {other}, which is not read")),
    })
}
