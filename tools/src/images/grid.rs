//! Pictures of one size, laid out without gaps: image `i` is cut out again at `(i / columns, i % columns)`.

use super::Picture;

/// `pictures` in rows of `columns`; places left over are black. All have the size of the first.
pub fn grid(pictures: &[Picture], columns: usize) -> Picture {
    let Some(first) = pictures.first() else {
        return Picture {
            width: 0,
            height: 0,
            channels: 1,
            data: vec![],
        };
    };
    let (columns, line) = (columns.max(1), first.width * first.channels);
    let rows = pictures.len().div_ceil(columns);
    let (width, height) = (columns * first.width, rows * first.height);
    let mut data = vec![0; width * height * first.channels];
    for (i, picture) in pictures.iter().enumerate() {
        let (row, col) = (i / columns, i % columns);
        for (y, source) in picture.data.chunks_exact(line).enumerate() {
            let start = ((row * first.height + y) * columns + col) * line;
            data[start..start + line].copy_from_slice(source);
        }
    }
    Picture {
        width,
        height,
        channels: first.channels,
        data,
    }
}

impl Picture {
    /// Each pixel as a square of `zoom` by `zoom`.
    pub fn enlarged(self, zoom: usize) -> Self {
        if zoom < 2 {
            return self;
        }
        let line = self.width * self.channels;
        let mut data = Vec::with_capacity(self.data.len() * zoom * zoom);
        for row in self.data.chunks_exact(line.max(1)) {
            let wide: Vec<u8> = row.chunks(self.channels).flat_map(|pixel| pixel.repeat(zoom)).collect();
            (0..zoom).for_each(|_| data.extend(&wide));
        }
        Self {
            width: self.width * zoom,
            height: self.height * zoom,
            data,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(value: u8) -> Picture {
        Picture {
            width: 1,
            height: 1,
            channels: 1,
            data: vec![value],
        }
    }

    #[test]
    fn rows_are_filled_in_order() {
        let grid = grid(&[dot(1), dot(2), dot(3)], 2);
        assert_eq!((grid.width, grid.height), (2, 2));
        assert_eq!(grid.data, [1, 2, 3, 0]);
    }

    #[test]
    fn pixels_become_squares() {
        let strip = grid(&[dot(1), dot(2)], 2).enlarged(2);
        assert_eq!((strip.width, strip.height), (4, 2));
        assert_eq!(strip.data, [1, 1, 2, 2, 1, 1, 2, 2]);
    }
}
