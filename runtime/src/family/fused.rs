//! Rows of weights from the dot products with a block of columns to stored outputs in one kernel, for families that have it:
//! no tile of outputs in memory, no call an output channel.
#![allow(unsafe_code)]

use core::ops::Range;

#[cfg(not(mote_family = "armv6m"))]
use super::ending::{end_row_added, end_row8, end_row16};
#[cfg(mote_family = "dsp")]
use super::native::store_cut_rows8;
#[cfg(mote_family = "armv6m")]
use super::native::store_rows4;
#[cfg(not(mote_family = "armv6m"))]
use super::native::store_rows16;
#[cfg(mote_family = "helium")]
use super::native::{biases_at, store_rows_bytes, store_rows_words as store_rows8};
#[cfg(not(mote_family = "helium"))]
use super::native::{store_rows8, store_rows8 as store_rows_bytes};
use super::{Addition, Filter};
use super::{COLUMNS, Layout, padded};
#[cfg(not(mote_family = "armv6m"))]
use crate::features::Feature;
use crate::numeric::requant::ADD_GUARD_BITS;
use crate::tensor::int4;
use crate::tensor::view::{Operand, View, ViewMut};

/// What the kernels take into their frame, in this order.
#[repr(C)]
pub(super) struct Frame {
    columns: *const i16,
    bias: *const i32,
    mult: *const i32,
    shift: *const u8,
    out: *mut u8,
    /// Bytes from an output to that of the next column.
    step: usize,
    /// `2 zero_point + 1`, which shifted is rounding and zero point; 1 where a term is added.
    twice: i32,
    /// Bytes of a row of weights.
    row: usize,
    weights_end: *const u8,
    /// Whether outputs are int16.
    wide: usize,
    /// Null for none.
    term: *const u8,
    term_step: usize,
    up: u32,
    term_mult: i32,
    /// Of the term; where [`end_row_added`] adds it, that of the sum and the output's zero point with it.
    round: i32,
    term_shift: u32,
    term_zero: i32,
    /// Rounding of the sum, and the output's zero point.
    #[cfg(mote_family = "helium")]
    last: i32,
    /// Bytes of a row of weights that are left out; only where there are [`super::Family::STRIPS`].
    #[cfg(not(mote_family = "helium"))]
    gap: usize,
    /// Whether terms are int16.
    term_wide: usize,
    /// What stores the values of a row.
    #[cfg(not(mote_family = "armv6m"))]
    ending: unsafe extern "C" fn(),
}

/// `(the first row, job)` to null, or to the end of a row whose outputs it cannot do.
type Kernel = unsafe extern "C" fn(*const u8, &mut Frame) -> *const u8;

/// Rows of a convolution whose outputs are stored at once.
pub struct Storing<'a> {
    job: Frame,
    kernel: Kernel,
    /// Of all rows.
    weights: *const u8,
    /// Bytes of a row of them.
    row: usize,
    bias: *const i32,
    mult: &'a [i32],
    shift: &'a [u8],
    /// Bytes of a weight, which are also the words of a bias.
    size: usize,
    /// Of a block of columns.
    elements: usize,
    add: Option<&'a Addition<'a>>,
    /// Elements of the columns before the biases, where these are not the file's.
    biases_at: Option<usize>,
    /// Elements from a position of the output to the next.
    #[cfg(feature = "streamed")]
    pitch: usize,
}

/// Biases are the file's.
#[cfg(not(mote_family = "helium"))]
fn biases_at(_: &Layout) -> Option<usize> {
    None
}

impl<'a> Storing<'a> {
    /// `None` where outputs go by way of a tile: Q24, a column alone, a term whose factor needs the definition, and what the
    /// family has no kernel for. `pairs` says that the columns are [`super::Family::pair_up`]'s.
    #[cfg_attr(not(mote_family = "armv6m"), allow(unused_variables))]
    pub fn new(
        filter: &Filter<'a>,
        layout: &Layout,
        pairs: bool,
        add: Option<&'a Addition<'a>>,
        out: &ViewMut<'_>,
    ) -> Option<Self> {
        if layout.lanes != COLUMNS || (add.is_some() && cfg!(mote_family = "armv6m")) {
            return None;
        }
        let (kernel, weights, bias, size, (mult, shift)): (Kernel, *const u8, *const i32, usize, _) = match *filter {
            Filter::W8 {
                data,
                bias,
                mult,
                shift,
            } => {
                let kernel = if layout.bytes.is_some() {
                    store_rows_bytes
                } else {
                    store_rows8
                };
                (kernel, data.as_ptr().cast(), bias.as_ptr(), 1, (mult, shift))
            }
            #[cfg(not(mote_family = "armv6m"))]
            Filter::W16 {
                data,
                bias,
                mult,
                shift,
            } if Feature::W16.is_built() => (
                store_rows16,
                data.as_ptr().cast(),
                bias.as_ptr().cast(),
                2,
                (mult, shift),
            ),
            #[cfg(mote_family = "armv6m")]
            Filter::W4 {
                data,
                bias,
                mult,
                shift,
            } if pairs => (store_rows4, data.as_ptr().cast(), bias.as_ptr(), 1, (mult, shift)),
            _ => return None,
        };
        let (wide, zero) = match out {
            ViewMut::I8(_, zero) => (0, *zero),
            ViewMut::I16(_) => (1, 0),
            _ => return None,
        };
        let outs = mult.len();
        let pitch = layout.pitch(outs);
        let row = if filter.is_int4() {
            int4::row_words(layout.taps) * 4
        } else {
            padded(layout.taps) * size
        };
        if row == 0 || shift.len() != outs {
            return None;
        }
        let last = (1 << (ADD_GUARD_BITS - 1)) + (zero << ADD_GUARD_BITS);
        let (mut term_wide, mut term_zero, mut term_step) = (0, 0, 0);
        let (mut up, mut term_mult, mut round, mut term_shift) = (0, 0, 0, 0);
        if let Some(add) = add {
            (term_wide, term_zero) = match add.operand {
                Operand::Apart(View::I8(_, zero)) => (0, zero),
                Operand::InPlace { zero } if wide == 0 => (0, zero),
                Operand::Apart(View::I16(_)) | Operand::InPlace { .. } => (1, 0),
                Operand::Apart(_) => return None,
            };
            (up, term_mult, round, term_shift) = add.requant.parts()?;
            if cfg!(not(mote_family = "helium")) || size == 2 {
                if term_shift > 18 {
                    return None;
                }
                round += last << term_shift;
            }
            term_step = if add.broadcast { 0 } else { pitch << term_wide };
        }
        // In its place at once: a copy takes time.
        Some(Self {
            job: Frame {
                columns: core::ptr::null(),
                bias,
                mult: mult.as_ptr(),
                shift: shift.as_ptr(),
                out: core::ptr::null_mut(),
                step: pitch << wide,
                twice: if add.is_some() { 1 } else { 2 * zero + 1 },
                row,
                weights_end: weights.wrapping_add(outs * row),
                wide,
                term: core::ptr::null(),
                term_step,
                up,
                term_mult,
                round,
                term_shift,
                term_zero,
                #[cfg(mote_family = "helium")]
                last,
                #[cfg(not(mote_family = "helium"))]
                gap: 0,
                term_wide,
                #[cfg(not(mote_family = "armv6m"))]
                ending: match add {
                    Some(_) => end_row_added,
                    None if wide == 0 => end_row8,
                    None => end_row16,
                },
            },
            kernel,
            weights,
            row,
            bias,
            mult,
            shift,
            size,
            elements: Layout::elements(COLUMNS, layout.taps),
            add,
            biases_at: biases_at(layout),
            #[cfg(feature = "streamed")]
            pitch,
        })
    }

    /// [`Storing::run`] of all channels and taps, without products with zeros, see [`super::Family::store_cut`]. Gives 0 where it is not for
    /// that.
    #[cfg(mote_family = "dsp")]
    #[inline(never)]
    pub fn run_cut(&mut self, columns: &[i16], cut: [usize; 4], at: usize, out: &mut ViewMut<'_>) -> usize {
        let (job, outs) = (&mut self.job, self.mult.len());
        let [a, b, c, d] = cut;
        let whole = (a | b | c | d | self.row).is_multiple_of(16) && a + b + c + d < self.row && self.row < 1 << 12;
        if !whole || self.size != 1 || columns.len() < self.elements || outs == 0 {
            return 0;
        }
        #[cfg(feature = "streamed")]
        let pitch = self.pitch;
        #[cfg(not(feature = "streamed"))]
        let pitch = outs;
        let range = at..at + (COLUMNS - 1) * pitch + outs;
        job.out = match out {
            ViewMut::I8(data, _) if job.wide == 0 => data[range.clone()].as_mut_ptr().cast(),
            ViewMut::I16(data) if job.wide == 1 => data[range.clone()].as_mut_ptr().cast(),
            _ => return 0,
        };
        if let Some(add) = self.add {
            let range = if add.broadcast { 0..outs } else { range };
            job.term = match add.operand {
                Operand::Apart(View::I8(data, _)) => data[range].as_ptr().cast(),
                Operand::Apart(View::I16(data)) => data[range].as_ptr().cast(),
                _ => job.out,
            };
        }
        job.columns = columns.as_ptr();
        job.bias = self.bias;
        (job.mult, job.shift) = (self.mult.as_ptr(), self.shift.as_ptr());
        (job.row, job.gap) = (self.row, (a | b << 8 | c << 16 | d << 24) >> 4);
        job.weights_end = self.weights.wrapping_add(outs * self.row);
        // SAFETY: parsing has checked that there are `outs` rows of weights and biases; multipliers and shifts are as many; a block of as
        // many taps, in whole groups of 16; and outputs and terms of four positions, or terms of one that serve all.
        let stopped = unsafe { store_cut_rows8(self.weights, job) };
        if stopped.is_null() {
            return outs;
        }
        // It has read the row that it cannot do.
        (stopped as usize - self.weights as usize - 1) / self.row
    }

    /// Computes and stores the outputs of the channels from `first` on at a block of positions, of which `at` is the first
    /// element; the columns hold `taps`, which is all of them unless there are [`super::Family::STRIPS`]. Gives how many channels are done: all, or those before one that the kernel cannot do exactly.
    #[inline(never)]
    #[cfg_attr(not(mote_family = "dsp"), allow(unused_variables))]
    pub fn run(
        &mut self,
        first: usize,
        columns: &[i16],
        taps: &Range<usize>,
        at: usize,
        out: &mut ViewMut<'_>,
    ) -> usize {
        let (job, outs) = (&mut self.job, self.mult.len());
        assert!(first < outs && columns.len() >= self.elements);
        #[cfg(feature = "streamed")]
        let pitch = self.pitch;
        #[cfg(not(feature = "streamed"))]
        let pitch = outs;
        let range = at + first..at + (COLUMNS - 1) * pitch + outs;
        job.out = match out {
            ViewMut::I8(data, _) if job.wide == 0 => data[range.clone()].as_mut_ptr().cast(),
            ViewMut::I16(data) if job.wide == 1 => data[range.clone()].as_mut_ptr().cast(),
            _ => return first,
        };
        if let Some(add) = self.add {
            let range = if add.broadcast { first..outs } else { range };
            job.term = match add.operand {
                Operand::Apart(View::I8(data, _)) => data[range].as_ptr().cast(),
                Operand::Apart(View::I16(data)) => data[range].as_ptr().cast(),
                _ => job.out,
            };
        }
        job.columns = columns.as_ptr();
        job.bias = match self.biases_at {
            Some(at) => columns[at..][2 * first..2 * outs].as_ptr().cast(),
            None => self.bias.wrapping_add(first * self.size),
        };
        job.mult = self.mult[first..].as_ptr();
        job.shift = self.shift[first..].as_ptr();
        let from = self.weights.wrapping_add(first * self.row);
        // The kernel passes the gap before every row.
        #[cfg(mote_family = "dsp")]
        let from = {
            (job.row, job.gap) = (taps.len() * self.size, self.row - taps.len() * self.size);
            let left_out = (taps.start * self.size).wrapping_sub(job.gap);
            job.weights_end = self.weights.wrapping_add((outs * self.row).wrapping_add(left_out));
            from.wrapping_add(left_out)
        };
        // SAFETY: parsing has checked that there are `outs` rows of weights and biases; multipliers and shifts are as many; a block
        // of as many taps (of those that it holds, as many in every row); and from the first channel on, outputs and terms of four positions, or terms of one that serve all.
        let stopped = unsafe { (self.kernel)(from, job) };
        if stopped.is_null() {
            return outs;
        }
        // It has read the row that it cannot do.
        (stopped as usize - self.weights as usize - 1) / self.row
    }
}
