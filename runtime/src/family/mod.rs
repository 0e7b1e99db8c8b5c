//! Kernel families: the inner loops that are worth writing for one kind of core, behind one interface.
//!
//! A family says in what order a block of im2col columns lies in memory, and computes dot products of weight rows with it.
//! All families compute the same integers: accumulators cannot overflow (the file's proof), so order never matters. Which
//! one is compiled follows from the target (`build.rs`); `portable` is the definition.
//!
//! Without the part `fast` no family is compiled but what it has in `compact`; what else is asked for is `portable`'s.
//!
//! A block holds [`COLUMNS`] columns, or one where the file's scratch memory has room for one only. Rows of weights and
//! columns are padded with zeros to a multiple of [`ROW_ALIGN`] taps.

#[cfg(any(mote_kernels = "armv7m", mote_kernels = "dsp", mote_kernels = "helium"))]
mod ending;
#[cfg(not(mote_kernels = "portable"))]
mod fused;
#[cfg(mote_kernels = "armv6m")]
#[path = "armv6m.rs"]
mod native;
#[cfg(mote_kernels = "armv7m")]
#[path = "armv7m.rs"]
mod native;
#[cfg(mote_kernels = "dsp")]
#[path = "dsp.rs"]
mod native;
#[cfg(mote_kernels = "helium")]
#[path = "helium.rs"]
mod native;
// A family takes from it what it does not do itself.
#[cfg_attr(not(mote_kernels = "portable"), allow(dead_code))]
mod portable;
#[cfg(any(mote_kernels = "dsp", mote_kernels = "helium"))]
mod simd32;
#[cfg(mote_kernels = "portable")]
use portable as native;

#[cfg(not(feature = "fast"))]
pub mod compact;
mod int4;
mod operands;
#[cfg(mote_kernels = "dsp")]
mod points;
#[cfg(mote_kernels = "dsp")]
mod strips;

pub use int4::Rows4;
#[cfg(mote_kernels = "armv6m")]
pub use native::{PAIRS, pair_up, rows4};
pub use native::{
    block16, copy8, copy16, dot8, dot16, join8, join16, joined_sums8, joined_sums16, moments8, moments16, normalize,
    normalize_two, normalizes, rows8, single8, single16, weigh8, weigh16, window8, zeros,
};
pub use operands::{Addition, CHUNK, Filter, Part};

#[cfg(mote_kernels = "portable")]
use core::ops::Range;

use crate::numeric::requant::Requant;
#[cfg(not(mote_kernels = "dsp"))]
use crate::numeric::requant::SmallRequant;
#[cfg(mote_kernels = "portable")]
use crate::tensor::view::ViewMut;

/// Makes ready, before the first block, what [`rows8`] needs of all rows of a convolution.
#[cfg(not(mote_kernels = "helium"))]
pub fn begin8(_rows: &Rows<'_>, _columns: &mut [i16], _block: &Layout) {}
#[cfg(mote_kernels = "helium")]
pub use native::begin8;

#[cfg(not(mote_kernels = "portable"))]
pub use fused::Storing;

/// Rows of a convolution whose outputs are stored at once, where there is a kernel for it.
#[cfg(mote_kernels = "portable")]
pub enum Storing {}

#[cfg(mote_kernels = "portable")]
impl Storing {
    /// There is none.
    pub fn new(_: &Filter<'_>, _: &Layout, _: bool, _: Option<&Addition<'_>>, _: &ViewMut<'_>) -> Option<Self> {
        None
    }

    /// Never called.
    pub fn run(&mut self, _: usize, _: &[i16], _: &Range<usize>, _: usize, _: &mut ViewMut<'_>) -> usize {
        match *self {}
    }
}

/// Whether the family multiplies two small activations at once with an int4 weight.
#[cfg(not(mote_kernels = "armv6m"))]
pub const PAIRS: bool = false;

/// Brings a block into the form that [`rows4`] reads, where there is one.
#[cfg(not(mote_kernels = "armv6m"))]
pub fn pair_up(_columns: &mut [i16]) {}

/// Outputs of int4 rows at the columns of a block in pairs, where there is a kernel for it.
#[cfg(not(mote_kernels = "armv6m"))]
pub fn rows4(_rows: &Rows4<'_>, _columns: &[i16], _tile: &mut [[i32; COLUMNS]]) {}

/// Whether four neighbours under a 3x3 kernel are filled in at once.
pub const STRIPS: bool = cfg!(mote_kernels = "dsp");
#[cfg(mote_kernels = "dsp")]
pub use {
    points::points8,
    simd32::Scale,
    strips::{Neighbours, six8, slide},
};

/// Where six neighbours lie in a row of the input, where there is a kernel for them.
#[cfg(not(mote_kernels = "dsp"))]
#[derive(Debug, Clone, Copy, Default)]
pub struct Neighbours(());

#[cfg(not(mote_kernels = "dsp"))]
impl Neighbours {
    /// Never called.
    pub fn new(_: [usize; 6], _: [bool; 2], _: usize, _: i32) -> Self {
        Self(())
    }
}

/// Never called.
#[cfg(not(mote_kernels = "dsp"))]
pub fn six8(_from: &[i8], _six: &Neighbours, _to: &mut [i16]) {}

/// Never called.
#[cfg(not(mote_kernels = "dsp"))]
pub fn slide(_columns: &mut [i16], _by: usize) {}

/// A factor to the common scale of a concatenation, where there is a kernel that fills columns with it.
#[cfg(not(mote_kernels = "dsp"))]
#[derive(Debug, Clone, Copy)]
pub enum Scale {}

#[cfg(not(mote_kernels = "dsp"))]
impl Scale {
    /// There is none.
    pub fn new(_: &SmallRequant, _: i32) -> Option<Self> {
        None
    }
}

/// Never called.
#[cfg(not(mote_kernels = "dsp"))]
pub fn points8(_from: &[i8], _channels: usize, scale: &Scale, _to: &mut [i16]) {
    match *scale {}
}

/// Where a tap of a column lies in a block of [`COLUMNS`] columns of int16.
#[inline(always)]
pub const fn place(tap: usize, lane: usize) -> usize {
    native::place(tap, COLUMNS, lane)
}

/// Channels whose outputs at a block of positions are held at once, between the steps of the epilogue.
/// Fewer where RAM is shortest: a channel takes 16 bytes of stack.
pub const TILE: usize = if cfg!(any(mote_kernels = "armv6m", mote_kernels = "armv7m")) {
    8
} else {
    16
};

/// Taps up to which a column is gathered on the stack first; none where a column's taps lie at even distances.
pub const THIN: usize = if cfg!(mote_kernels = "armv6m") { 0 } else { CHUNK };

/// Whether a block is set to zero before its first use: where the kernels read whole groups of taps and columns of so many do not
/// fill them.
#[inline(always)]
pub const fn clears(taps: usize) -> bool {
    let whole = if cfg!(mote_kernels = "dsp") { ROW_ALIGN } else { 8 };
    cfg!(mote_kernels = "helium") || !taps.is_multiple_of(whole)
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
}

impl Layout {
    /// A block for columns of `taps` and `outs` int8 rows; `stored` is the zero point of an input that is int8 throughout.
    pub fn new(lanes: usize, taps: usize, outs: usize, stored: Option<i32>) -> Self {
        // Behind columns of bytes there is room for the rows' biases.
        let room = outs + 8 <= taps.next_multiple_of(8);
        let bytes = stored.filter(|_| cfg!(mote_kernels = "helium") && lanes == COLUMNS && room);
        Self { lanes, taps, bytes }
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
            values[0] = Requant { mult, shift }.times(bias + single8(weights, column));
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
