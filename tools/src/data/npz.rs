//! `.npz`: a ZIP archive of arrays, stored or deflated (PKWARE's APPNOTE 6.3, sections 4.3 and 4.4).

use super::npy::{self, Array};
use super::{DataError, MAX_BYTES, Raw, bytes, content};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Names of arrays of images, of labels, and of both held out, best first.
const IMAGES: [&str; 6] = ["train_x", "x_train", "train_images", "images", "x", "arr_0"];
const LABELS: [&str; 6] = ["train_y", "y_train", "train_labels", "labels", "y", "arr_1"];
const HELD_OUT: [&str; 3] = ["test_x", "x_test", "test_images"];
const HELD_OUT_LABELS: [&str; 3] = ["test_y", "y_test", "test_labels"];

/// Reads images, labels, and what is held out, by the names of the arrays.
pub fn read(path: &Path) -> Result<Raw, DataError> {
    let file = bytes(path)?;
    let mut entries = entries(&file).map_err(|problem| content(path, problem))?;
    let mut take = |names: &[&str]| -> Result<Option<Array>, DataError> {
        let Some(name) = names.iter().find(|name| entries.contains_key(**name)) else {
            return Ok(None);
        };
        let array = entries
            .remove(*name)
            .ok_or_else(String::new)
            .and_then(|entry| npy::parse(&entry));
        array
            .map(Some)
            .map_err(|problem| content(path, format!("the array {name} {problem}")))
    };
    let images = take(&IMAGES)?;
    let images = images.ok_or_else(|| content(path, format!("holds no array of images: name it {}", IMAGES[0])))?;
    let shape = shape(&images).ok_or_else(|| {
        let found = &images.shape;
        content(
            path,
            format!(
                "images of shape {found:?}: expected (n, row, col), (n, row, col, channel) or (n, channel, row, col)"
            ),
        )
    })?;
    let range = images.bytes.then(|| {
        // Bytes that stay far below 255 have a scale of their own.
        let top = images.data.iter().fold(0f32, |m, v| m.max(*v));
        [0.0, if top > 127.0 { 255.0 } else { top.max(1.0) }]
    });
    let labels = |array: Option<Array>| array.map_or(vec![], |a| a.data.iter().map(|v| *v as usize).collect());
    let first_labels = labels(take(&LABELS)?);
    let held_out = match take(&HELD_OUT)? {
        Some(array) if self::shape(&array) == Some(shape) => Some((planes(array), labels(take(&HELD_OUT_LABELS)?))),
        Some(array) => {
            let problem = format!(
                "images held out have shape {:?}, those to train on {:?}",
                array.shape, images.shape
            );
            return Err(content(path, problem));
        }
        None => None,
    };
    Ok(Raw {
        shape: [shape.0, shape.1, shape.2],
        pixels: planes(images),
        labels: first_labels,
        held_out,
        range,
    })
}

/// Channels, rows and columns.
fn shape(array: &Array) -> Option<(usize, usize, usize)> {
    match array.shape[..] {
        [_, rows, cols] => Some((1, rows, cols)),
        [_, rows, cols, channels @ (1 | 3)] => Some((channels, rows, cols)),
        [_, channels, rows, cols] => Some((channels, rows, cols)),
        // Flat rows of square images, as scikit-learn has them.
        [_, len] => {
            let side = len.isqrt();
            (side * side == len).then_some((1, side, side))
        }
        _ => None,
    }
}

/// Channels outermost.
fn planes(array: Array) -> Vec<f32> {
    match array.shape[..] {
        [_, rows, cols, 3] => {
            let len = (rows * cols * 3).max(1);
            array
                .data
                .chunks_exact(len)
                .flat_map(|image| crate::tensors::to_chw(image, 3))
                .collect()
        }
        _ => array.data,
    }
}

/// What the archive holds, by name without `.npy`.
fn entries(file: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    const END: [u8; 4] = *b"PK\x05\x06";
    let not_zip = || "is not a whole .npz archive".to_owned();
    let end = (0..file.len().saturating_sub(21))
        .rev()
        .take(1 << 17)
        .find(|at| file[*at..].starts_with(&END));
    let end = end.ok_or_else(not_zip)?;
    let u16_at = |at: usize| {
        file.get(at..at + 2)
            .map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])))
    };
    let u32_at = |at: usize| {
        file.get(at..at + 4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
    };
    let count = u16_at(end + 10).ok_or_else(not_zip)?;
    let mut at = u32_at(end + 16).ok_or_else(not_zip)?;
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let entry = || {
            file.get(at..at.checked_add(46)?)?
                .starts_with(b"PK\x01\x02")
                .then_some(())?;
            let (method, packed) = (u16_at(at + 10)?, u32_at(at + 20)?);
            let [name, extra, comment] = [u16_at(at + 28)?, u16_at(at + 30)?, u16_at(at + 32)?];
            let text = file.get(at + 46..at + 46 + name)?;
            let local = u32_at(at + 42)?;
            let first = local
                .checked_add(30)?
                .checked_add(u16_at(local + 26)?)?
                .checked_add(u16_at(local + 28)?)?;
            let data = file.get(first..first.checked_add(packed)?)?;
            Some((method, text, data, at + 46 + name + extra + comment))
        };
        let (method, name, data, next) = entry().ok_or_else(not_zip)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let data = match method {
            0 => data.to_vec(),
            8 => {
                let mut plain = vec![];
                let read = flate2::read::DeflateDecoder::new(data)
                    .take(MAX_BYTES)
                    .read_to_end(&mut plain);
                read.map_err(|error| format!("the array {name} is damaged: {error}"))?;
                plain
            }
            _ => {
                return Err(format!(
                    "the array {name} is compressed by method {method}; stored and deflated ones are read"
                ));
            }
        };
        entries.insert(name.trim_end_matches(".npy").to_owned(), data);
        at = next;
    }
    Ok(entries)
}
