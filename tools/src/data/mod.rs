//! Images to train on: IDX files (gzip or plain), `.npz` archives, folders of PNG files.
//!
//! ```text
//! file or folder ──▶ idx.rs, npz.rs, folder.rs ──▶ Raw ──▶ shape.rs: size, range, what is held out ──▶ Dataset
//! ```

mod folder;
mod idx;
mod npy;
mod npz;
mod shape;

pub use shape::Wanted;

use mote_host::train::dataset::Dataset;
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

/// Images as a file holds them.
#[derive(Debug, Clone, Default, PartialEq)]
struct Raw {
    /// `(channel, row, col)`.
    shape: [usize; 3],
    /// `(image, channel, row, col)`.
    pixels: Vec<f32>,
    /// A label an image, or none at all.
    labels: Vec<usize>,
    /// Pixels and labels that the file itself holds out.
    held_out: Option<(Vec<f32>, Vec<usize>)>,
    /// The values of black and white, where the format says.
    range: Option<[f32; 2]>,
}

/// Loads what is in `path`.
pub fn load(path: &Path, wanted: &Wanted) -> Result<Dataset, DataError> {
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let raw = if path.is_dir() {
        folder::read(path)?
    } else if name.ends_with(".npz") {
        npz::read(path)?
    } else {
        idx::read(path)?
    };
    shape::dataset(path, raw, wanted)
}

/// The whole of a file.
fn bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Read {
        path: path.to_owned(),
        source,
    })
}

/// That `path` is not what it should be.
fn content(path: &Path, problem: impl ToString) -> DataError {
    DataError::Content {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

/// Largest content of one compressed file: stops an archive that is small only on disk.
const MAX_BYTES: u64 = 4 << 30;

#[cfg(test)]
mod tests;
