//! The IDX files of MNIST and its kin: big-endian, a byte a pixel.

use super::{DataError, Part, Raw, bytes, content, planes};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest unpacked file: stops one that is small only on disk.
const MAX_BYTES: u64 = 4 << 30;

/// An array of bytes.
struct Idx {
    shape: Vec<usize>,
    data: Vec<u8>,
}

/// Reads images, and labels from the file that stands beside them (`train-labels-idx1-ubyte` beside `train-images-idx3-ubyte`).
pub fn read(path: &Path) -> Result<Raw, DataError> {
    let images = parse(path)?;
    let shape = match images.shape[..] {
        [_, rows, cols] => [1, rows, cols],
        [_, rows, cols, channels @ (1 | 3)] => [channels, rows, cols],
        _ => {
            let problem = format!(
                "holds an array of shape {:?}; images have (n, row, col) or (n, row, col, channel): give the file of images",
                images.shape
            );
            return Err(content(path, problem));
        }
    };
    let labels = match labels_beside(path) {
        Some(beside) => labels(&beside, images.shape[0])?,
        None => vec![],
    };
    let pixels = planes(images.data.iter().map(|v| f32::from(*v)).collect(), shape);
    Ok(Raw {
        shape,
        all: Some(Part { pixels, labels }),
        range: Some([0.0, 255.0]),
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
    Ok(labels.data.iter().map(|v| usize::from(*v)).collect())
}

fn labels_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let other = name.replace("images", "labels").replace("idx3", "idx1");
    let beside = path.with_file_name(&other);
    (other != name && beside.is_file()).then_some(beside)
}

fn parse(path: &Path) -> Result<Idx, DataError> {
    let mut data = bytes(path)?;
    if data.starts_with(&[0x1F, 0x8B]) {
        let mut plain = vec![];
        let reader = flate2::read::MultiGzDecoder::new(&data[..]);
        let read = reader.take(MAX_BYTES).read_to_end(&mut plain);
        read.map_err(|error| content(path, format!("is not a whole gzip file: {error}")))?;
        data = plain;
    }
    let not_idx = || {
        content(
            path,
            "is neither an IDX file of bytes, nor .npz, nor a folder of PNG files",
        )
    };
    let [0, 0, 8, dimensions @ 1..=4] = data.get(..4).ok_or_else(not_idx)?[..] else {
        return Err(not_idx());
    };
    let head = 4 + 4 * usize::from(dimensions);
    let extents = data.get(4..head).ok_or_else(not_idx)?;
    let shape: Vec<usize> = extents
        .as_chunks()
        .0
        .iter()
        .map(|b| u32::from_be_bytes(*b) as usize)
        .collect();
    let len = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let found = data.len() - head;
    if len != Some(found) {
        return Err(content(
            path,
            format!("says that it has shape {shape:?}, but holds {found} bytes of data"),
        ));
    }
    Ok(Idx {
        shape,
        data: data.split_off(head),
    })
}
