//! IDX files, the format of MNIST (LeCun, Cortes and Burges): a magic number, big-endian extents, bytes.

use super::{DataError, Images};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// First bytes: two zeros, 8 for unsigned bytes, then the number of extents.
const BYTES: [u8; 3] = [0, 0, 8];
/// Largest file that is read, unpacked.
const MAX_BYTES: u64 = 1 << 32;

/// The images of `path`, with the labels of the file beside it that `images-idx3` says where `labels-idx1` stands.
pub fn read(path: &Path) -> Result<Images, DataError> {
    let (extents, pixels) = array(path)?;
    let shape = match extents[..] {
        [_, rows, cols] => [1, rows, cols],
        [_, rows, cols, channels @ (1 | 3)] => [channels, rows, cols],
        _ => return Err(DataError::format(path, format!("extents {extents:?}: no images"))),
    };
    let labels = match labels_beside(path) {
        Some(beside) => match array(&beside)? {
            (found, labels) if found == extents[..1] => labels.into_iter().map(usize::from).collect(),
            (found, _) => {
                return Err(DataError::format(
                    &beside,
                    format!("{found:?} labels for {} images", extents[0]),
                ));
            }
        },
        None => Vec::new(),
    };
    Ok(Images {
        shape,
        levels: 256,
        pixels: planes(&pixels, shape),
        labels,
    })
}

fn labels_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let beside = path.with_file_name(name.replace("images", "labels").replace("idx3", "idx1"));
    (beside != path && beside.exists()).then_some(beside)
}

/// `(row, col, channel)` images as planes.
fn planes(pixels: &[u8], [channels, rows, cols]: [usize; 3]) -> Vec<u16> {
    let image = |image: &[u8]| -> Vec<u16> {
        let plane = |c| image.iter().skip(c).step_by(channels).copied().map(u16::from);
        (0..channels).flat_map(plane).collect()
    };
    let size = (channels * rows * cols).max(1);
    pixels.chunks_exact(size).flat_map(image).collect()
}

fn array(path: &Path) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let bytes = unpacked(path)?;
    let wrong = |problem: &str| DataError::format(path, problem);
    let (head, rest) = bytes.split_at_checked(4).ok_or_else(|| wrong("too short for IDX"))?;
    if head[..3] != BYTES {
        return Err(wrong(
            "neither a NumPy archive (.npz) nor an IDX file of unsigned bytes",
        ));
    }
    let (extents, data) = rest
        .split_at_checked(4 * usize::from(head[3]))
        .ok_or_else(|| wrong("too short for IDX"))?;
    let extents: Vec<usize> = extents
        .as_chunks()
        .0
        .iter()
        .map(|extent| u32::from_be_bytes(*extent) as usize)
        .collect();
    let count = extents.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent));
    if count != Some(data.len()) {
        return Err(DataError::format(
            path,
            format!("extents {extents:?}, but {} bytes of data", data.len()),
        ));
    }
    Ok((extents, data.to_vec()))
}

fn unpacked(path: &Path) -> Result<Vec<u8>, DataError> {
    let failed = |source| DataError::Read {
        path: path.display().to_string(),
        source,
    };
    let file = BufReader::new(File::open(path).map_err(failed)?);
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(file).take(MAX_BYTES).read_to_end(&mut bytes)
    } else {
        file.take(MAX_BYTES).read_to_end(&mut bytes)
    }
    .map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_planes() {
        assert_eq!(planes(&[1, 10, 100, 2, 20, 200], [3, 1, 2]), [1, 2, 10, 20, 100, 200]);
    }
}
