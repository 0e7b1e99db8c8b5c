//! The IDX files of MNIST and its kin: big-endian, a byte a pixel.

use super::{DataError, MAX_BYTES, Raw, bytes, content};
use std::io::Read;
use std::path::{Path, PathBuf};

/// An array of bytes.
struct Idx {
    shape: Vec<usize>,
    data: Vec<u8>,
}

/// Reads images, and labels from the file that stands beside them (`train-labels-idx1-ubyte` beside `train-images-idx3-ubyte`).
pub fn read(path: &Path) -> Result<Raw, DataError> {
    let images = parse(path)?;
    let [_, rows, cols] = images.shape[..] else {
        return Err(content(
            path,
            format!(
                "holds an array of {} dimensions; images have 3: give the file of images",
                images.shape.len()
            ),
        ));
    };
    let labels = match labels_beside(path) {
        Some(beside) => labels(&beside, images.shape[0])?,
        None => vec![],
    };
    Ok(Raw {
        shape: [1, rows, cols],
        pixels: images.data.iter().map(|v| f32::from(*v)).collect(),
        labels,
        held_out: None,
        range: Some([0.0, 255.0]),
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
            format!("says that it holds {shape:?} bytes, but {found} are there"),
        ));
    }
    Ok(Idx {
        shape,
        data: data.split_off(head),
    })
}
