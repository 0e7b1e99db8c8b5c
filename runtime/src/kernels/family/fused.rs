//! Rows of weights from the dot products with a block of columns to stored outputs in one kernel, for families that have it:
//! no tile of outputs in memory, no call an output channel.
#![allow(unsafe_code)]

use super::native::{end_row_added, end_row8, end_row16, store_rows8, store_rows16};
use super::{COLUMNS, Layout, padded};
use crate::features::Feature;
use crate::kernels::conv::{Addition, Filter};
use crate::kernels::view::{Operand, View, ViewMut};
use crate::numeric::requant::ADD_GUARD_BITS;

/// What the kernels take into their frame, in this order.
#[repr(C)]
pub(super) struct Job {
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
    round: i32,
    term_shift: u32,
    term_zero: i32,
    /// Rounding of the sum, and the output's zero point.
    last: i32,
    /// Whether terms are int16.
    term_wide: usize,
    /// What stores the values of a row.
    ending: unsafe extern "C" fn(),
}

/// Rows of a convolution whose outputs are stored at once.
pub struct Storing<'a> {
    job: Job,
    /// Of all rows.
    weights: *const u8,
    bias: *const i32,
    mult: &'a [i32],
    shift: &'a [u8],
    /// Bytes of a weight, which are also the words of a bias.
    size: usize,
    add: Option<&'a Addition<'a>>,
}

impl<'a> Storing<'a> {
    /// `None` where outputs go by way of a tile: int4 weights, Q24, a term whose factor needs the definition.
    pub fn new(filter: &Filter<'a>, layout: &Layout, add: Option<&'a Addition<'a>>, out: &ViewMut<'_>) -> Option<Self> {
        let (weights, bias, size, mult, shift) = match *filter {
            Filter::W8 {
                data,
                bias,
                mult,
                shift,
            } => (data.as_ptr().cast::<u8>(), bias.as_ptr(), 1, mult, shift),
            Filter::W16 {
                data,
                bias,
                mult,
                shift,
            } if Feature::W16.is_built() => (data.as_ptr().cast(), bias.as_ptr().cast(), 2, mult, shift),
            _ => return None,
        };
        let (wide, zero) = match out {
            ViewMut::I8(_, zero) => (0, *zero),
            ViewMut::I16(_) => (1, 0),
            _ => return None,
        };
        let (outs, row) = (mult.len(), padded(layout.taps) * size);
        if layout.lanes != COLUMNS || row == 0 || shift.len() != outs {
            return None;
        }
        let mut job = Job {
            columns: core::ptr::null(),
            bias,
            mult: mult.as_ptr(),
            shift: shift.as_ptr(),
            out: core::ptr::null_mut(),
            step: outs << wide,
            twice: 2 * zero + 1,
            row,
            weights_end: weights.wrapping_add(outs * row),
            wide,
            term: core::ptr::null(),
            term_step: 0,
            up: 0,
            term_mult: 0,
            round: 0,
            term_shift: 0,
            term_zero: 0,
            last: (1 << (ADD_GUARD_BITS - 1)) + (zero << ADD_GUARD_BITS),
            term_wide: 0,
            ending: if wide == 0 { end_row8 } else { end_row16 },
        };
        if let Some(add) = add {
            (job.term_wide, job.term_zero) = match add.operand {
                Operand::Apart(View::I8(_, zero)) => (0, zero),
                Operand::InPlace { zero } if wide == 0 => (0, zero),
                Operand::Apart(View::I16(_)) | Operand::InPlace { .. } => (1, 0),
                Operand::Apart(_) => return None,
            };
            (job.up, job.term_mult, job.round, job.term_shift) = add.requant.parts()?;
            job.term_step = if add.broadcast { 0 } else { outs << job.term_wide };
            (job.twice, job.ending) = (1, end_row_added);
        }
        Some(Self {
            job,
            weights,
            bias,
            mult,
            shift,
            size,
            add,
        })
    }

    /// Computes and stores the outputs of the channels from `first` on at a block of positions, of which `at` is the first
    /// element. Gives how many channels are done: all, or those before one that the kernel cannot do exactly.
    #[inline(never)]
    pub fn run(&mut self, first: usize, columns: &[i16], at: usize, out: &mut ViewMut<'_>) -> usize {
        let (job, outs) = (&mut self.job, self.mult.len());
        assert!(first < outs && columns.len() * self.size >= job.row * COLUMNS);
        let range = at + first..at + COLUMNS * outs;
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
        job.bias = self.bias.wrapping_add(first * self.size);
        job.mult = self.mult[first..].as_ptr();
        job.shift = self.shift[first..].as_ptr();
        let from = self.weights.wrapping_add(first * job.row);
        // SAFETY: parsing has checked that there are `outs` rows of weights and biases; multipliers and shifts are as many; a block
        // of as many taps; and from the first channel on, outputs and terms of four positions, or terms of one that serve all.
        let stopped = unsafe {
            if self.size == 1 {
                store_rows8(from, job)
            } else {
                store_rows16(from, job)
            }
        };
        if stopped.is_null() {
            return outs;
        }
        // It has read the row that it cannot do.
        (stopped as usize - self.weights as usize) / job.row - 1
    }
}
