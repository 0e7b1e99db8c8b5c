//! Pictures of samples: PNG files in and out, sheets of a run's samples, many samples in a folder or an archive.

mod grid;
pub(crate) mod npz;
mod png;
mod scatter;
mod sheet;
mod signal;
mod sink;
mod worst;

pub use grid::grid;
pub use png::{ImageError, decode, encode};
pub use scatter::scatter;
pub use sheet::{fits_one_picture, sheet};
pub use signal::Signal;
pub use sink::{ImageSink, Made};
pub use worst::{is_drawn, worst};

use mote_runtime::Model;
use mote_runtime::internals::model::header::Header;
use mote_runtime::internals::sampler::pixel_to_q24;
use mote_runtime::internals::schedule::coefficients::Prediction;

/// An 8-bit image, `(row, col, channel)` with 1 (gray) or 3 (RGB) channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 or 3.
    pub channels: usize,
    /// `height * width * channels` bytes.
    pub data: Vec<u8>,
}

/// Extents of a model's sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Channels.
    pub channels: usize,
}

impl Shape {
    /// The sample of a model.
    pub fn of(header: &Header) -> Self {
        let (cols, channels) = (usize::from(header.cols), usize::from(header.channels));
        // The bits of a chain are its channels; as a picture they are a row.
        let bits = matches!(header.prediction, Prediction::Bits { .. });
        Self {
            rows: header.rows.into(),
            cols: if bits { cols * channels } else { cols },
            channels: if bits { 1 } else { channels },
        }
    }

    /// What a model makes in the end: its decoder's picture, its own where it is a decoder alone, or its sample.
    pub fn of_picture(model: &Model<'_>) -> Self {
        let inner = model.decoder().map(|decoder| decoder.picture());
        match inner.or_else(|| model.header().prediction.picture()) {
            Some(picture) => {
                let [channels, rows, cols] = picture.map(usize::from);
                Self { rows, cols, channels }
            }
            None => Self::of(model.header()),
        }
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.rows * self.cols * self.channels
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Picture {
    /// A sample's pixels, `(row, col, channel)`, as a picture: gray or RGB; with any other number of channels the planes stand side
    /// by side in gray.
    pub fn of_sample(pixels: &[u8], shape: Shape) -> Self {
        let Shape { rows, cols, channels } = shape;
        if matches!(channels, 1 | 3) {
            return Self {
                width: cols,
                height: rows,
                channels,
                data: pixels.to_vec(),
            };
        }
        let mut data = Vec::with_capacity(pixels.len());
        for row in pixels.chunks(cols * channels) {
            for channel in 0..channels {
                data.extend(row.iter().skip(channel).step_by(channels));
            }
        }
        Self {
            width: cols * channels,
            height: rows,
            channels: 1,
            data,
        }
    }

    /// The picture as a clean sample of a model, Q24; `None` when its size or number of channels is another.
    pub fn to_sample_q24(&self, shape: Shape) -> Option<Vec<i32>> {
        let size = (self.height, self.width) == (shape.rows, shape.cols);
        let pixel = |p: &[u8]| -> Vec<u8> {
            match (self.channels, shape.channels) {
                (3, 1) => vec![luma(p)],
                (1, 3) => vec![p[0]; 3],
                _ => p.to_vec(),
            }
        };
        if !size || !matches!(shape.channels, 1 | 3) {
            return None;
        }
        Some(
            self.data
                .chunks(self.channels)
                .flat_map(pixel)
                .map(pixel_to_q24)
                .collect(),
        )
    }
}

/// ITU-R BT.601, in 256ths.
fn luma(p: &[u8]) -> u8 {
    let weighted = 77 * u32::from(p[0]) + 150 * u32::from(p[1]) + 29 * u32::from(p[2]);
    ((weighted + 128) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_channels_stand_side_by_side() {
        let shape = Shape {
            rows: 2,
            cols: 2,
            channels: 2,
        };
        let picture = Picture::of_sample(&[1, 10, 2, 20, 3, 30, 4, 40], shape);
        assert_eq!((picture.width, picture.height, picture.channels), (4, 2, 1));
        assert_eq!(picture.data, [1, 2, 10, 20, 3, 4, 30, 40]);
    }

    #[test]
    fn gray_goes_in_and_out_of_q24() {
        let shape = Shape {
            rows: 1,
            cols: 2,
            channels: 1,
        };
        let picture = Picture::of_sample(&[0, 255], shape);
        assert_eq!(picture.to_sample_q24(shape).unwrap(), [-(1 << 24), 1 << 24]);
        assert_eq!(picture.to_sample_q24(Shape { rows: 2, ..shape }), None);
    }
}
