//! Images to train and to measure on: IDX files (gzip or plain), `.npz` archives, folders of PNG files.
//!
//! ```text
//!                                                 ┌─▶ training.rs: range, what is held out ──▶ Dataset
//! file or folder ──▶ idx.rs, npz.rs, folder.rs ──▶ Raw    (size.rs)
//!                                                 └─▶ discrete.rs: levels, a choice of them ──▶ Discrete
//! ```

mod discrete;
mod folder;
mod idx;
pub(crate) mod npy;
mod npz;
mod size;
mod training;

pub use discrete::Discrete;
pub(crate) use npz::array;
pub use training::DataOptions;

use crate::files::Form;
use crate::tensors::to_chw;
use mote_train::dataset::{Dataset, Images};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Data that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Parts of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// What models are trained on.
    Train,
    /// What is held out.
    Test,
}

impl Split {
    /// As array names have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// Images as a file holds them, values not scaled.
#[derive(Debug, Clone, Default, PartialEq)]
struct Raw {
    /// `(channel, row, col)`.
    shape: [usize; 3],
    /// What the file says is to train on.
    train: Option<Images>,
    /// What the file itself holds out.
    test: Option<Images>,
    /// Images that it says nothing about.
    all: Option<Images>,
    /// The values of black and white, where the format says.
    range: Option<[f32; 2]>,
}

impl Raw {
    /// Takes a part out; images that belong to none are every part's.
    fn take(&mut self, split: Split) -> Option<Images> {
        let part = match split {
            Split::Train => self.train.take(),
            Split::Test => self.test.take(),
        };
        part.or_else(|| self.all.take())
    }

    fn parts(&self) -> impl Iterator<Item = &Images> {
        [&self.train, &self.test, &self.all].into_iter().flatten()
    }

    /// White, or the largest value found.
    fn top(&self) -> f32 {
        let values = || self.parts().flat_map(|part| &part.pixels);
        self.range
            .map_or_else(|| values().fold(0.0, |m: f32, v| m.max(*v)), |[_, white]| white)
    }
}

/// What is in `path`, to train on.
pub fn load(path: &Path, wanted: &DataOptions) -> Result<Dataset, DataError> {
    let channels = wanted.shape.map(|shape| shape[0]);
    training::dataset(path, read(path, channels)?, wanted)
}

/// One part of what is in `path`, to measure on: `count` images spread evenly over it, all where it has fewer, at `shape`,
/// `(channel, row, col)`. Folders, IDX files and arrays that are named neither `train` nor `test` are either part, whole.
pub fn measured(path: &Path, split: Split, count: usize, shape: [usize; 3]) -> Result<Discrete, DataError> {
    Discrete::of(path, read(path, Some(shape[0]))?, split, count, shape)
}

/// Reads `path`, for a network of `channels` where that is known.
fn read(path: &Path, channels: Option<usize>) -> Result<Raw, DataError> {
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let raw = if path.is_dir() {
        folder::read(path, channels)?
    } else if name.ends_with(".npz") {
        npz::read(path)?
    } else {
        idx::read(path)?
    };
    let len: usize = raw.shape.iter().product();
    for part in raw.parts() {
        let count = part.pixels.len() / len.max(1);
        if count == 0 {
            return Err(content(path, "holds no images"));
        }
        if let Some(at) = part.pixels.iter().position(|v| !v.is_finite()) {
            let problem = format!(
                "holds the value {} in image {}, expected finite numbers",
                part.pixels[at],
                at / len
            );
            return Err(content(path, problem));
        }
        if !part.labels.is_empty() && part.labels.len() != count {
            let problem = format!("holds {} labels for {count} images", part.labels.len());
            return Err(content(path, problem));
        }
    }
    Ok(raw)
}

/// Class labels, whole numbers from 0 to 65535; or the place of the first number that is none, and that number.
fn whole(values: &[f32]) -> Result<Vec<usize>, (usize, f32)> {
    let label = |(i, v): (usize, &f32)| {
        let is_label = v.fract() == 0.0 && (0.0..=65535.0).contains(v);
        if is_label { Ok(*v as usize) } else { Err((i, *v)) }
    };
    values.iter().enumerate().map(label).collect()
}

/// `(image, row, col, channel)` as `(image, channel, row, col)`.
fn planes(pixels: Vec<f32>, [channels, rows, cols]: [usize; 3]) -> Vec<f32> {
    let len = channels * rows * cols;
    if channels == 1 || len == 0 {
        return pixels;
    }
    pixels
        .chunks_exact(len)
        .flat_map(|image| to_chw(image, channels))
        .collect()
}

/// Largest file that is read.
const MAX_BYTES: u64 = 4 << 30;

/// The whole of a file of that form.
fn bytes(path: &Path, form: Form) -> Result<Vec<u8>, DataError> {
    crate::files::read_as(path, MAX_BYTES, form).map_err(|source| match source.kind() {
        ErrorKind::InvalidData => content(path, source),
        _ => DataError::Read {
            path: path.to_owned(),
            source,
        },
    })
}

/// That `path` is not what it should be.
fn content(path: &Path, problem: impl ToString) -> DataError {
    DataError::Content {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests;
