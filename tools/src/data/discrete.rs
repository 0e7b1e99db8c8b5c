//! Images of whole-number pixels, which a bound in bits is about.
//!
//! A pixel of `levels` values, 0 to `levels - 1`, is scaled linearly to -1 to 1, so that neighbouring values are
//! [`Discrete::bin`] apart.

use super::size::Size;
use super::{DataError, Raw, Split, content};
use std::path::Path;

/// Images of one size, with class labels where the file has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Discrete {
    /// `(channel, row, col)`.
    pub shape: [usize; 3],
    /// Values that a pixel can have: 256, or what the data use.
    pub levels: usize,
    /// Pixels `0..levels`, `(image, channel, row, col)`.
    pub pixels: Vec<u16>,
    /// A class an image; empty where there are none.
    pub labels: Vec<usize>,
}

impl Discrete {
    /// One part of `raw`: `count` images spread evenly over it, all where it has fewer, at `shape`, `(channel, row, col)`.
    /// Pixels of another size are rounded to whole values. `path` is used in errors only.
    pub(super) fn of(
        path: &Path,
        mut raw: Raw,
        split: Split,
        count: usize,
        shape: [usize; 3],
    ) -> Result<Self, DataError> {
        let top = raw.top();
        let whole = |v: &f32| v.fract() == 0.0 && (0.0..=top).contains(v);
        let part = raw.take(split).ok_or_else(|| {
            let name = split.name();
            let problem = format!("holds no images for --split {name}: the array is named {name}_x");
            content(path, problem)
        })?;
        if !(0.0..=f32::from(u16::MAX)).contains(&top) || !part.pixels.iter().all(whole) {
            return Err(content(path, "pixels must be whole numbers from 0 to 65535"));
        }
        let size = Size::new(raw.shape, shape).map_err(|problem| content(path, problem))?;
        let dims: usize = raw.shape.iter().product();
        let found = part.pixels.len() / dims;
        let count = count.min(found);
        let chosen = || (0..count).map(|i| i * found / count);
        let sized = |i: usize| size.apply(&part.pixels[i * dims..][..dims]);
        Ok(Self {
            shape,
            levels: top as usize + 1,
            pixels: chosen().flat_map(sized).map(|v| v.round() as u16).collect(),
            labels: chosen().filter_map(|i| part.labels.get(i)).copied().collect(),
        })
    }

    /// Elements of an image.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pixels.len() / self.dims().max(1)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Distance of neighbouring pixel values after scaling: `2 / (levels - 1)`.
    #[must_use]
    pub fn bin(&self) -> f64 {
        2.0 / (self.levels.max(2) - 1) as f64
    }

    /// Image `index` scaled to -1 to 1, `(channel, row, col)`.
    #[must_use]
    pub fn scaled(&self, index: usize) -> Vec<f64> {
        let image = self.pixels.chunks_exact(self.dims().max(1)).nth(index).unwrap_or(&[]);
        image.iter().map(|v| f64::from(*v) * self.bin() - 1.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Images;
    use super::*;

    fn of(pixels: &[f32], count: usize, shape: [usize; 3]) -> Result<Discrete, DataError> {
        let part = Images {
            pixels: pixels.to_vec(),
            labels: vec![4, 5],
        };
        let raw = Raw {
            shape: [1, 1, 3],
            test: Some(part),
            range: Some([0.0, 16.0]),
            ..Raw::default()
        };
        Discrete::of(Path::new("x"), raw, Split::Test, count, shape)
    }

    #[test]
    fn the_ends_of_the_range_are_minus_one_and_one() {
        let pixels = [0.0, 8.0, 16.0, 1.0, 2.0, 3.0];
        let images = of(&pixels, 9, [1, 1, 3]).unwrap();
        assert_eq!(images.scaled(0), [-1.0, 0.0, 1.0]);
        assert_eq!((images.len(), images.levels, images.bin()), (2, 17, 0.125));
        let first = of(&pixels, 1, [1, 1, 3]).unwrap();
        assert_eq!((first.pixels, first.labels), (vec![0, 8, 16], vec![4]));
    }

    #[test]
    fn other_sizes_are_rounded_and_fractions_refused() {
        // (3 + 4 / 2) / 1.5 = 3.33, (4 / 2 + 9) / 1.5 = 7.33.
        assert_eq!(
            of(&[3.0, 4.0, 9.0, 0.0, 0.0, 0.0], 1, [1, 1, 2]).unwrap().pixels,
            [3, 7]
        );
        for wrong in [0.5, -1.0, 17.0] {
            let problem = of(&[0.0, 0.0, wrong, 0.0, 0.0, 0.0], 2, [1, 1, 3]).unwrap_err();
            assert!(problem.to_string().contains("whole numbers"), "{problem}");
        }
        assert!(of(&[0.0; 6], 2, [3, 1, 3]).is_err());
    }
}
