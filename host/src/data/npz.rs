//! NumPy archives: `{split}_x` `(image, row, col)` or `(image, channel, row, col)`, flat images of a square, `{split}_y`.

use super::npy::{self, Array};
use super::zip;
use super::{DataError, Images, Split};
use std::path::Path;

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 32;

/// The images of one split. Pixels are whole numbers; `levels` is one more than the largest of the whole file's images.
pub fn read(path: &Path, split: Split) -> Result<Images, DataError> {
    let failed = |source| DataError::Read {
        path: path.display().to_string(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
        return Err(DataError::format(path, "larger than 4 GiB"));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    parse(&bytes, split).map_err(|problem| DataError::format(path, problem))
}

fn parse(bytes: &[u8], split: Split) -> Result<Images, String> {
    let entries = zip::entries(bytes).ok_or("not a whole NumPy archive (.npz)")?;
    let get = |name: &str| -> Result<Option<Array>, String> {
        let Some(entry) = entries
            .iter()
            .find(|entry| entry.name.strip_suffix(".npy") == Some(name))
        else {
            return Ok(None);
        };
        let contents = zip::contents(bytes, entry).ok_or_else(|| format!("`{name}` is damaged"))?;
        let array = npy::parse(&contents).map_err(|problem| format!("`{name}`: {problem}"))?;
        Ok(Some(array))
    };
    let key = format!("{}_x", split.name());
    let x = get(&key)?.ok_or_else(|| {
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        format!("no array `{key}`, it holds {}", names.join(", "))
    })?;
    let shape = shape(&x.shape).ok_or_else(|| format!("`{key}` has shape {:?}: no images", x.shape))?;
    let pixels = whole(&x).ok_or_else(|| format!("`{key}` must hold whole numbers from 0 to 65535"))?;
    let mut largest = pixels.iter().copied().max().unwrap_or(0);
    for other in [Split::Train, Split::Test] {
        let values = get(&format!("{}_x", other.name()))?.and_then(|x| whole(&x));
        largest = largest.max(values.unwrap_or_default().into_iter().max().unwrap_or(0));
    }
    let key = format!("{}_y", split.name());
    let labels = match get(&key)? {
        Some(y) => whole(&y)
            .filter(|labels| labels.len() == x.shape[0])
            .ok_or_else(|| format!("`{key}` must hold a label for each image"))?,
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
    let shape = match *extents {
        [_, size] if size.isqrt().pow(2) == size => [1, size.isqrt(), size.isqrt()],
        [_, rows, cols] => [1, rows, cols],
        [_, channels, rows, cols] => [channels, rows, cols],
        _ => return None,
    };
    (!shape.contains(&0)).then_some(shape)
}

fn whole(x: &Array) -> Option<Vec<u16>> {
    let pixel = |v: &f64| v.fract() == 0.0 && (0.0..=65535.0).contains(v);
    x.values
        .iter()
        .all(pixel)
        .then(|| x.values.iter().map(|v| *v as u16).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_labels_of_a_split() {
        let x = npy::tests::file("|u1", "(2, 4)", &[0, 1, 2, 3, 4, 5, 6, 7]);
        let y = npy::tests::file("<i2", "(2,)", &[1, 0, 3, 0]);
        let train = npy::tests::file("|u1", "(1, 4)", &[0, 0, 16, 0]);
        let archive = zip::tests::archive(&[("test_x.npy", &x), ("test_y.npy", &y), ("train_x.npy", &train)]);
        let images = parse(&archive, Split::Test).unwrap();
        assert_eq!((images.shape, images.levels), ([1, 2, 2], 17));
        assert_eq!((images.len(), images.labels), (2, vec![1, 3]));
        assert!(parse(&archive, Split::Train).unwrap().labels.is_empty());
        let other = zip::tests::archive(&[("x.npy", &x)]);
        assert!(parse(&other, Split::Test).unwrap_err().contains("it holds x.npy"));
        let short = zip::tests::archive(&[("test_x.npy", &x), ("test_y.npy", &train)]);
        assert!(parse(&short, Split::Test).unwrap_err().contains("test_y"));
    }
}
