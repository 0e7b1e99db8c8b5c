//! A convolution's weights, from the order of the file to the engine's.

use super::finish::Factors;
use crate::family::{LANES, Line};
use crate::window::Window;
use mote_runtime::Model;
use mote_runtime::internals::family::padded;
use mote_runtime::internals::ops::conv::Extent;
use mote_runtime::internals::ops::conv::proof::{accumulator_bound, wide_bias};
use mote_runtime::internals::ops::{At, Weights};
use mote_runtime::internals::tensor::int4;
use std::borrow::Cow;

/// Weights, biases and factors as they stand in the file.
#[derive(PartialEq)]
pub(super) struct Packed<'m> {
    data: Data<'m>,
    bias: Vec<i64>,
    mult: &'m [i32],
    shift: &'m [u8],
    /// Taps of a row as it is stored, zeros at its end included.
    row: usize,
    pub split: Halves,
    /// Whether int32 holds the sums of a kernel row alone.
    pub by_rows: bool,
}

/// Where the halves of int16 weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halves {
    /// int8 weights.
    None,
    /// High halves in one block, low halves in the next.
    Blocks,
    /// At most eight channels: high halves in the lower lanes of a block, low halves in the upper.
    Lanes,
}

#[derive(PartialEq)]
enum Data<'m> {
    /// As they stand in the file; of 4 bits, unpacked.
    Int8(Cow<'m, [i8]>),
    Int16(&'m [i16]),
}

impl<'m> Packed<'m> {
    /// `taps` are those of `rows` kernel rows; inputs are at most `bound`.
    pub fn of(
        model: &Model<'m>,
        weights: &Weights,
        (taps, rows): (usize, usize),
        outs: usize,
        bound: i64,
    ) -> Option<Self> {
        let requant = |at: At| Some((model.table(at, outs)?, model.table(At(at.0 + outs as u32 * 4), outs)?));
        let row = padded(taps);
        match *weights {
            Weights::W8 {
                data,
                bias,
                requant: at,
            }
            | Weights::W4 {
                data,
                bias,
                requant: at,
            } => {
                let (mult, shift) = requant(at)?;
                let data = match weights {
                    Weights::W4 { .. } => {
                        Cow::Owned(unpacked(model.table(data, int4::row_words(taps) * outs)?, taps, row))
                    }
                    _ => Cow::Borrowed(model.table(data, row * outs)?),
                };
                Some(Self {
                    data: Data::Int8(data),
                    bias: model
                        .table::<i32>(bias, outs)?
                        .iter()
                        .map(|&bias| bias.into())
                        .collect(),
                    mult,
                    shift,
                    row,
                    split: Halves::None,
                    by_rows: false,
                })
            }
            Weights::W16 {
                data,
                bias,
                requant: at,
            } => {
                let (mult, shift) = requant(at)?;
                let data: &[i16] = model.table(data, row * outs)?;
                let fits = |taps: &[i16], half: fn(i16) -> i16| {
                    let sum: i64 = taps.iter().map(|&w| i64::from(half(w)).abs()).sum();
                    sum * bound <= i32::MAX.into()
                };
                let both = |taps: &[i16]| fits(taps, high) && fits(taps, low);
                let by_rows = !data.chunks_exact(row).all(both);
                let each = |row: &[i16]| row[..taps].chunks(taps / rows).all(both);
                (!by_rows || data.chunks_exact(row).all(each)).then_some(Self {
                    data: Data::Int16(data),
                    bias: model.table(bias, outs)?.iter().map(|&words| wide_bias(words)).collect(),
                    mult,
                    shift,
                    row,
                    split: if outs <= LANES / 2 && !by_rows {
                        Halves::Lanes
                    } else {
                        Halves::Blocks
                    },
                    by_rows,
                })
            }
            _ => None,
        }
    }

    /// Whether the weights, or both their halves, are of eight bits.
    pub fn halves_are_bytes(&self) -> bool {
        match &self.data {
            Data::Int8(_) => true,
            Data::Int16(data) => data.iter().all(|&w| high(w) < 128),
        }
    }

    fn outs(&self) -> usize {
        self.bias.len()
    }

    /// Whether every factor's result fits 31 bits, whatever the input of magnitude `bound`.
    pub fn stays_narrow(&self, bound: i64) -> bool {
        let Data::Int8(data) = &self.data else { return false };
        data.chunks_exact(self.row).enumerate().all(|(out, row)| {
            let sum = row.iter().map(|w| u64::from(w.unsigned_abs())).sum();
            let most = accumulator_bound(sum, self.bias[out], bound);
            (i128::from(most) * i128::from(self.mult[out])) >> self.shift[out] < (1 << 30) - 1
        })
    }

    /// `zero` is the input's zero point where it is multiplied as bytes `q + 128`.
    pub fn factors(&self, zero: Option<i64>) -> Vec<Factors> {
        let sum = |out: usize| -> i64 {
            let row = out * self.row..(out + 1) * self.row;
            match &self.data {
                Data::Int8(data) => data[row].iter().map(|&w| i64::from(w)).sum(),
                Data::Int16(data) => data[row].iter().map(|&w| i64::from(w)).sum(),
            }
        };
        let bias = |out: usize| self.bias[out] - zero.map_or(0, |zero| (128 + zero) * sum(out));
        let lane = |first: usize, lane: usize| Some(first + lane).filter(|&out| out < self.outs());
        let block = |first: usize| {
            let shift = core::array::from_fn(|l| lane(first, l).map_or(32, |out| self.shift[out]));
            let of = |f: fn(u8) -> i64| [0, 1].map(|odd| core::array::from_fn(|i| f(shift[2 * i + odd])));
            let bias = core::array::from_fn(|l| lane(first, l).map_or(0, bias));
            Factors {
                bias,
                low_bias: bias.map(|bias| bias as i32),
                mult: core::array::from_fn(|l| lane(first, l).map_or(0, |out| self.mult[out])),
                shift,
                upper_shift: shift
                    .iter()
                    .all(|&shift| shift >= 32)
                    .then(|| shift.map(|shift| i32::from(shift) - 32)),
                round: of(|shift| 1 << (shift - 1)),
                shifts: of(i64::from),
            }
        };
        (0..self.outs()).step_by(LANES).map(block).collect()
    }

    /// Weights in the engine's order: blocks, kernel rows, groups of four bytes of the window, lanes.
    pub fn lines(&self, window: &Window, kernel: Extent) -> Vec<Line> {
        let (quads, each) = (window.quads(), 4 / window.bytes);
        let row_taps = kernel.cols() * window.channels;
        let weight = |out: usize, ky: usize, element: usize| {
            let (kx, channel) = (element / window.padded, element % window.padded);
            let there = channel < window.channels && out < self.outs();
            there.then(|| out * self.row + ky * row_taps + kx * window.channels + channel)
        };
        let line = |block: usize, ky: usize, quad: usize| {
            let mut line = Line([0; 64]);
            for (lane, bytes) in line.0.chunks_exact_mut(4).enumerate() {
                let (out, half) = self.place(block, lane);
                for (j, bytes) in bytes.chunks_exact_mut(window.bytes).enumerate() {
                    let Some(at) = weight(out, ky, quad * each + j) else {
                        continue;
                    };
                    match &self.data {
                        Data::Int8(data) if window.bytes == 1 => bytes[0] = data[at] as u8,
                        Data::Int16(data) if window.bytes == 1 => bytes[0] = half(data[at]) as u8,
                        Data::Int8(data) => bytes.copy_from_slice(&i16::from(data[at]).to_le_bytes()),
                        Data::Int16(data) => bytes.copy_from_slice(&half(data[at]).to_le_bytes()),
                    }
                }
            }
            line
        };
        let blocks = match self.split {
            Halves::None => self.outs().div_ceil(LANES),
            Halves::Blocks => 2 * self.outs().div_ceil(LANES),
            Halves::Lanes => 1,
        };
        let rows = (0..blocks).flat_map(|block| (0..kernel.rows()).map(move |ky| (block, ky)));
        rows.flat_map(|(block, ky)| (0..quads).map(move |quad| (block, ky, quad)))
            .map(|(block, ky, quad)| line(block, ky, quad))
            .collect()
    }

    /// Output channel of a lane, and which half of its weights.
    fn place(&self, block: usize, lane: usize) -> (usize, fn(i16) -> i16) {
        match self.split {
            Halves::None => (block * LANES + lane, low),
            Halves::Blocks => (
                block / 2 * LANES + lane,
                if block.is_multiple_of(2) { high } else { low },
            ),
            Halves::Lanes => (lane % (LANES / 2), if lane < LANES / 2 { high } else { low }),
        }
    }
}

/// Rows of nibbles as rows of the int8 weights that they count as, zeros at their ends.
fn unpacked(words: &[u32], taps: usize, row: usize) -> Vec<i8> {
    let row_words = int4::row_words(taps).max(1);
    let mut to = Vec::with_capacity(words.len() / row_words * row);
    for words in words.chunks_exact(row_words) {
        let end = to.len() + row;
        to.extend(words.iter().flat_map(|&word| int4::unpack(word)).take(taps));
        to.resize(end, 0);
    }
    to
}

/// The signed low byte of a weight.
fn low(w: i16) -> i16 {
    i16::from(w as i8)
}

/// What is left of it, in units of 256: -128 to 128.
fn high(w: i16) -> i16 {
    ((i32::from(w) - i32::from(low(w))) >> 8) as i16
}
