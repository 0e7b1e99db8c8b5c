//! From sums to outputs: biases, factors, the addend, one rounding.

use crate::family::LANES;
use crate::split::Split;
use mote_runtime::internals::numeric::requant::{Requant, WideRequant, add_guarded, saturate_i8, saturate_i16};
use mote_runtime::internals::tensor::Dtype;

/// Biases and factors of a block of channels; lanes without a channel give 0.
#[derive(Debug, Clone)]
pub(crate) struct Factors {
    /// With the zero point's share.
    pub bias: [i64; LANES],
    /// Modulo 2^32: sums fit 32 bits once it is in them.
    pub low_bias: [i32; LANES],
    pub mult: [i32; LANES],
    pub shift: [u8; LANES],
    /// `2^(shift - 1)` of the even lanes, then of the odd ones.
    pub round: [[i64; LANES / 2]; 2],
    /// Shifts of the even lanes, then of the odd ones.
    pub shifts: [[i64; LANES / 2]; 2],
    /// Shifts less 32, where all are at least that: the upper halves of products are enough then.
    pub upper_shift: Option<[i32; LANES]>,
}

/// How sums become outputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finish<'a> {
    pub factors: &'a Factors,
    pub add: Add<'a>,
    pub out: Dtype,
    pub zero: i32,
    /// First channel of the block, channels in it, channels of the output.
    pub channel: usize,
    pub lanes: usize,
    pub outs: usize,
    /// Whether no factor's result leaves 31 bits, and no term 30, so that nothing need be saturated before the output is; a
    /// tensor's factor has its [`Split`] then. Never for Q24.
    pub exact: bool,
}

/// The term before the rounding.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Add<'a> {
    None,
    /// Requantized, one a lane.
    Vector(&'a [i32; LANES]),
    /// Of the output's shape, from the first position on, with room for a whole block at the end.
    Tensor(&'a [i16], Requant, Option<&'a Split>),
}

/// A term of the whole output.
#[derive(Debug, Clone, Copy)]
pub(super) enum Addend<'a> {
    None,
    Vector(&'a [i32]),
    Tensor(&'a [i16], Requant, Option<&'a Split>),
}

impl<'a> Addend<'a> {
    pub fn block(self, channel: usize) -> Add<'a> {
        match self {
            Self::None => Add::None,
            Self::Tensor(data, requant, split) => Add::Tensor(data, requant, split),
            Self::Vector(data) => match data.get(channel..).and_then(|data| data.first_chunk()) {
                Some(lanes) => Add::Vector(lanes),
                None => Add::None,
            },
        }
    }
}

/// The plain form of [`ConvLoops::finish`].
#[inline(always)]
pub(crate) fn finish_narrow(sums: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    let f = to.factors;
    for (position, sums) in (first..).zip(sums) {
        let mut values = [0; LANES];
        for (lane, value) in values.iter_mut().enumerate() {
            let requant = Requant {
                mult: f.mult[lane],
                shift: f.shift[lane],
            };
            *value = requant.apply(sums[lane].wrapping_add(f.low_bias[lane]));
        }
        emit(values, to, position, out);
    }
}

/// The plain form of [`ConvLoops::finish_wide`].
#[inline(always)]
pub(crate) fn finish_wide(high: &[[i32; LANES]], low: &[[i32; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    let f = to.factors;
    for (position, (high, low)) in (first..).zip(high.iter().zip(low)) {
        let mut values = [0; LANES];
        let requant = |lane: usize| {
            let requant = WideRequant {
                mult: f.mult[lane],
                shift: f.shift[lane],
            };
            requant.apply((i64::from(high[lane]) << 8) + i64::from(low[lane]) + f.bias[lane])
        };
        // Whole registers, or the few channels of an image.
        let lanes = if to.lanes > 3 { LANES } else { to.lanes };
        for (lane, value) in values[..lanes].iter_mut().enumerate() {
            *value = requant(lane);
        }
        emit(values, to, position, out);
    }
}

/// From whole sums of int16 weights.
#[inline(always)]
pub(super) fn finish_long(sums: &[[i64; LANES]], to: &Finish<'_>, first: usize, out: &mut [u8]) {
    let f = to.factors;
    for (position, sums) in (first..).zip(sums) {
        let mut values = [0; LANES];
        for (lane, value) in values.iter_mut().enumerate() {
            let requant = WideRequant {
                mult: f.mult[lane],
                shift: f.shift[lane],
            };
            *value = requant.apply(sums[lane] + f.bias[lane]);
        }
        emit(values, to, position, out);
    }
}

/// Adds the addend, and stores the lanes that are there.
#[inline(always)]
fn emit(mut values: [i32; LANES], to: &Finish<'_>, position: usize, out: &mut [u8]) {
    let at = position * to.outs + to.channel;
    match to.add {
        Add::None => {}
        Add::Vector(vector) => {
            for (value, term) in values.iter_mut().zip(vector) {
                *value = add_guarded(*value, *term);
            }
        }
        Add::Tensor(data, requant, _) => {
            for (value, &term) in values.iter_mut().zip(&data[at..]) {
                *value = add_guarded(*value, requant.apply(term.into()));
            }
        }
    }
    let size = to.out.bytes();
    let bytes = &mut out[at * size..][..to.lanes * size];
    match to.out {
        Dtype::I8 => {
            let mut narrow = [0; LANES];
            for (narrow, value) in narrow.iter_mut().zip(values) {
                *narrow = saturate_i8(value.saturating_add(to.zero));
            }
            bytes.copy_from_slice(&bytemuck::bytes_of(&narrow)[..bytes.len()]);
        }
        Dtype::I16 => {
            let mut narrow = [0; LANES];
            for (narrow, value) in narrow.iter_mut().zip(values) {
                *narrow = saturate_i16(value);
            }
            bytes.copy_from_slice(&bytemuck::bytes_of(&narrow)[..bytes.len()]);
        }
        _ => bytes.copy_from_slice(&bytemuck::bytes_of(&values)[..bytes.len()]),
    }
}
