//! Images to measure a model on: whole-number pixels of a file, made to fit a network's sample.
//!
//! - [`npz`]: NumPy archives, of [`npy`] arrays in a [`zip`] file; [`idx`]: the format of MNIST; [`fit`]: another size by area or by padding.
//!
//! A pixel of `levels` values, 0 to `levels - 1`, is scaled linearly to -1 to 1, so that neighbouring values are
//! [`Images::bin`] apart: the discrete data that a bound in bits is about.

pub mod fit;
pub mod idx;
pub mod npy;
pub mod npz;
pub mod zip;

use std::path::Path;
use thiserror::Error;

/// Images of one size, with class labels where the file has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// `(channel, row, col)`.
    pub shape: [usize; 3],
    /// Values that a pixel can have: 256, or what the data use.
    pub levels: usize,
    /// Pixels `0..levels`, `(image, channel, row, col)`.
    pub pixels: Vec<u16>,
    /// A class an image; empty where there are none.
    pub labels: Vec<usize>,
}

/// Which part of a data set is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// What models were trained on.
    Train,
    /// What was held out.
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

/// Data that cannot be read or used.
#[derive(Debug, Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is damaged or holds something else.
    #[error("{path}: {problem}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The images do not suit the network.
    #[error("the data have {found}, the network takes {expected}")]
    Shape {
        /// What the network takes.
        expected: String,
        /// What the data have.
        found: String,
    },
}

impl DataError {
    fn format(path: &Path, problem: impl ToString) -> Self {
        Self::Format {
            path: path.display().to_string(),
            problem: problem.to_string(),
        }
    }
}

/// Reads `path`: a NumPy archive (`.npz`) with arrays `{split}_x` and `{split}_y`, or an IDX file of images, gzipped or not.
pub fn read(path: &Path, split: Split) -> Result<Images, DataError> {
    let images = if path.extension().is_some_and(|extension| extension == "npz") {
        npz::read(path, split)?
    } else {
        idx::read(path)?
    };
    if images.is_empty() {
        return Err(DataError::format(path, "it holds no images"));
    }
    Ok(images)
}

impl Images {
    /// Elements of an image.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pixels.len() / self.dims().max(1)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Distance of neighbouring pixel values after scaling: `2 / (levels - 1)`.
    #[must_use]
    pub fn bin(&self) -> f64 {
        2.0 / (self.levels.max(2) - 1) as f64
    }

    /// Image `index` scaled to -1 to 1, `(channel, row, col)`.
    #[must_use]
    pub fn scaled(&self, index: usize) -> Vec<f64> {
        let image = self.pixels.chunks_exact(self.dims()).nth(index).unwrap_or(&[]);
        image.iter().map(|v| f64::from(*v) * self.bin() - 1.0).collect()
    }

    /// `count` images spread evenly over the set, all where it has fewer; their labels with them.
    #[must_use]
    pub fn spread(&self, count: usize) -> Self {
        let count = count.min(self.len());
        let chosen: Vec<usize> = (0..count).map(|i| i * self.len() / count).collect();
        let dims = self.dims();
        Self {
            pixels: chosen
                .iter()
                .flat_map(|i| &self.pixels[i * dims..(i + 1) * dims])
                .copied()
                .collect(),
            labels: chosen.iter().filter_map(|i| self.labels.get(*i)).copied().collect(),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_range_are_minus_one_and_one() {
        let images = Images {
            shape: [1, 1, 3],
            levels: 17,
            pixels: vec![0, 8, 16, 1, 2, 3],
            labels: vec![4, 5],
        };
        assert_eq!(images.scaled(0), [-1.0, 0.0, 1.0]);
        assert_eq!((images.len(), images.bin()), (2, 0.125));
        let last = images.spread(1);
        assert_eq!((last.pixels, last.labels), (vec![0, 8, 16], vec![4]));
        assert_eq!(images.spread(9), images);
    }
}
