//! Weights in the order of the tensor cores' fragments, and the other constants.

use bytemuck::NoUninit;
use mote_runtime::Model;
use mote_runtime::internals::family::padded;
use mote_runtime::internals::ops::conv::proof::wide_bias;
use mote_runtime::internals::ops::{At, Weights};
use mote_runtime::internals::tensor::int4;

use super::ops::Factor;

/// Taps of a step of the inner loop.
const STEP: usize = 32;
/// Output channels of a column of fragments.
const COLUMN: usize = 8;
/// Marks a quad of taps that pads the last step.
const NO_TAP: u32 = u32::MAX;

/// Bytes that kernels read, pieces at multiples of 16.
#[derive(Debug, Default)]
pub struct Constants {
    /// All pieces.
    pub bytes: Vec<u8>,
}

impl Constants {
    /// Appends a piece; gives its offset.
    pub fn push<T: NoUninit>(&mut self, values: &[T]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytemuck::cast_slice(values));
        at
    }
}

/// Extents of a convolution's weights.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The kernel's side.
    pub side: usize,
    /// Input channels.
    pub channels: usize,
    /// Output channels.
    pub outs: usize,
    /// Groups of timesteps with weights of their own, one group after the other.
    pub groups: usize,
}

/// A convolution's weights: `high` is all of int8 weights.
#[derive(Debug)]
pub struct Packed {
    /// Bytes `(group, column, step, lane, register, tap)`.
    pub high: Vec<u8>,
    /// The low bytes of int16 weights, without a sign.
    pub low: Option<Vec<u8>>,
    /// Biases `(group, output channel)`, the zero point's share in them.
    pub bias: Vec<i64>,
    /// Factors `(group, output channel)`.
    pub factors: Vec<Factor>,
    /// Kernel row (4 bits), column (4 bits) and first channel (24 bits) of every four taps.
    pub taps: Vec<u32>,
    /// 32-tap steps.
    pub steps: u32,
}

impl Packed {
    /// Packs `(out, row, col, in)` weights of a `side * side` kernel; `zero` is removed from inputs by the bias.
    pub fn new(model: &Model<'_>, weights: &Weights, shape: Shape, zero: i32) -> Option<Self> {
        let Shape {
            side,
            channels,
            outs,
            groups,
        } = shape;
        let file = InFile::new(model, weights, side * side * channels, groups * outs)?;
        let quads = channels.div_ceil(4);
        let steps = (side * side * quads).div_ceil(STEP / 4);
        let mut taps = vec![NO_TAP; steps * STEP / 4];
        for (i, tap) in taps.iter_mut().enumerate().take(side * side * quads) {
            let (position, quad) = (i / quads, i % quads);
            *tap = (((position / side) << 28) | ((position % side) << 24) | (4 * quad)) as u32;
        }
        let columns = outs.div_ceil(COLUMN);
        let len = groups * columns * steps * 256;
        let (mut high, mut low) = (vec![0; len], vec![0; len]);
        for (i, (high, low)) in high.iter_mut().zip(&mut low).enumerate() {
            let (slot, tap) = place(i, steps);
            let (group, out) = (slot / (columns * COLUMN), slot % (columns * COLUMN));
            let (position, channel) = (tap / (4 * quads), tap % (4 * quads));
            if out < outs && position < side * side && channel < channels {
                let w = file.weight(group * outs + out, position * channels + channel);
                // A high byte with its sign and a low one without: w = 256 high + low.
                *high = if file.wide { (w >> 8) as u8 } else { w as u8 };
                *low = w as u8;
            }
        }
        let bias = (0..groups * outs).map(|out| file.bias(out) - i64::from(zero) * file.sum(out));
        Some(Self {
            high,
            low: file.wide.then_some(low),
            bias: bias.collect(),
            factors: file.factors,
            taps,
            steps: steps as u32,
        })
    }
}

/// Output channel (those of groups follow each other, each padded to whole columns) and tap of byte `i` of the fragments.
fn place(i: usize, steps: usize) -> (usize, usize) {
    let (byte, register, lane, fragment) = (i % 4, i / 4 % 2, i / 8 % 32, i / 256);
    let (column, step) = (fragment / steps, fragment % steps);
    (
        column * COLUMN + lane / 4,
        step * STEP + register * 16 + lane % 4 * 4 + byte,
    )
}

/// Weights, biases and factors as they stand in the file; output channels are those of all groups.
struct InFile<'m> {
    data: Data<'m>,
    taps: usize,
    bias: Vec<i64>,
    factors: Vec<Factor>,
    wide: bool,
}

enum Data<'m> {
    W8(&'m [i8]),
    W16(&'m [i16]),
    W4(&'m [u32]),
}

impl<'m> InFile<'m> {
    fn new(model: &Model<'m>, weights: &Weights, taps: usize, outs: usize) -> Option<Self> {
        let narrow = |at| Some(model.table::<i32>(at, outs)?.iter().map(|&bias| bias.into()).collect());
        let (data, bias, requant) = match *weights {
            Weights::W8 { data, bias, requant } => (
                Data::W8(model.table(data, padded(taps) * outs)?),
                narrow(bias)?,
                requant,
            ),
            Weights::W4 { data, bias, requant } => (
                Data::W4(model.table(data, int4::row_words(taps) * outs)?),
                narrow(bias)?,
                requant,
            ),
            Weights::W16 { data, bias, requant } => {
                let bias = model.table(bias, outs)?.iter().map(|&words| wide_bias(words));
                (
                    Data::W16(model.table(data, padded(taps) * outs)?),
                    bias.collect(),
                    requant,
                )
            }
            Weights::F16 { .. } => return None,
        };
        let mults = model.table::<i32>(requant, outs)?;
        let shifts = model.table::<u8>(At(requant.0 + outs as u32 * 4), outs)?;
        let factors = mults.iter().zip(shifts).map(|(&mult, &shift)| Factor {
            mult,
            shift: shift.into(),
        });
        Some(Self {
            wide: matches!(data, Data::W16(_)),
            data,
            taps,
            bias,
            factors: factors.collect(),
        })
    }

    fn weight(&self, out: usize, tap: usize) -> i32 {
        match self.data {
            Data::W8(data) => data[out * padded(self.taps) + tap].into(),
            Data::W16(data) => data[out * padded(self.taps) + tap].into(),
            Data::W4(data) => {
                let word = data[out * int4::row_words(self.taps) + tap / int4::TAPS];
                int4::unpack(word)[tap % int4::TAPS].into()
            }
        }
    }

    fn sum(&self, out: usize) -> i64 {
        (0..self.taps).map(|tap| i64::from(self.weight(out, tap))).sum()
    }

    fn bias(&self, out: usize) -> i64 {
        self.bias[out]
    }
}
