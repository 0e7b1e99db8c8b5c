//! Float tensors from a safetensors file: starting noise and reference images.

use crate::files::{Form, read_as};
use mote_graph::config::printable;
use mote_import::widen;
use safetensors::{Dtype, SafeTensors};
use std::io::ErrorKind;
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
    /// The tensor is not there.
    #[error("{path} holds no tensor `{key}`")]
    Missing {
        /// The file.
        path: String,
        /// The tensor.
        key: String,
    },
    /// The tensor's elements are of another type than is read.
    #[error("{path}: `{key}` has elements of type {found}, expected {expected}")]
    Type {
        /// The file.
        path: String,
        /// The tensor.
        key: String,
        /// Its type.
        found: String,
        /// Types that are read.
        expected: &'static str,
    },
}

/// Largest file that is read.
const MAX_BYTES: u64 = 4 << 30;

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
        let bytes = read_as(path, MAX_BYTES, Form::SafeTensors).map_err(|source| match source.kind() {
            ErrorKind::InvalidData => TensorsError::Container {
                path: shown.clone(),
                problem: source.to_string(),
            },
            _ => TensorsError::Read {
                path: shown.clone(),
                source,
            },
        })?;
        let file = Self { path: shown, bytes };
        file.open().map(|_| ())?;
        Ok(file)
    }

    fn open(&self) -> Result<SafeTensors<'_>, TensorsError> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| TensorsError::Container {
            path: self.path.clone(),
            problem: printable(&error.to_string()),
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

    /// The tensor `key` of floats: F16, BF16, F32 or F64.
    ///
    /// # Errors
    /// [`TensorsError::Missing`], and [`TensorsError::Type`] for elements of another type.
    pub fn floats(&self, key: &str) -> Result<Values, TensorsError> {
        self.values(key, "F16, BF16, F32 or F64", |dtype| {
            matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64)
        })
    }

    /// The tensor `key` of floats or whole numbers.
    ///
    /// # Errors
    /// As [`TensorFile::floats`].
    pub fn numbers(&self, key: &str) -> Result<Values, TensorsError> {
        self.values(key, "floats or whole numbers", |_| true)
    }

    fn values(&self, key: &str, expected: &'static str, is: impl Fn(Dtype) -> bool) -> Result<Values, TensorsError> {
        let file = self.open()?;
        let missing = |_| TensorsError::Missing {
            path: self.path.clone(),
            key: printable(key),
        };
        let view = file.tensor(key).map_err(missing)?;
        let data = Some(view.dtype())
            .filter(|dtype| is(*dtype))
            .and_then(|dtype| widen(dtype, view.data()));
        Ok(Values {
            key: key.to_owned(),
            shape: view.shape().to_vec(),
            data: data.ok_or_else(|| TensorsError::Type {
                path: self.path.clone(),
                key: printable(key),
                found: format!("{:?}", view.dtype()),
                expected,
            })?,
        })
    }
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
    use half::{bf16, f16};

    #[test]
    fn layouts_are_each_other_s_inverse() {
        let chw = [1, 2, 3, 4, 5, 6];
        assert_eq!(to_hwc(&chw, 2), [1, 4, 2, 5, 3, 6]);
        assert_eq!(to_chw(&to_hwc(&chw, 2), 2), chw);
    }

    /// One number as every type that is read, and a type that is not.
    #[test]
    fn floats_of_every_width_are_read_and_whole_numbers_are_no_floats() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        let tensors: [(&str, Dtype, Vec<u8>); 13] = [
            ("f16", Dtype::F16, f16::from_f32(3.0).to_le_bytes().to_vec()),
            ("bf16", Dtype::BF16, bf16::from_f32(3.0).to_le_bytes().to_vec()),
            ("f32", Dtype::F32, 3f32.to_le_bytes().to_vec()),
            ("f64", Dtype::F64, 3f64.to_le_bytes().to_vec()),
            ("i8", Dtype::I8, vec![3]),
            ("u8", Dtype::U8, vec![3]),
            ("i16", Dtype::I16, 3i16.to_le_bytes().to_vec()),
            ("u16", Dtype::U16, 3u16.to_le_bytes().to_vec()),
            ("i32", Dtype::I32, 3i32.to_le_bytes().to_vec()),
            ("u32", Dtype::U32, 3u32.to_le_bytes().to_vec()),
            ("i64", Dtype::I64, 3i64.to_le_bytes().to_vec()),
            ("u64", Dtype::U64, 3u64.to_le_bytes().to_vec()),
            ("bool", Dtype::BOOL, vec![1]),
        ];
        let views = tensors.iter().map(|(key, dtype, data)| {
            (
                *key,
                safetensors::tensor::TensorView::new(*dtype, vec![1], data).unwrap(),
            )
        });
        safetensors::serialize_to_file(views, None, &path).unwrap();
        let file = TensorFile::read(&path).unwrap();
        for (key, dtype, _) in &tensors {
            let (floats, numbers) = (file.floats(key), file.numbers(key));
            let float = key.contains('f');
            assert_eq!(floats.is_ok(), float, "{key}");
            assert_eq!(numbers.is_ok(), *key != "bool", "{key}");
            assert!(
                floats.into_iter().chain(numbers).all(|values| values.data == [3.0]),
                "{key}"
            );
            if !float {
                let error = file.floats(key).unwrap_err().to_string();
                let said =
                    format!("a.safetensors: `{key}` has elements of type {dtype:?}, expected F16, BF16, F32 or F64");
                assert!(error.ends_with(&said), "{error}");
            }
        }
        assert!(
            file.floats("x")
                .unwrap_err()
                .to_string()
                .ends_with("holds no tensor `x`")
        );
    }

    #[test]
    fn q24_refuses_what_the_sampler_cannot_hold() {
        assert_eq!(to_q24(-1.0), Some(-(1 << 24)));
        assert_eq!(to_q24(f64::NAN), None);
        assert_eq!(to_q24(64.5), None);
    }
}
