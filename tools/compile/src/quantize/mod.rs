//! The quantizer: which number format every tensor gets, and the integers that go with it.
//!
//! - [`scheme`]: what a user can ask for, and the widths of a model's tensors.
//! - [`formats`]: from calibration to scales and zero points.
//! - [`weights`]: rounding of weights; [`round`]: rounding to 4 bits, against the [`moments`] of what the weights meet.
//! - [`factor`]: real factors as multiplier and shift.
//! - [`trained`]: the formats that a checkpoint was trained with.

pub mod factor;
pub mod formats;
pub mod moments;
pub mod products;
pub mod round;
pub mod scheme;
pub mod trained;
pub mod weights;

use mote_engine::calibrate::Stats;

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
    /// The same of 8 bits.
    pub int8: &'a [Vec<Row>],
}

impl<'a> Quantization<'a> {
    /// The 4-bit weights of one output channel of the operator that writes `out`.
    pub fn int4_row(&self, out: SlotId, channel: usize) -> Option<&'a Row> {
        self.int4.get(out.0)?.get(channel)
    }

    /// The 8-bit weights of one output channel of the operator that writes `out`, where they were rounded together.
    pub fn int8_row(&self, out: SlotId, channel: usize) -> Option<&'a Row> {
        self.int8.get(out.0)?.get(channel)
    }
}
