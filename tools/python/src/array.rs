//! Arrays that Python gives: read where they lie, in the order of axes and with the strides that they have.

use mote_tools::Error;
use mote_tools::images::Shape;
use mote_tools::tensors::to_q24;
use numpy::PyReadonlyArray4;

/// Samples, f32 `(sample, channel, row, col)`.
pub type Samples<'py> = PyReadonlyArray4<'py, f32>;

/// The same as the library takes them, Q24 `(row, col, channel)`: a change of numbers and of order, with no copy before it.
pub fn q24(samples: &Samples<'_>, shape: Shape) -> Result<Vec<Vec<i32>>, Error> {
    let samples = samples.as_array();
    let Shape { rows, cols, channels } = shape;
    if samples.shape()[1..] != [channels, rows, cols] {
        return Err(Error::usage(format_args!("samples have shape {:?}", samples.shape()))
            .help(format_args!("give (n, {channels}, {rows}, {cols})")));
    }
    let one = |(index, sample): (usize, numpy::ndarray::ArrayView3<'_, f32>)| -> Result<Vec<i32>, Error> {
        let own = sample.permuted_axes([1, 2, 0]);
        let numbers: Option<Vec<i32>> = own.iter().map(|number| to_q24(f64::from(*number))).collect();
        numbers.ok_or_else(|| {
            Error::usage(format_args!(
                "sample {index} holds a value that is not a number or beyond 64"
            ))
            .help("give finite values; the network sees a state of about unit variance")
        })
    };
    samples.outer_iter().enumerate().map(one).collect()
}
