//! Where images start other than at a seed: noise from a file, or a clean image.

use crate::files::{Expected, keyed, read_file};
use crate::images::{Picture, Shape, decode};
use crate::tensors::{TensorFile, TensorsError, Values, to_chw, to_hwc, to_q24};
use crate::{Error, ErrorKind};
use mote_runtime::internals::sampler::UNKNOWN;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const PNG: Expected = Expected {
    what: "a PNG file",
    advice: "give the path of a PNG file",
    most_bytes: 1 << 32,
    head: |head| match head {
        [0x89, b'P', b'N', b'G', ..] => Ok(u64::MAX),
        _ => Err("it is no PNG file"),
    },
};
/// The key that is taken where none is given.
const NOISE_KEY: &str = "noise";

/// The samples of the tensor that `given` names, as `FILE` or `FILE:KEY`: Q24, `(row, col, channel)`, one sample of `shape` each. The tensor
/// is float, `(sample, channel, row, col)` or one sample of it.
///
/// # Errors
/// Of kind `Input`, with file, key and what is expected.
pub fn noise_of_file(given: impl AsRef<OsStr>, shape: Shape) -> Result<Vec<Vec<i32>>, Error> {
    let (path, key) = keyed(given.as_ref());
    let file = TensorFile::read(&path).map_err(|error| {
        Error::coded(ErrorKind::Input, error).help("give --noise FILE.safetensors or FILE.safetensors:KEY")
    })?;
    let values = tensor(&file, &path, key.as_deref())?;
    let wanted = [shape.channels, shape.rows, shape.cols];
    let axes = Axes::of(&values.shape, shape);
    let Some(axes) = axes else {
        return Err(Error::input(format_args!(
            "{}: `{}` has shape {:?}, expected [n, {}, {}, {}]",
            path.display(),
            values.key,
            values.shape,
            wanted[0],
            wanted[1],
            wanted[2]
        ))
        .help("noise is float, (sample, channel, row, col), of the model's sample size; of signals (sample, channel, time) as well"));
    };
    values
        .data
        .chunks_exact(shape.len())
        .enumerate()
        .map(|(i, sample)| one(&path, &values.key, i, &axes.to_hwc(sample, shape)))
        .collect()
}

/// In which order a file has the axes of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axes {
    /// `(channel, row, col)`; of a signal `(channel, time)` as well.
    Planes,
    /// `(time, channel)`: of a signal, as policies have their actions.
    Times,
}

impl Axes {
    /// That of a tensor of samples, or of one sample, of `shape`; `None` where it is none.
    pub(crate) fn of(extents: &[usize], shape: Shape) -> Option<Self> {
        let Shape { rows, cols, channels } = shape;
        let is = |wanted: &[usize]| match extents {
            [n, rest @ ..] if rest == wanted => *n > 0,
            whole => whole == wanted,
        };
        if is(&[channels, rows, cols]) || rows == 1 && is(&[channels, cols]) {
            return Some(Self::Planes);
        }
        (rows == 1 && is(&[cols, channels])).then_some(Self::Times)
    }

    /// A sample as `(row, col, channel)`.
    fn to_hwc(self, sample: &[f64], shape: Shape) -> Vec<f64> {
        match self {
            Self::Planes => to_hwc(sample, shape.channels),
            Self::Times => sample.to_vec(),
        }
    }

    /// A sample as `(channel, row, col)`.
    pub(crate) fn to_chw(self, sample: &[f64], shape: Shape) -> Vec<f64> {
        match self {
            Self::Planes => sample.to_vec(),
            Self::Times => to_chw(sample, shape.channels),
        }
    }
}

fn one(path: &Path, key: &str, index: usize, hwc: &[f64]) -> Result<Vec<i32>, Error> {
    let noise: Option<Vec<i32>> = hwc.iter().map(|v| to_q24(*v)).collect();
    noise.ok_or_else(|| {
        Error::input(format_args!(
            "{}: sample {index} of `{key}` holds a value that is not a number or beyond 64",
            path.display()
        ))
        .help("starting noise is standard normal: check how it was exported")
    })
}

/// The file that `given` names, as `FILE` or `FILE:KEY`.
#[must_use]
pub fn file_of_noise(given: impl AsRef<OsStr>) -> PathBuf {
    keyed(given.as_ref()).0
}

fn tensor(file: &TensorFile, path: &Path, key: Option<&str>) -> Result<Values, Error> {
    let keys = file.keys();
    let key = match key {
        Some(key) => key,
        None if keys.iter().any(|key| key == NOISE_KEY) => NOISE_KEY,
        None if keys.len() == 1 => &keys[0],
        None => {
            return Err(Error::input(format_args!(
                "{} holds {} tensors and none is called `{NOISE_KEY}`",
                path.display(),
                keys.len()
            ))
            .help(format_args!(
                "name one: --noise {}:KEY, with KEY among {}",
                path.display(),
                some(&keys)
            )));
        }
    };
    file.floats(key).map_err(|error| {
        let help = match error {
            TensorsError::Missing { .. } => format!("it holds {}", some(&keys)),
            _ => "starting noise is float: convert it before it is saved".to_owned(),
        };
        Error::coded(ErrorKind::Input, error).help(help)
    })
}

fn some(keys: &[String]) -> String {
    let shown: Vec<&str> = keys.iter().take(8).map(String::as_str).collect();
    shown.join(", ") + if keys.len() > 8 { ", ..." } else { "" }
}

/// The elements of `image_q24` where the PNG file `mask` is dark, and [`UNKNOWN`] where it is light. Both have `shape`.
///
/// # Errors
/// As [`sample_of_png`].
pub fn known_elements(image_q24: &[i32], mask: &Path, shape: Shape) -> Result<Vec<i32>, Error> {
    let mask_q24 = sample_of_png(mask, Shape { channels: 1, ..shape })?;
    let made: Vec<bool> = mask_q24.iter().map(|light| *light > 0).collect();
    known_where(image_q24, &made, shape)
}

/// The elements of `image_q24` at the positions where `made` is false, and [`UNKNOWN`] where it is true: a position is a row and a column.
///
/// # Errors
/// Of kind `Usage` where there is another number of positions.
pub fn known_where(image_q24: &[i32], made: &[bool], shape: Shape) -> Result<Vec<i32>, Error> {
    let positions = shape.rows * shape.cols;
    if made.len() != positions {
        let what = format_args!("the mask has {} positions, the sample {positions}", made.len());
        return Err(Error::usage(what).help(format_args!("give a mask of {} x {}", shape.rows, shape.cols)));
    }
    let known = |(i, value): (usize, &i32)| if made[i / shape.channels] { UNKNOWN } else { *value };
    Ok(image_q24.iter().enumerate().map(known).collect())
}

/// The PNG file `path` as a clean sample of `shape`: Q24, `(row, col, channel)`, -1 black and 1 white.
///
/// # Errors
/// Of kind `Input` where it is no PNG file or of another size.
pub fn sample_of_png(path: &Path, shape: Shape) -> Result<Vec<i32>, Error> {
    let picture = decode(&read_file(path, &PNG)?).map_err(|error| {
        Error::coded(ErrorKind::Input, error)
            .about(path.display())
            .help("give a PNG file")
    })?;
    picture.to_sample_q24(shape).ok_or_else(|| {
        let Shape { rows, cols, channels } = shape;
        let Picture { width, height, .. } = picture;
        if matches!(channels, 1 | 3) {
            let problem = format_args!(
                "{} has {width} x {height} pixels, expected {cols} x {rows}",
                path.display()
            );
            return Error::input(problem).help(format_args!("resize it to {cols} x {rows}"));
        }
        Error::input(format_args!(
            "{} is a picture, and the model's samples have {channels} channels",
            path.display()
        ))
        .help("pictures are taken by models of 1 channel (gray) or 3 (colours)")
    })
}
