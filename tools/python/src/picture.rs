//! Images as one PNG: what `mote sample -o` writes.

use crate::error::exception;
use mote_tools::Error;
use mote_tools::files::{Format, OutputFile};
use mote_tools::images::{Picture, Shape, encode, fits_one_picture, grid};
use numpy::PyReadonlyArray4;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;

/// Pixels `(image, row, col, channel)`.
type Pixels<'py> = PyReadonlyArray4<'py, u8>;

/// The images in a grid without gaps, as a PNG; `columns` is a square's by default, each pixel a square of `zoom` by `zoom`.
#[pyfunction]
pub fn png<'py>(
    py: Python<'py>,
    pixels: Pixels<'_>,
    columns: Option<usize>,
    zoom: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let file = encoded(&pixels, columns, zoom).map_err(|error| exception(py, &error))?;
    Ok(PyBytes::new(py, &file))
}

/// Writes the same to a file.
#[pyfunction]
pub fn write_png(
    py: Python<'_>,
    path: PathBuf,
    pixels: Pixels<'_>,
    columns: Option<usize>,
    zoom: usize,
) -> PyResult<()> {
    let written = || {
        let out = OutputFile::prepare(&path, Format::Png, &[])?;
        out.write(&encoded(&pixels, columns, zoom)?)
    };
    written().map_err(|error| exception(py, &error))
}

fn encoded(pixels: &Pixels<'_>, columns: Option<usize>, zoom: usize) -> Result<Vec<u8>, Error> {
    let pixels = pixels.as_array();
    let [count, rows, cols, channels] = [0, 1, 2, 3].map(|axis| pixels.shape()[axis]);
    if rows < 2 || count == 0 {
        return Err(Error::usage(format_args!(
            "{count} samples of {rows} row are no picture: they are signals or actions"
        ))
        .help("write them as numbers: numpy.save(path, images.samples)"));
    }
    let shape = Shape { rows, cols, channels };
    fits_one_picture(count, shape, zoom)?;
    let pictures: Vec<Picture> = pixels
        .outer_iter()
        .map(|one| Picture::of_sample(&one.iter().copied().collect::<Vec<u8>>(), shape))
        .collect();
    let square = count.isqrt() + usize::from(count.isqrt().pow(2) < count);
    let columns = columns.unwrap_or(square).clamp(1, count);
    Ok(encode(&grid(&pictures, columns).enlarged(zoom))?)
}
