//! Float tensors from a safetensors file: starting noise and reference images.

use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// A tensor with its values in f64.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Its key.
    pub key: String,
    /// Extents.
    pub shape: Vec<usize>,
    /// Row-major.
    pub data: Vec<f64>,
}

/// A file or tensor that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TensorsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is damaged.
    #[error("{path} is not a whole safetensors file: {problem}")]
    Container {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// A safetensors file's bytes.
#[derive(Debug)]
pub struct TensorFile {
    path: String,
    bytes: Vec<u8>,
}

impl TensorFile {
    /// Reads `path`.
    pub fn read(path: &Path) -> Result<Self, TensorsError> {
        let shown = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| TensorsError::Read {
            path: shown.clone(),
            source,
        })?;
        let file = Self { path: shown, bytes };
        file.open().map(|_| ())?;
        Ok(file)
    }

    fn open(&self) -> Result<SafeTensors<'_>, TensorsError> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| TensorsError::Container {
            path: self.path.clone(),
            problem: error.to_string(),
        })
    }

    /// Keys of the file, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self
            .open()
            .map(|file| file.names().into_iter().map(String::from).collect())
            .unwrap_or_default();
        keys.sort();
        keys
    }

    /// The tensor `key`; `None` when it is missing or of a type that is neither float nor integer.
    pub fn values(&self, key: &str) -> Option<Values> {
        let file = self.open().ok()?;
        let view = file.tensor(key).ok()?;
        let data = widen(view.dtype(), view.data())?;
        Some(Values {
            key: key.to_owned(),
            shape: view.shape().to_vec(),
            data,
        })
    }
}

/// Little-endian numbers as f64; `None` for a type that is neither float nor integer.
pub(crate) fn widen(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f64>> {
    Some(match dtype {
        Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::F32 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from(f32::from_le_bytes(*b)))
            .collect(),
        Dtype::I64 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b) as f64)
            .collect(),
        Dtype::I32 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from(i32::from_le_bytes(*b)))
            .collect(),
        _ => return None,
    })
}

/// `chw`, `(channel, row, col)`, as `(row, col, channel)`.
pub fn to_hwc<T: Copy>(chw: &[T], channels: usize) -> Vec<T> {
    let positions = chw.len() / channels.max(1);
    (0..positions)
        .flat_map(|p| (0..channels).map(move |c| chw[c * positions + p]))
        .collect()
}

/// `hwc`, `(row, col, channel)`, as `(channel, row, col)`.
pub fn to_chw<T: Copy>(hwc: &[T], channels: usize) -> Vec<T> {
    (0..channels)
        .flat_map(|c| hwc.iter().skip(c).step_by(channels.max(1)).copied())
        .collect()
}

/// `value` in Q24, rounded half up; `None` outside the sampler's range of +-64, and for NaN.
pub fn to_q24(value: f64) -> Option<i32> {
    (value.abs() <= 64.0).then(|| (value * 16_777_216.0 + 0.5).floor() as i32)
}

/// A Q24 value as a number.
pub fn from_q24(value: i32) -> f64 {
    f64::from(value) / 16_777_216.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_each_other_s_inverse() {
        let chw = [1, 2, 3, 4, 5, 6];
        assert_eq!(to_hwc(&chw, 2), [1, 4, 2, 5, 3, 6]);
        assert_eq!(to_chw(&to_hwc(&chw, 2), 2), chw);
    }

    #[test]
    fn q24_refuses_what_the_sampler_cannot_hold() {
        assert_eq!(to_q24(-1.0), Some(-(1 << 24)));
        assert_eq!(to_q24(f64::NAN), None);
        assert_eq!(to_q24(64.5), None);
    }
}
