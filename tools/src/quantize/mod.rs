//! The quantizer: which number format every tensor gets, and the integers that go with it.
//!
//! [`scheme`] says what a user can ask for; [`formats`] turns calibration statistics into scales and zero points; [`weights`]
//! rounds the weights; [`round`] those of 4 bits, against the [`moments`] of what they meet; [`int4`] says which those are; [`probe`] predicts what an error does to the image; [`auto`] measures sensitivity and spends memory where it counts; [`factor`] writes real factors as
//! the contract's multiplier and shift; [`trained`] takes what a checkpoint was trained with.

pub mod auto;
pub mod context;
pub mod factor;
pub mod formats;
pub mod int4;
pub mod moments;
pub mod probe;
pub mod products;
pub mod round;
pub mod scheme;
pub mod trained;
pub mod weights;

use mote_host::calibrate::Stats;

use crate::program::SlotId;
use formats::Format;
use round::Row;
use scheme::Assignment;

/// One unit of Q16, in which operators hold what their functions take.
pub const Q16: f64 = 65536.0;

/// All that turns a program into integers.
#[derive(Debug, Clone, Copy)]
pub struct Quantization<'a> {
    /// Number formats, by slot.
    pub formats: &'a [Format],
    /// Calibration, by slot.
    pub stats: &'a [Stats],
    /// Widths of activations and weights.
    pub assignment: &'a Assignment,
    /// Scales of 8-bit weights, by operator and output channel.
    pub scales: &'a [Vec<f64>],
    /// Weights rounded to 4 bits, by operator and output channel. Those that are not there are rounded each alone.
    pub int4: &'a [Vec<Row>],
}

impl<'a> Quantization<'a> {
    /// The 4-bit weights of one output channel of the operator that writes `out`.
    pub fn int4_row(&self, out: SlotId, channel: usize) -> Option<&'a Row> {
        self.int4.get(out.0)?.get(channel)
    }
}
