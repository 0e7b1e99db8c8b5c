//! The IDX files of MNIST and its kin: big-endian, mostly a byte a pixel.

use super::{DataError, Images, Raw, bytes, content, planes, whole};
use crate::files::Form;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Elements of an array that is read: of f32 they take 2 GiB.
const MOST: usize = 1 << 29;

/// An array of numbers.
struct Idx {
    shape: Vec<usize>,
    data: Vec<f32>,
    /// Whether the elements are unsigned bytes.
    bytes: bool,
}

/// Reads images, and labels from the file that stands beside them (`train-labels-idx1-ubyte` beside `train-images-idx3-ubyte`,
/// compressed or not).
pub fn read(path: &Path) -> Result<Raw, DataError> {
    let images = parse(path)?;
    let shape = match images.shape[..] {
        [_, rows, cols] => [1, rows, cols],
        [_, rows, cols, channels @ (1 | 3)] => [channels, rows, cols],
        _ => {
            let problem = format!(
                "holds an array of shape {:?}; images have (n, row, col) or (n, row, col, channel) of 1 or 3 channels: give the file \
                 of images",
                images.shape
            );
            return Err(content(path, problem));
        }
    };
    let labels = match labels_beside(path) {
        Some(beside) => labels(&beside, images.shape[0])?,
        None => vec![],
    };
    Ok(Raw {
        shape,
        range: images.bytes.then_some([0.0, 255.0]),
        all: Some(Images {
            pixels: planes(images.data, shape),
            labels,
        }),
        ..Raw::default()
    })
}

fn labels(path: &Path, count: usize) -> Result<Vec<usize>, DataError> {
    let labels = parse(path)?;
    if labels.shape != [count] {
        return Err(content(
            path,
            format!("holds labels of shape {:?} for {count} images", labels.shape),
        ));
    }
    whole(&labels.data).map_err(|(i, label)| {
        let problem = format!("holds the label {label} of image {i}, expected whole numbers from 0 to 65535");
        content(path, problem)
    })
}

/// The file of labels: of the same compression, or of the other.
fn labels_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let labels = name
        .replace("images", "labels")
        .replace("idx3", "idx1")
        .replace("idx4", "idx1");
    if labels == name {
        return None;
    }
    let other = match labels.strip_suffix(".gz") {
        Some(plain) => plain.to_owned(),
        None => labels.clone() + ".gz",
    };
    [labels, other]
        .into_iter()
        .map(|name| path.with_file_name(name))
        .find(|beside| beside.is_file())
}

fn parse(path: &Path) -> Result<Idx, DataError> {
    let file = bytes(path, Form::Idx)?;
    if !file.starts_with(&[0x1F, 0x8B]) {
        return array(path, &file[..]);
    }
    array(path, flate2::read::MultiGzDecoder::new(&file[..]))
}

/// The array in `file`, whose header is looked at before the rest is unpacked.
fn array(path: &Path, mut file: impl Read) -> Result<Idx, DataError> {
    let not_idx = || {
        content(
            path,
            "is neither an IDX file of bytes, nor .npz, nor a folder of PNG files; one array of NumPy is saved by np.savez(FILE, images=...)",
        )
    };
    let broken = |error: std::io::Error| content(path, format!("is not a whole gzip file: {error}"));
    let mut up_to = |most: usize| -> Result<Vec<u8>, DataError> {
        let mut part = vec![];
        let read = (&mut file).take(most as u64).read_to_end(&mut part);
        read.map_err(broken).map(|_| part)
    };
    let [0, 0, kind, dimensions @ 1..=4] = up_to(4)?[..] else {
        return Err(not_idx());
    };
    let width = match kind {
        0x08 | 0x09 => 1,
        0x0B => 2,
        0x0C | 0x0D => 4,
        0x0E => 8,
        _ => return Err(not_idx()),
    };
    let extents = up_to(4 * usize::from(dimensions))?;
    if extents.len() != 4 * usize::from(dimensions) {
        return Err(not_idx());
    }
    let shape: Vec<usize> = extents
        .as_chunks()
        .0
        .iter()
        .map(|b| u32::from_be_bytes(*b) as usize)
        .collect();
    let len = shape
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(*d))
        .filter(|len| *len <= MOST);
    let len = len.ok_or_else(|| {
        content(
            path,
            format!("says that it has shape {shape:?}, more than the {MOST} elements that are read"),
        )
    })?;
    let data = up_to(len * width + 1)?;
    if data.len() != len * width {
        let found = match data.len() {
            more if more > len * width => "more".to_owned(),
            found => format!("{found} bytes"),
        };
        return Err(content(
            path,
            format!(
                "says that it has shape {shape:?}, {} bytes of data, but holds {found}",
                len * width
            ),
        ));
    }
    Ok(Idx {
        data: numbers(kind, &data),
        bytes: kind == 0x08,
        shape,
    })
}

/// Big-endian elements of one of the format's types.
fn numbers(kind: u8, data: &[u8]) -> Vec<f32> {
    fn each<const N: usize>(data: &[u8], of: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|b| of(*b)).collect()
    }
    match kind {
        0x08 => each(data, |[b]| b.into()),
        0x09 => each(data, |[b]| (b as i8).into()),
        0x0B => each(data, |b| i16::from_be_bytes(b).into()),
        0x0C => each(data, |b| i32::from_be_bytes(b) as f32),
        0x0D => each(data, f32::from_be_bytes),
        _ => each(data, |b| f64::from_be_bytes(b) as f32),
    }
}
