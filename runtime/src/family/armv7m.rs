//! Cortex-M3: one multiply-accumulate an instruction, loads that widen. Two rows of weights by four columns, so that six loads
//! serve eight products. A block is `(tap, column)`.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ops::Range;

use super::ending::{frame, leave, shift_left, wide_biases, wide_factor};
use super::fused::{Frame, Storing};
pub(super) use super::portable::place;
use super::portable::places;
use super::{Addition, COLUMNS, Family, Filter, Layout, Rows};
use crate::tensor::view::ViewMut;

/// Cortex-M3: long products, no vectors.
pub struct Armv7m;

impl Family for Armv7m {
    const TILE: usize = 8;

    type Neighbours = ();
    type Scale = ();
    type Storing<'a> = Storing<'a>;

    #[inline(always)]
    fn storing<'a>(
        filter: &Filter<'a>,
        layout: &Layout,
        pairs: bool,
        add: Option<&'a Addition<'a>>,
        out: &ViewMut<'_>,
    ) -> Option<Self::Storing<'a>> {
        Storing::new(filter, layout, pairs, add, out)
    }

    #[inline(always)]
    fn store(
        storing: &mut Self::Storing<'_>,
        first: usize,
        columns: &[i16],
        taps: &Range<usize>,
        at: usize,
        out: &mut ViewMut<'_>,
    ) -> usize {
        storing.run(first, columns, taps, at, out)
    }

    #[inline(always)]
    fn rows8(rows: &Rows<'_>, columns: &[i16], block: &Layout, tile: &mut [[i32; COLUMNS]]) {
        rows8(rows, columns, block, tile)
    }

    #[inline(always)]
    fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        copy8(from, zero, columns, tap, block, lane)
    }

    #[inline(always)]
    fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        copy16(from, columns, tap, block, lane)
    }
}

/// See [`super::portable::rows8`].
fn rows8(rows: &Rows<'_>, columns: &[i16], _block: &Layout, tile: &mut [[i32; COLUMNS]]) {
    let row = rows.row;
    assert!(row.is_multiple_of(4) && columns.len() >= row * COLUMNS);
    for (dots, weights) in tile.chunks_mut(2).zip(rows.weights.chunks(2 * row)) {
        // A row alone is paired with itself.
        let (a, b) = (weights[..row].as_ptr_range(), &weights[weights.len() - row..]);
        let mut sums = [[0; COLUMNS]; 2];
        // SAFETY: both rows have whole words, and the block has as many taps.
        unsafe { dot_block8(a.start, columns.as_ptr(), b.as_ptr(), &mut sums, a.end) };
        dots.iter_mut().zip(sums).for_each(|(dot, sum)| *dot = sum);
    }
    rows.scale(tile);
}

/// A tap of two rows and four columns: r0 row a, lr row b, r1 block, r2 element, r3..r10 sums, r11 and r12 weights.
macro_rules! tap {
    ($tap:literal, $x0:literal, $x1:literal, $x2:literal, $x3:literal) => {
        concat!(
            "ldrsb r11, [r0, #",
            $tap,
            "]\n",
            "ldrsb r12, [lr, #",
            $tap,
            "]\n",
            "ldrsh r2, [r1, #",
            $x0,
            "]\n",
            "mla r3, r2, r11, r3\n",
            "mla r7, r2, r12, r7\n",
            "ldrsh r2, [r1, #",
            $x1,
            "]\n",
            "mla r4, r2, r11, r4\n",
            "mla r8, r2, r12, r8\n",
            "ldrsh r2, [r1, #",
            $x2,
            "]\n",
            "mla r5, r2, r11, r5\n",
            "mla r9, r2, r12, r9\n",
            "ldrsh r2, [r1, #",
            $x3,
            "]\n",
            "mla r6, r2, r11, r6\n",
            "mla r10, r2, r12, r10\n",
        )
    };
}

/// `(row, block, other row, eight sums, end of the row)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn dot_block8(
    a: *const i8,
    columns: *const i16,
    b: *const i8,
    dots: &mut [[i32; COLUMNS]; 2],
    end: *const i8,
) {
    naked_asm!(
        "push {{r3-r11, lr}}",
        "mov lr, r2",
        "movs r3, #0",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "movs r7, #0",
        "mov r8, #0",
        "mov r9, #0",
        "mov r10, #0",
        "2:",
        tap!(0, 0, 2, 4, 6),
        tap!(1, 8, 10, 12, 14),
        tap!(2, 16, 18, 20, 22),
        tap!(3, 24, 26, 28, 30),
        "adds r0, #4",
        "ldr r2, [sp, #40]",
        "adds r1, #32",
        "add lr, #4",
        "cmp r0, r2",
        "bne 2b",
        "ldr r0, [sp], #4",
        "stmia r0!, {{r3-r10}}",
        "pop {{r4-r11, pc}}",
    )
}

/// Rows of int8 weights from dot products to stored outputs, two at a time; the last alone is paired with itself.
///
/// # Safety
/// `weights` and the pointers in `job` are good for the rows, columns, factors and outputs that the job counts.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn store_rows8(weights: *const u8, job: &mut Frame) -> *const u8 {
    naked_asm!(
        frame!(),
        "2:",
        "ldrd r1, r11, [sp]",
        "ldrd r12, r2, [sp, #28]",
        "ldr r3, [r11], #4",
        "add lr, r0, r12",
        "cmp lr, r2",
        "ite eq",
        "moveq r7, r3",
        "ldrne r7, [r11], #4",
        "str r11, [sp, #4]",
        "mov r11, lr",
        "it eq",
        "moveq lr, r0",
        "str r11, [sp, #84]",
        "mov r4, r3",
        "mov r5, r3",
        "mov r6, r3",
        "mov r8, r7",
        "mov r9, r7",
        "mov r10, r7",
        "3:",
        tap!(0, 0, 2, 4, 6),
        tap!(1, 8, 10, 12, 14),
        tap!(2, 16, 18, 20, 22),
        tap!(3, 24, 26, 28, 30),
        "adds r0, #4",
        "ldr r2, [sp, #84]",
        "adds r1, #32",
        "add lr, #4",
        "cmp r0, r2",
        "bne 3b",
        // The other row's sums are for later.
        "add r11, sp, #84",
        "stmia r11, {{r7-r10}}",
        "adr.w r7, 7f",
        "adds r7, #1",
        "str r7, [sp, #80]",
        "4:",
        "ldrd r7, r8, [sp, #8]",
        "ldr r9, [r7], #4",
        "ldrb r11, [r8], #1",
        "strd r7, r8, [sp, #8]",
        "subs r11, #33",
        "blt 6f",
        "cmp r11, #20",
        "bhi 9f",
        "5:",
        "ldr r8, [sp, #24]",
        "add r10, r11, #1",
        "lsl r8, r8, r11",
        "smull r7, r3, r3, r9",
        "smull r7, r4, r4, r9",
        "smull r7, r5, r5, r9",
        "smull r7, r6, r6, r9",
        "add r3, r8",
        "add r4, r8",
        "add r5, r8",
        "add r6, r8",
        "asr r3, r3, r10",
        "asr r4, r4, r10",
        "asr r5, r5, r10",
        "asr r6, r6, r10",
        "ldr pc, [sp, #76]",
        // A left shift first, unless it overflows.
        "6:",
        "rsb r11, r11, #0",
        shift_left!(),
        "b 5b",
        "7:",
        "add r11, sp, #84",
        "ldmia r11, {{r3-r6}}",
        "ldr r12, [sp, #28]",
        "adr.w r7, 2b",
        "adds r7, #1",
        "add r0, r12",
        "str r7, [sp, #80]",
        "b 4b",
        "9:",
        leave!(),
    )
}

/// As [`store_rows8`], of int16 weights, a row at a time.
///
/// # Safety
/// `weights` and the pointers in `job` are good for the rows, columns, factors and outputs that the job counts.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn store_rows16(weights: *const u8, job: &mut Frame) -> *const u8 {
    naked_asm!(
        frame!(),
        "2:",
        wide_biases!(),
        "3:",
        "ldrsh r12, [r0], #2",
        "ldrsh r2, [r1], #2",
        "ldrsh r3, [r1], #2",
        "smlal r4, r5, r12, r2",
        "ldrsh r2, [r1], #2",
        "smlal r6, r7, r12, r3",
        "ldrsh r3, [r1], #2",
        "cmp r0, lr",
        "smlal r8, r9, r12, r2",
        "smlal r10, r11, r12, r3",
        "bne 3b",
        wide_factor!(),
        "ldr pc, [sp, #76]",
        "9:",
        leave!(),
    )
}

/// See [`super::portable::copy8`].
fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let to = places(columns, tap, from.len(), block, lane);
    // SAFETY: `to` has a place for every element of `from`, `lanes` apart.
    unsafe {
        widen8(
            from.as_ptr(),
            from.as_ptr_range().end,
            to.as_mut_ptr(),
            block.lanes * 2,
            zero,
        )
    };
}

/// See [`super::portable::copy16`].
fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let to = places(columns, tap, from.len(), block, lane);
    // SAFETY: as in `copy8`.
    unsafe { spread16(from.as_ptr(), from.as_ptr_range().end, to.as_mut_ptr(), block.lanes * 2) };
}

/// `(elements, their end, first place, bytes between places, zero point)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn widen8(from: *const i8, end: *const i8, to: *mut i16, step: usize, zero: i32) {
    naked_asm!(
        "push {{r4, lr}}",
        "ldr r4, [sp, #8]",
        "cmp r0, r1",
        "beq 3f",
        "2:",
        "ldrsb r12, [r0], #1",
        "cmp r0, r1",
        "sub r12, r12, r4",
        "strh r12, [r2]",
        "add r2, r3",
        "bne 2b",
        "3:",
        "pop {{r4, pc}}",
    )
}

/// `(elements, their end, first place, bytes between places)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn spread16(from: *const i16, end: *const i16, to: *mut i16, step: usize) {
    naked_asm!(
        "cmp r0, r1",
        "beq 3f",
        "2:",
        "ldrh r12, [r0], #2",
        "cmp r0, r1",
        "strh r12, [r2]",
        "add r2, r3",
        "bne 2b",
        "3:",
        "bx lr",
    )
}
