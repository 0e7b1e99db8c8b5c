//! Kernel families: the inner loops that are worth writing for one kind of core, behind one interface.
//!
//! A family says in what order a block of im2col columns lies in memory, and computes dot products of weight rows with it: [`Family`] is
//! the interface, with the portable definition of each kernel, and each core implements it ([`Native`]). All families compute the same integers: accumulators cannot overflow (the file's proof), so order never matters. Which
//! one is compiled follows from the target (`build.rs`).
//!
//! Without the part `fast` the family is `portable`, and a convolution takes what `compact` has for the core.
//!
//! A block holds [`COLUMNS`] columns, or one where the file's scratch memory has room for one only. Rows of weights and
//! columns are padded with zeros to a multiple of [`ROW_ALIGN`] taps.

#[cfg(any(mote_kernels = "dsp", mote_kernels = "helium"))]
mod attend;
#[cfg(not(feature = "fast"))]
pub mod compact;
mod curve;
#[cfg(mote_kernels = "dsp")]
mod curves;
#[cfg(any(mote_kernels = "armv7m", mote_kernels = "dsp", mote_kernels = "helium"))]
mod ending;
#[cfg(not(any(mote_kernels = "portable", mote_kernels = "simd128")))]
mod fused;
mod int4;
mod interface;
mod line;
#[cfg(any(mote_kernels = "dsp", mote_kernels = "helium"))]
mod lines;
#[cfg(mote_kernels = "dsp")]
mod mixes;
mod operands;
#[cfg(mote_kernels = "dsp")]
mod points;
mod portable;
#[cfg(any(mote_kernels = "dsp", mote_kernels = "helium"))]
mod simd32;
#[cfg(mote_kernels = "dsp")]
mod strips;
#[cfg(mote_kernels = "dsp")]
mod vectors;

#[cfg(mote_kernels = "armv6m")]
mod armv6m;
#[cfg(mote_kernels = "armv6m")]
use armv6m as native;
#[cfg(mote_kernels = "armv7m")]
mod armv7m;
#[cfg(mote_kernels = "armv7m")]
use armv7m as native;
#[cfg(mote_kernels = "dsp")]
mod dsp;
#[cfg(mote_kernels = "dsp")]
use dsp as native;
#[cfg(mote_kernels = "helium")]
mod helium;
#[cfg(mote_kernels = "helium")]
use helium as native;
#[cfg(mote_kernels = "simd128")]
mod simd128;
#[cfg(mote_kernels = "portable")]
use portable as native;
#[cfg(mote_kernels = "simd128")]
use simd128 as native;

pub use curve::{Curve, Rescale};
pub use int4::Rows4;
pub use interface::Family;
pub use line::Line;
pub use operands::{Addition, CHUNK, Filter, InputPart};

/// The family of this build's core.
#[cfg(mote_kernels = "armv6m")]
pub type Native = armv6m::Armv6m;
/// The family of this build's core.
#[cfg(mote_kernels = "armv7m")]
pub type Native = armv7m::Armv7m;
/// The family of this build's core.
#[cfg(mote_kernels = "dsp")]
pub type Native = dsp::Dsp;
/// The family of this build's core.
#[cfg(mote_kernels = "helium")]
pub type Native = helium::Helium;
/// The family of this build's core.
#[cfg(mote_kernels = "simd128")]
pub type Native = simd128::Simd128;
/// The family of this build's core.
#[cfg(mote_kernels = "portable")]
pub type Native = portable::Portable;

/// [`Family::Neighbours`] of this build's core.
pub type Neighbours = <Native as Family>::Neighbours;
/// [`Family::Scale`] of this build's core.
pub type Scale = <Native as Family>::Scale;

use crate::numeric::requant::Requant;

/// Where a tap of a column lies in a block of [`COLUMNS`] columns of int16.
#[inline(always)]
pub const fn place(tap: usize, lane: usize) -> usize {
    native::place(tap, COLUMNS, lane)
}

/// Whether a block of columns of so many taps is set to zero before its first use: where the kernels read whole groups of taps that
/// these do not fill.
#[inline(always)]
pub const fn clears(taps: usize) -> bool {
    let whole = <Native as Family>::WHOLE;
    whole == 0 || !taps.is_multiple_of(whole)
}

/// Columns of a block.
pub const COLUMNS: usize = 4;

/// Rows of weights are whole multiples of this many taps.
pub const ROW_ALIGN: usize = 4;

/// Taps of a row of weights as it is stored.
pub const fn padded(taps: usize) -> usize {
    taps.next_multiple_of(ROW_ALIGN)
}

/// `sum + q^2` for q of 16 bits.
#[inline(always)]
pub fn add_square(sum: u64, q: i32) -> u64 {
    // One instruction where there is a long multiply-accumulate; 32 bits are enough where there is none.
    if cfg!(mote_narrow_multiply) {
        sum + u64::from((q * q) as u32)
    } else {
        sum.wrapping_add((i64::from(q) * i64::from(q)) as u64)
    }
}

/// How a block of columns lies in its memory.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Columns: [`COLUMNS`] or 1.
    pub lanes: usize,
    /// Taps of a column, padding excluded.
    pub taps: usize,
    /// Zero point of columns that hold int8 elements as they are stored, padding included; only where the family asks for it.
    pub bytes: Option<i32>,
    /// Elements from a position of the output to the next.
    #[cfg(feature = "streamed")]
    pub pitch: usize,
}

impl Layout {
    /// A block for columns of `taps` and `outs` int8 rows; `stored` is the zero point of an input that is int8 throughout.
    /// Positions of the output are `pitch` elements apart.
    #[cfg_attr(
        not(feature = "streamed"),
        expect(unused_variables, reason = "it is as many as there are rows")
    )]
    pub fn new(lanes: usize, taps: usize, outs: usize, pitch: usize, stored: Option<i32>) -> Self {
        // Behind columns of bytes there is room for the rows' biases.
        let room = outs + 8 <= taps.next_multiple_of(8);
        let bytes = stored.filter(|_| cfg!(mote_kernels = "helium") && lanes == COLUMNS && room);
        Self {
            lanes,
            taps,
            bytes,
            #[cfg(feature = "streamed")]
            pitch,
        }
    }

    /// Elements from a position of the output, of which `outs` channels are computed, to the next.
    #[inline(always)]
    pub fn pitch(&self, outs: usize) -> usize {
        #[cfg(feature = "streamed")]
        {
            let _ = outs;
            self.pitch
        }
        #[cfg(not(feature = "streamed"))]
        outs
    }

    /// Elements of scratch memory that `columns` of `taps` need: one, or a block of whole vectors.
    pub const fn elements(columns: usize, taps: usize) -> usize {
        if columns == 1 {
            padded(taps)
        } else {
            columns * taps.next_multiple_of(8)
        }
    }
}

/// The input under a kernel, in elements: `above` zeros; `rows` of `left` zeros, `inside` elements and `right` zeros; `below`
/// zeros. The elements of a row lie `stride` after those of the row before.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Window {
    above: usize,
    rows: usize,
    left: usize,
    /// Elements of a row.
    pub inside: usize,
    right: usize,
    stride: usize,
    below: usize,
    /// Elements from the first to the last.
    span: usize,
    /// All, with zeros; 0 where there is no element.
    pub taps: usize,
}

impl Window {
    /// Zeros above and below; rows; in a row zeros, elements and zeros; elements from a row to the next.
    pub fn new([above, below]: [usize; 2], rows: usize, [left, inside, right]: [usize; 3], stride: usize) -> Self {
        if rows == 0 || inside == 0 || inside > stride {
            return Self::default();
        }
        Self {
            above,
            rows,
            left,
            inside,
            right,
            stride,
            below,
            span: (rows - 1) * stride + inside,
            taps: above + rows * (left + inside + right) + below,
        }
    }

    /// Whether every part is whole groups of `size` elements, `from` has them, and the column ends within `taps`.
    #[cfg(any(mote_kernels = "dsp", mote_kernels = "helium"))]
    #[inline(always)]
    fn is_whole(&self, size: usize, from: &[i8], taps: usize) -> bool {
        let sizes = self.above | self.left | self.inside | self.right | self.below;
        self.taps > 0 && sizes.is_multiple_of(size) && from.len() >= self.span && self.taps <= taps
    }
}

/// A few output channels of a convolution with int8 weights.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The first of them.
    pub first: usize,
    /// Rows of `row` taps.
    pub weights: &'a [i8],
    /// Taps of a row, padding included.
    pub row: usize,
    /// A channel.
    pub bias: &'a [i32],
    /// A channel.
    pub mult: &'a [i32],
    /// A channel.
    pub shift: &'a [u8],
}

impl Rows<'_> {
    /// Outputs at a single column, in the first place of each channel.
    #[cfg(feature = "fast")]
    #[inline(never)]
    pub(super) fn single(&self, column: &[i16], tile: &mut [[i32; COLUMNS]]) {
        let rows = self.weights.chunks_exact(self.row).zip(self.bias);
        for ((values, (weights, &bias)), (&mult, &shift)) in
            tile.iter_mut().zip(rows).zip(self.mult.iter().zip(self.shift))
        {
            values[0] = Requant { mult, shift }.times(bias + Native::single8(weights, column));
        }
    }

    /// Biases and factors on dot products.
    #[inline(never)]
    fn scale(&self, tile: &mut [[i32; COLUMNS]]) {
        let factors = self.mult.iter().zip(self.shift);
        for ((values, bias), (&mult, &shift)) in tile.iter_mut().zip(self.bias).zip(factors) {
            *values = values.map(|dot| bias + dot);
            Requant { mult, shift }.apply_all(values);
        }
    }
}

/// The elements that a normalization reads: whole positions.
#[derive(Debug, Clone, Copy)]
pub enum Elements<'a> {
    /// int8 as stored, zero point included.
    I8(&'a [i8]),
    /// int16.
    I16(&'a [i16]),
    /// The output's own memory, of the output's number format.
    InPlace,
}

/// Where a normalization stores them.
#[derive(Debug)]
pub enum Normalized<'a> {
    /// int8 and its zero point.
    I8(&'a mut [i8], i32),
    /// int16.
    I16(&'a mut [i16]),
}

/// What follows the affine of a normalization: SiLU, and a factor to the output whose shift is above 32.
#[derive(Debug, Clone, Copy)]
pub struct Finish {
    /// Whether SiLU is applied.
    pub silu: bool,
    /// Multiplier of the output's factor.
    pub mult: i32,
    /// `2^(shift - 1)`
    pub round: i32,
    /// Of the product's high word.
    pub shift: u32,
}
