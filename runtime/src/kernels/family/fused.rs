//! Rows of weights from the dot products with a block of columns to stored outputs in one kernel, for families that have it:
//! no tile of outputs in memory, no call an output channel.
#![allow(unsafe_code)]

use super::native::{store_rows8, store_rows16};
use super::{COLUMNS, Layout, padded};
use crate::features::Feature;
use crate::kernels::conv::{Addition, Filter};
use crate::kernels::view::{Operand, View, ViewMut};

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
}

/// Computes and stores the outputs of the channels from `first` on at a whole block of positions, of which `at` is the first
/// element. Gives how many channels are done: all, or those before one that the kernel cannot do exactly.
pub fn store_rows(
    filter: &Filter<'_>,
    first: usize,
    layout: &Layout,
    columns: &[i16],
    add: Option<&Addition<'_>>,
    at: usize,
    out: &mut ViewMut<'_>,
) -> usize {
    let taps = padded(layout.taps);
    let (weights, size, bias, mult, shift) = match *filter {
        Filter::W8 {
            data,
            bias,
            mult,
            shift,
        } => (data.as_ptr().cast::<u8>(), 1, bias.as_ptr(), mult, shift),
        Filter::W16 {
            data,
            bias,
            mult,
            shift,
        } if Feature::W16.is_built() => (data.as_ptr().cast(), 2, bias.as_ptr().cast(), mult, shift),
        _ => return first,
    };
    let outs = mult.len();
    let range = at + first..at + COLUMNS * outs;
    let (place, wide, zero) = match out {
        ViewMut::I8(data, zero) => (data[range.clone()].as_mut_ptr().cast::<u8>(), 0, *zero),
        ViewMut::I16(data) => (data[range.clone()].as_mut_ptr().cast(), 1, 0),
        _ => return first,
    };
    let row = taps * size;
    let mut job = Job {
        columns: columns.as_ptr(),
        bias: bias.wrapping_add(first * size),
        mult: mult[first..].as_ptr(),
        shift: shift[first..].as_ptr(),
        out: place,
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
        last: 8 + 16 * zero,
        term_wide: 0,
    };
    if let Some(add) = add {
        let Some(parts) = add.requant.parts() else { return first };
        let range = if add.broadcast { first..outs } else { range };
        (job.term, job.term_wide, job.term_zero) = match add.operand {
            Operand::Apart(View::I8(data, zero)) => (data[range].as_ptr().cast(), 0, zero),
            Operand::Apart(View::I16(data)) => (data[range].as_ptr().cast(), 1, 0),
            Operand::InPlace { zero } => (place.cast_const(), wide, if wide == 0 { zero } else { 0 }),
            Operand::Apart(_) => return first,
        };
        job.term_step = if add.broadcast { 0 } else { outs << job.term_wide };
        (job.up, job.term_mult, job.round, job.term_shift) = parts;
        job.twice = 1;
    }
    assert!(taps > 0 && first < outs && shift.len() == outs && columns.len() >= taps * COLUMNS);
    let from = weights.wrapping_add(first * row);
    // SAFETY: `outs` rows of `taps` weights, as many biases (parsing has checked both), multipliers and shifts; a block of as many
    // taps; and from the first channel on, outputs and terms of four positions, or terms of one that serve all.
    let stopped = unsafe {
        if size == 1 {
            store_rows8(from, &job)
        } else {
            store_rows16(from, &job)
        }
    };
    if stopped.is_null() {
        return outs;
    }
    // It has read the row that it cannot do.
    (stopped as usize - weights as usize) / row - 1
}
