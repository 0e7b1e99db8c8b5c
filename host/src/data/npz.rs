//! NumPy archives: `{split}_x` `(image, row, col)` or `(image, channel, row, col)`, flat images of a square, `{split}_y`.

use super::{DataError, Images, Split};
use candle_core::npy::NpzTensors;
use candle_core::{DType, Tensor};
use std::path::Path;

/// Most values of an array that is read.
const MAX_VALUES: usize = 1 << 30;

/// The images of one split. Pixels are whole numbers; `levels` is one more than the largest of the whole file's images.
pub fn read(path: &Path, split: Split) -> Result<Images, DataError> {
    let wrong = |problem: String| DataError::format(path, problem);
    // The library names no file.
    let archive = NpzTensors::new(path).map_err(|error| wrong(error.to_string()))?;
    let get = |name: &str| {
        let wrong = |problem: String| wrong(format!("`{name}`: {problem}"));
        if !archive.names().iter().any(|held| *held == name) {
            return Ok(None);
        }
        // The library allocates what the header says before it reads.
        let (shape, _) = archive.get_shape_and_dtype(name).map_err(|e| wrong(e.to_string()))?;
        let count = shape.dims().iter().try_fold(1usize, |n, extent| n.checked_mul(*extent));
        if count.is_none_or(|count| count > MAX_VALUES) {
            return Err(wrong(format!("shape {:?} is too large", shape.dims())));
        }
        archive.get(name).map_err(|e| wrong(e.to_string()))
    };
    let key = format!("{}_x", split.name());
    let x = get(&key)?.ok_or_else(|| {
        let mut names = archive.names();
        names.sort();
        wrong(format!("no array `{key}`, it holds {names:?}"))
    })?;
    let shape = shape(x.dims()).ok_or_else(|| wrong(format!("`{key}` has shape {:?}: no images", x.dims())))?;
    let pixels = pixels(&x).ok_or_else(|| wrong(format!("`{key}` must hold whole numbers from 0 to 65535")))?;
    let mut largest = pixels.iter().copied().max().unwrap_or(0);
    for other in [Split::Train, Split::Test] {
        let values = get(&format!("{}_x", other.name()))?.and_then(|x| self::pixels(&x));
        largest = largest.max(values.unwrap_or_default().into_iter().max().unwrap_or(0));
    }
    let key = format!("{}_y", split.name());
    let labels = match get(&key)? {
        Some(y) => self::pixels(&y)
            .filter(|labels| labels.len() == x.dim(0).unwrap_or(0))
            .ok_or_else(|| wrong(format!("`{key}` must hold a label for each image")))?,
        None => Vec::new(),
    };
    Ok(Images {
        shape,
        levels: usize::from(largest) + 1,
        pixels,
        labels: labels.into_iter().map(usize::from).collect(),
    })
}

fn shape(extents: &[usize]) -> Option<[usize; 3]> {
    match *extents {
        [_, size] => {
            let side = size.isqrt();
            (side * side == size && side > 0).then_some([1, side, side])
        }
        [_, rows, cols] => Some([1, rows, cols]),
        [_, channels, rows, cols] => Some([channels, rows, cols]),
        _ => None,
    }
}

fn pixels(x: &Tensor) -> Option<Vec<u16>> {
    let values: Vec<f64> = x.flatten_all().ok()?.to_dtype(DType::F64).ok()?.to_vec1().ok()?;
    let whole = |v: &f64| v.fract() == 0.0 && (0.0..=65535.0).contains(v);
    values
        .iter()
        .all(whole)
        .then(|| values.iter().map(|v| *v as u16).collect())
}
