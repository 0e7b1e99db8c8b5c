//! The samples of a run as one picture.

use super::{Picture, Shape, grid, scatter};
use crate::Error;
use crate::backend::Trace;
use crate::tensors::from_q24;
use mote_runtime::Model;
use mote_runtime::internals::schedule::coefficients::Prediction;

/// Bytes of pixels that one picture has at most.
const MOST_BYTES: usize = 1 << 30;
/// Side of the picture of a Gaussian chain's samples, pixels, and half the side of the plane that it shows.
const POINTS_SIDE: usize = 256;
const POINTS_EXTENT: f64 = 2.5;

/// Refuses more images than one picture holds, each pixel a square of `zoom` by `zoom`.
///
/// # Errors
/// Of kind `Usage`.
pub fn fits_one_picture(count: usize, shape: Shape, zoom: usize) -> Result<(), Error> {
    let each = shape.len() * zoom * zoom;
    if count.saturating_mul(each) <= MOST_BYTES {
        return Ok(());
    }
    let most = MOST_BYTES / each.max(1);
    Err(Error::usage(format_args!("{count} images do not fit one PNG file"))
        .help(format_args!("give --count up to {most}, or --out for a file an image")))
}

/// The samples in a grid without gaps, in their order; of a Gaussian chain as points of the plane. `columns` is a square's by default,
/// each pixel is a square of `zoom` by `zoom`.
#[must_use]
pub fn sheet(traces: &[Trace], model: &Model<'_>, columns: Option<usize>, zoom: usize) -> Picture {
    let header = model.header();
    if header.prediction == Prediction::Kernel {
        return points(traces, header.channels.into()).enlarged(zoom);
    }
    let shape = Shape::of_picture(model);
    let pictures: Vec<Picture> = traces
        .iter()
        .map(|trace| Picture::of_sample(&trace.pixels, shape))
        .collect();
    let square = (1..).find(|side| side * side >= pictures.len()).unwrap_or(1);
    grid(&pictures, columns.unwrap_or(square).min(pictures.len())).enlarged(zoom)
}

/// The samples of a Gaussian chain as points of the plane of their first two channels.
fn points(traces: &[Trace], channels: usize) -> Picture {
    let of_pixel = |p: &u8| f64::from(*p) / 127.5 - 1.0;
    let point = |trace: &Trace| match trace.state[..] {
        [x, y, ..] if channels > 1 => [from_q24(x), from_q24(y)],
        // Boards send pixels, which end at -1 and 1.
        _ => core::array::from_fn(|i| trace.pixels.get(i).map_or(0.0, of_pixel)),
    };
    let points: Vec<[f64; 2]> = traces.iter().map(point).collect();
    scatter(&points, POINTS_SIDE, POINTS_EXTENT)
}
