//! From images as they are to images as a network wants them.

use super::{DataError, Raw, content};
use mote_host::train::dataset::{Dataset, Images};
use mote_host::train::random::{Purpose, permutation};
use std::path::Path;

/// What is wanted of the data.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Wanted {
    /// `(channel, row, col)`; `None` keeps what is there.
    pub shape: Option<[usize; 3]>,
    /// Values that become -1 and 1; `None` is black and white where the format says, else the smallest and largest found.
    pub range: Option<[f32; 2]>,
    /// Images held out where the file itself holds none out; `None` is a tenth, at most 1,000.
    pub held_out: Option<usize>,
}

/// Brings `raw` into shape. `path` is used in errors only.
pub fn dataset(path: &Path, raw: Raw, wanted: &Wanted) -> Result<Dataset, DataError> {
    let len: usize = raw.shape.iter().product();
    let count = raw.pixels.len() / len.max(1);
    if count == 0 || raw.pixels.iter().any(|v| !v.is_finite()) {
        return Err(content(path, "holds no images, or values that are not finite"));
    }
    if !raw.labels.is_empty() && raw.labels.len() != count {
        return Err(content(
            path,
            format!("holds {} labels for {count} images", raw.labels.len()),
        ));
    }
    let range = wanted.range.or(raw.range).unwrap_or_else(|| {
        let fold = |start: f32, f: fn(f32, f32) -> f32| raw.pixels.iter().fold(start, |m, v| f(m, *v));
        [fold(f32::INFINITY, f32::min), fold(f32::NEG_INFINITY, f32::max)]
    });
    if range[0] >= range[1] {
        return Err(content(
            path,
            format!("all values lie at {}: give --range LOW,HIGH", range[0]),
        ));
    }
    let shape = wanted.shape.unwrap_or(raw.shape);
    if shape[0] != raw.shape[0] && !(shape[0] == 1 && raw.shape[0] == 3) {
        let problem = format!("images have {} channels, the network takes {}", raw.shape[0], shape[0]);
        return Err(content(path, problem));
    }
    let fitted = |pixels: &[f32]| -> Vec<f32> {
        let unit = |v: &f32| ((v - range[0]) / (range[1] - range[0]) * 2.0 - 1.0).clamp(-1.0, 1.0);
        pixels
            .chunks_exact(len)
            .flat_map(|image| fit(raw.shape, &image.iter().map(unit).collect::<Vec<_>>(), shape))
            .collect()
    };
    let all = Images {
        pixels: fitted(&raw.pixels),
        labels: raw.labels,
    };
    let (train, held_out) = match raw.held_out {
        Some((pixels, labels)) => {
            let pixels = fitted(&pixels);
            (all, Images { pixels, labels })
        }
        None => split(
            all,
            shape.iter().product(),
            count,
            wanted.held_out.unwrap_or((count / 10).min(1000)),
        ),
    };
    let labels = train.labels.iter().chain(&held_out.labels);
    Ok(Dataset {
        shape,
        classes: labels.max().map_or(0, |m| m + 1),
        train,
        held_out,
    })
}

/// Takes `held_out` images away, by a permutation that is always the same.
fn split(all: Images, len: usize, count: usize, held_out: usize) -> (Images, Images) {
    let order = permutation(0, Purpose::HeldOut, 0, count);
    let (out, rest) = order.split_at(held_out.min(count - 1));
    let pick = |indices: &[usize]| {
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        Images {
            pixels: sorted
                .iter()
                .flat_map(|i| all.pixels[i * len..][..len].iter().copied())
                .collect(),
            labels: sorted.iter().filter_map(|i| all.labels.get(*i).copied()).collect(),
        }
    };
    (pick(rest), pick(out))
}

/// An image of another size: larger ones are averaged over areas, smaller ones padded with the value of the first corner.
fn fit([channels, rows, cols]: [usize; 3], image: &[f32], to: [usize; 3]) -> Vec<f32> {
    let mut planes: Vec<Vec<f32>> = image.chunks_exact(rows * cols).map(<[f32]>::to_vec).collect();
    if to[0] == 1 && channels == 3 {
        // ITU-R BT.601.
        let gray = (0..rows * cols).map(|i| 0.299 * planes[0][i] + 0.587 * planes[1][i] + 0.114 * planes[2][i]);
        planes = vec![gray.collect()];
    }
    let plane = |p: Vec<f32>| {
        let tall = along(&p, [rows, cols], to[1]);
        transposed(&along(&transposed(&tall, to[1]), [cols, to[1]], to[2]), to[2])
    };
    planes.into_iter().flat_map(plane).collect()
}

/// Columns become rows; `rows` is the number of rows before.
fn transposed(plane: &[f32], rows: usize) -> Vec<f32> {
    let cols = plane.len() / rows;
    (0..cols)
        .flat_map(|x| (0..rows).map(move |y| plane[y * cols + x]))
        .collect()
}

/// Rows of a plane brought to another number.
fn along(plane: &[f32], [rows, cols]: [usize; 2], to: usize) -> Vec<f32> {
    if to >= rows {
        let before = (to - rows) / 2;
        let mut out = vec![plane[0]; to * cols];
        out[before * cols..][..plane.len()].copy_from_slice(plane);
        return out;
    }
    let scale = rows as f64 / to as f64;
    let mut out = vec![0.0; to * cols];
    for (y, line) in out.chunks_exact_mut(cols).enumerate() {
        let (first, last) = (y as f64 * scale, (y + 1) as f64 * scale);
        for from in first as usize..(last.ceil() as usize).min(rows) {
            let share = ((from + 1) as f64).min(last) - (from as f64).max(first);
            let weight = (share / scale) as f32;
            let source = &plane[from * cols..][..cols];
            line.iter_mut().zip(source).for_each(|(o, v)| *o += weight * v);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_averaged_and_small_images_padded() {
        let image: Vec<f32> = (0..9).map(|v| v as f32).collect();
        let whole = fit([1, 3, 3], &image, [1, 1, 1]);
        assert!((whole[0] - 4.0).abs() < 1e-6);
        // Half pixels: rows 0 and half of 1, and the same in columns.
        let half = fit([1, 3, 3], &image, [1, 2, 2]);
        assert!((half[0] - (0.0 + 0.5 + 1.5 + 1.0) / 2.25).abs() < 1e-6, "{half:?}");
        let padded = fit([1, 1, 2], &[5.0, 6.0], [1, 3, 2]);
        assert_eq!(padded, [5.0, 5.0, 5.0, 6.0, 5.0, 5.0]);
    }
}
