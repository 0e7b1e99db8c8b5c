//! Activations as planes: `(channel, row, col)`, each in its own memory.

/// One activation. Integer models: stored integers minus the zero point; f16 models: bits, or f32 while computing.
#[derive(Debug, Clone, PartialEq)]
pub struct Planes<T> {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Channels.
    pub channels: usize,
    /// `(channel, row, col)`.
    pub values: Vec<T>,
}

impl<T: Copy + Default> Planes<T> {
    /// From a function of channel, row and column.
    pub fn from_fn(shape: [usize; 3], mut f: impl FnMut(usize, usize, usize) -> T) -> Self {
        let [channels, rows, cols] = shape;
        let mut values = Vec::with_capacity(channels * rows * cols);
        for channel in 0..channels {
            for row in 0..rows {
                for col in 0..cols {
                    values.push(f(channel, row, col));
                }
            }
        }
        Self {
            rows,
            cols,
            channels,
            values,
        }
    }

    /// `(channel, row, col)`.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.rows, self.cols]
    }

    /// Rows times columns.
    pub fn positions(&self) -> usize {
        self.rows * self.cols
    }

    /// One channel.
    pub fn plane(&self, channel: usize) -> &[T] {
        &self.values[channel * self.positions()..][..self.positions()]
    }

    /// One element.
    pub fn at(&self, channel: usize, row: usize, col: usize) -> T {
        self.plane(channel)[row * self.cols + col]
    }

    /// The elements in the file format's order, `(row, col, channel)`.
    pub fn channels_last(&self) -> impl Iterator<Item = T> + '_ {
        let positions = self.positions();
        (0..positions).flat_map(move |p| (0..self.channels).map(move |c| self.values[c * positions + p]))
    }

    /// From elements in the order `(row, col, channel)`.
    pub fn from_channels_last(shape: [usize; 3], values: &[T]) -> Self {
        Self::from_fn(shape, |c, y, x| values[(y * shape[2] + x) * shape[0] + c])
    }

    /// Elementwise.
    pub fn map<U: Copy + Default>(&self, f: impl FnMut(T) -> U) -> Planes<U> {
        Planes {
            rows: self.rows,
            cols: self.cols,
            channels: self.channels,
            values: self.values.iter().copied().map(f).collect(),
        }
    }

    /// The channels of `self`, then those of `other`.
    pub fn concat(mut self, other: Self) -> Self {
        self.values.extend(other.values);
        self.channels += other.channels;
        self
    }

    /// Each position four times.
    pub fn doubled(&self) -> Self {
        Self::from_fn([self.channels, 2 * self.rows, 2 * self.cols], |c, y, x| {
            self.at(c, y / 2, x / 2)
        })
    }

    /// With zeros at top, left, bottom and right.
    pub fn framed(&self, [top, left, bottom, right]: [usize; 4]) -> Self {
        let shape = [self.channels, self.rows + top + bottom, self.cols + left + right];
        Self::from_fn(shape, |c, y, x| {
            let inside = (top..top + self.rows).contains(&y) && (left..left + self.cols).contains(&x);
            if inside {
                self.at(c, y - top, x - left)
            } else {
                T::default()
            }
        })
    }
}
