//! Images of another size: smaller by the mean over areas, larger by a border of zeros.

use super::{DataError, Images};

/// `images` as samples of `shape`, `(channel, row, col)`. Each of rows and columns is either padded with zeros on both sides
/// or averaged over the area that an output pixel covers, pixels cut by its edge in part, and rounded to whole values.
pub fn fit(images: Images, shape: [usize; 3]) -> Result<Images, DataError> {
    let [channels, rows, cols] = images.shape;
    if channels != shape[0] || rows * cols == 0 || shape.contains(&0) {
        let named = |[channels, rows, cols]: [usize; 3]| format!("{channels} channels of {rows} x {cols}");
        return Err(DataError::Shape {
            expected: named(shape),
            found: named(images.shape),
        });
    }
    if images.shape == shape {
        return Ok(images);
    }
    let (down, across) = (taps(rows, shape[1]), taps(cols, shape[2]));
    let plane = |plane: &[u16]| -> Vec<u16> {
        let pixel = |down: &Taps, across: &Taps| {
            let row = |(row, weight): &(usize, f64)| {
                let line = &plane[row * cols..(row + 1) * cols];
                weight
                    * across
                        .iter()
                        .map(|(col, weight)| weight * f64::from(line[*col]))
                        .sum::<f64>()
            };
            down.iter().map(row).sum::<f64>().round() as u16
        };
        down.iter()
            .flat_map(|down| across.iter().map(move |across| (down, across)))
            .map(|(down, across)| pixel(down, across))
            .collect()
    };
    let pixels = images.pixels.chunks_exact(rows * cols).flat_map(plane).collect();
    Ok(Images {
        shape,
        pixels,
        ..images
    })
}

/// Source positions of one output position and their weights, of sum 1; none in the border.
type Taps = Vec<(usize, f64)>;

fn taps(from: usize, to: usize) -> Vec<Taps> {
    if to >= from {
        let border = (to - from) / 2;
        return (0..to)
            .map(|i| match i.checked_sub(border) {
                Some(source) if source < from => vec![(source, 1.0)],
                _ => Vec::new(),
            })
            .collect();
    }
    let scale = from as f64 / to as f64;
    let covered = |i: usize| -> Taps {
        let (low, high) = (i as f64 * scale, (i + 1) as f64 * scale);
        let sources = low.floor() as usize..(high.ceil() as usize).min(from);
        sources
            .map(|s| (s, (high.min(s as f64 + 1.0) - low.max(s as f64)) / scale))
            .filter(|(_, weight)| *weight > 1e-9)
            .collect()
    };
    (0..to).map(covered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pixels: Vec<u16>) -> Images {
        Images {
            shape: [1, 1, pixels.len()],
            levels: 256,
            pixels,
            labels: vec![],
        }
    }

    #[test]
    fn areas_and_borders_by_hand() {
        // 3 to 2: (a + b / 2) / 1.5, (b / 2 + c) / 1.5.
        assert_eq!(fit(line(vec![30, 60, 90]), [1, 1, 2]).unwrap().pixels, [40, 80]);
        assert_eq!(
            fit(line(vec![7, 8]), [1, 3, 4]).unwrap().pixels,
            [0, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0, 0]
        );
        assert!(fit(line(vec![7, 8]), [3, 1, 2]).is_err());
    }

    #[test]
    fn weights_sum_to_one() {
        for (from, to) in [(28, 16), (28, 8), (32, 5), (7, 7)] {
            for taps in taps(from, to) {
                assert!((taps.iter().map(|(_, w)| w).sum::<f64>() - 1.0).abs() < 1e-12);
            }
        }
    }
}
