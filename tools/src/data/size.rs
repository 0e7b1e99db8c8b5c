//! Images of another size: larger ones are averaged over areas, smaller ones get a border, colours become gray.

/// The way from images of one shape to another.
#[derive(Debug)]
pub struct Size {
    from: [usize; 3],
    to: [usize; 3],
    down: Vec<Taps>,
    across: Vec<Taps>,
}

/// Source positions of one output position and their weights, of sum 1; none in the border.
type Taps = Vec<(usize, f64)>;

impl Size {
    /// From shape to shape, `(channel, row, col)`, or why there is no way.
    pub fn new(from: [usize; 3], to: [usize; 3]) -> Result<Self, String> {
        if from[0] != to[0] && (from[0], to[0]) != (3, 1) {
            let advice = match from[0] {
                2 | 4 => "; where the last one is transparency, lay the images over a colour first",
                _ => "",
            };
            return Err(format!(
                "images have {} channels, the network takes {}{advice}",
                from[0], to[0]
            ));
        }
        if from.contains(&0) || to.contains(&0) {
            return Err(format!(
                "images of shape {from:?} for a network of {to:?}: one is empty"
            ));
        }
        Ok(Self {
            from,
            to,
            down: taps(from[1], to[1]),
            across: taps(from[2], to[2]),
        })
    }

    /// One image, `(channel, row, col)`. The border has the value of the first corner.
    pub fn apply(&self, image: &[f32]) -> Vec<f64> {
        let len = self.from[1] * self.from[2];
        let mut planes: Vec<Vec<f64>> = image
            .chunks_exact(len)
            .map(|plane| plane.iter().copied().map(f64::from).collect())
            .collect();
        if let ([red, green, blue], 1) = (&planes[..], self.to[0]) {
            // ITU-R BT.601.
            let gray = (0..len).map(|i| 0.299 * red[i] + 0.587 * green[i] + 0.114 * blue[i]);
            planes = vec![gray.collect()];
        }
        planes.iter().flat_map(|plane| self.plane(plane)).collect()
    }

    fn plane(&self, plane: &[f64]) -> Vec<f64> {
        let cols = self.from[2];
        let pixel = |down: &Taps, across: &Taps| -> f64 {
            if down.is_empty() || across.is_empty() {
                return plane[0];
            }
            let row = |(row, weight): &(usize, f64)| {
                let line = &plane[row * cols..][..cols];
                weight * across.iter().map(|(col, weight)| weight * line[*col]).sum::<f64>()
            };
            down.iter().map(row).sum()
        };
        self.down
            .iter()
            .flat_map(|down| self.across.iter().map(move |across| pixel(down, across)))
            .collect()
    }
}

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

    fn sized(from: [usize; 3], image: &[f32], to: [usize; 3]) -> Vec<f64> {
        Size::new(from, to).unwrap().apply(image)
    }

    #[test]
    fn areas_borders_and_colours_by_hand() {
        // 3 to 2: (a + b / 2) / 1.5, (b / 2 + c) / 1.5.
        let line = sized([1, 1, 3], &[30.0, 60.0, 90.0], [1, 1, 2]);
        assert!((line[0] - 40.0).abs() < 1e-12 && (line[1] - 80.0).abs() < 1e-12);
        let image: Vec<f32> = (0..9).map(|v| v as f32).collect();
        assert!((sized([1, 3, 3], &image, [1, 1, 1])[0] - 4.0).abs() < 1e-12);
        // Half pixels: rows 0 and half of 1, and the same in columns.
        let half = sized([1, 3, 3], &image, [1, 2, 2]);
        assert!((half[0] - (0.0 + 0.5 + 1.5 + 1.0) / 2.25).abs() < 1e-12, "{half:?}");
        let padded = sized([1, 1, 2], &[5.0, 6.0], [1, 3, 4]);
        assert_eq!(padded, [5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 6.0, 5.0, 5.0, 5.0, 5.0, 5.0]);
        let gray = sized([3, 1, 1], &[100.0, 200.0, 50.0], [1, 1, 1]);
        assert!((gray[0] - (29.9 + 117.4 + 5.7)).abs() < 1e-9);
        assert!(Size::new([1, 2, 2], [3, 2, 2]).unwrap_err().contains("1 channels"));
        assert!(Size::new([1, 0, 2], [1, 2, 2]).is_err());
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
