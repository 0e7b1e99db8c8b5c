//! Cortex-M0: eight registers that can multiply, no long multiply. A load of two words brings a tap of four columns, which are
//! taken apart in place; the sums stay in the high registers. A block is `(tap, column)`.
#![allow(unsafe_code)]

use core::arch::naked_asm;

pub(super) use super::portable::place;
use super::portable::places;
pub use super::portable::{
    add8, add16, block16, dot16, join8, join16, joined_sums8, joined_sums16, moments8, moments16, normalize, single8,
    single16, store8, store16, weigh, window8, zeros,
};
use super::{COLUMNS, Layout, Rows, Rows4};

/// Saves `r3` (to `[sp, #16]`) and what a function must keep, and clears the high registers for sums.
macro_rules! enter {
    () => {
        concat!(
            "push {{r3-r7, lr}}\n",
            "mov r4, r8\n",
            "mov r5, r9\n",
            "mov r6, r10\n",
            "mov r7, r11\n",
            "push {{r4-r7}}\n",
            "movs r4, #0\n",
            "mov r8, r4\n",
            "mov r9, r4\n",
            "mov r10, r4\n",
            "mov r11, r4\n",
        )
    };
}

/// Undoes [`enter`] and returns.
macro_rules! leave {
    () => {
        concat!(
            "pop {{r4-r7}}\n",
            "mov r8, r4\n",
            "mov r9, r5\n",
            "mov r10, r6\n",
            "mov r11, r7\n",
            "pop {{r3-r7, pc}}\n",
        )
    };
}

/// See [`super::portable::rows8`].
pub fn rows8(rows: &Rows<'_>, columns: &[i16], _block: &Layout, tile: &mut [[i32; COLUMNS]]) {
    let row = rows.row;
    assert!(row > 0 && row.is_multiple_of(4) && columns.len() >= row * COLUMNS);
    for (dots, weights) in tile.iter_mut().zip(rows.weights.chunks_exact(row)) {
        let end = weights.as_ptr_range().end;
        // SAFETY: the row has that many taps before its end, and so has the block.
        unsafe { dot_block8(end, columns.as_ptr(), -(row as isize), dots) };
    }
    rows.scale(tile);
}

/// `(end of the row, block, minus the taps, four sums)`.
#[unsafe(naked)]
unsafe extern "C" fn dot_block8(end: *const i8, columns: *const i16, taps: isize, dots: &mut [i32; COLUMNS]) {
    // r0 end of the row, r1 block, r2 tap, r3 weight, r4 and r5 elements in pairs, r6 element, r8..r11 sums.
    macro_rules! tap {
        () => {
            concat!(
                "ldmia r1!, {{r4, r5}}\n",
                "ldrsb r3, [r0, r2]\n",
                "sxth r6, r4\n",
                "muls r6, r3, r6\n",
                "add r8, r6\n",
                "asrs r4, r4, #16\n",
                "muls r4, r3, r4\n",
                "add r9, r4\n",
                "sxth r6, r5\n",
                "muls r6, r3, r6\n",
                "add r10, r6\n",
                "asrs r5, r5, #16\n",
                "muls r5, r3, r5\n",
                "add r11, r5\n",
                "adds r2, #1\n",
            )
        };
    }
    naked_asm!(
        enter!(),
        "2:",
        tap!(),
        tap!(),
        tap!(),
        tap!(),
        "bne 2b",
        "ldr r0, [sp, #16]",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "stmia r0!, {{r4-r7}}",
        leave!(),
    )
}

/// See [`super::portable::copy8`].
pub fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
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
pub fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let to = places(columns, tap, from.len(), block, lane);
    // SAFETY: as in `copy8`.
    unsafe { spread16(from.as_ptr(), from.as_ptr_range().end, to.as_mut_ptr(), block.lanes * 2) };
}

/// `(elements, their end, first place, bytes between places, zero point)`.
#[unsafe(naked)]
unsafe extern "C" fn widen8(from: *const i8, end: *const i8, to: *mut i16, step: usize, zero: i32) {
    naked_asm!(
        "push {{r4-r6, lr}}",
        "ldr r4, [sp, #16]",
        "subs r0, r0, r1",
        "beq 3f",
        "2:",
        "ldrsb r5, [r1, r0]",
        "subs r5, r5, r4",
        "strh r5, [r2]",
        "adds r2, r2, r3",
        "adds r0, #1",
        "bne 2b",
        "3:",
        "pop {{r4-r6, pc}}",
    )
}

/// `(elements, their end, first place, bytes between places)`.
#[unsafe(naked)]
unsafe extern "C" fn spread16(from: *const i16, end: *const i16, to: *mut i16, step: usize) {
    naked_asm!(
        "push {{r4, lr}}",
        "subs r0, r0, r1",
        "beq 3f",
        "2:",
        "ldrh r4, [r1, r0]",
        "strh r4, [r2]",
        "adds r2, r2, r3",
        "adds r0, #2",
        "bne 2b",
        "3:",
        "pop {{r4, pc}}",
    )
}

/// Two activations of an int8 input fit one multiplication with a nibble: `n (a + 2^16 b) = n a + 2^16 n b`.
pub const PAIRS: bool = true;

/// Makes the pairs of every block's word `a + 2^16 b` as a number, not as two halves: a negative `a` borrows from `b`.
pub fn pair_up(columns: &mut [i16]) {
    for [low, high] in columns.as_chunks_mut::<2>().0 {
        *high += *low >> 15;
    }
}

/// Outputs of int4 rows at the columns of a block that [`pair_up`] has seen; elements are at most 255 in magnitude.
pub fn rows4(rows: &Rows4<'_>, columns: &[i16], tile: &mut [[i32; COLUMNS]]) {
    assert!(rows.words > 0 && columns.len() >= rows.words * 8 * COLUMNS);
    for (channel, values) in tile.iter_mut().enumerate() {
        let words = &rows.weights[channel * rows.words..][..rows.words];
        // SAFETY: the block has as many taps as the words.
        unsafe { dot_pairs4(words.as_ptr(), columns.as_ptr(), rows.words, values) };
        let bias = rows.bias[channel];
        *values = values.map(|dot| bias + dot);
        rows.requant(channel).apply_all(values);
    }
}

/// `(row, block, words, four sums)`. Sixteen taps keep a pair's halves within 16 bits: `16 * 8 * 255 < 2^15`.
#[unsafe(naked)]
unsafe extern "C" fn dot_pairs4(row: *const u32, columns: *const i16, words: usize, dots: &mut [i32; COLUMNS]) {
    // r0 row, r1 block, r2 words, r3 weight, r4 and r5 pairs, r6 word, r8 and r9 sums of pairs, r10..r12 and lr sums.
    macro_rules! tap {
        // A nibble to the top, and down again with its sign.
        ($up:literal) => {
            concat!(
                "ldmia r1!, {{r4, r5}}\n",
                "lsls r3, r6, #",
                $up,
                "\n",
                "asrs r3, r3, #28\n",
                "muls r4, r3, r4\n",
                "add r8, r4\n",
                "muls r5, r3, r5\n",
                "add r9, r5\n",
            )
        };
    }
    macro_rules! word {
        () => {
            concat!(
                "ldmia r0!, {{r6}}\n",
                tap!(28),
                tap!(20),
                tap!(12),
                tap!(4),
                tap!(24),
                tap!(16),
                tap!(8),
                tap!(0),
            )
        };
    }
    naked_asm!(
        enter!(),
        "mov r12, r4",
        "mov lr, r4",
        "lsrs r4, r2, #1",
        "bcs 3f",
        "2:",
        word!(),
        "subs r2, #1",
        "3:",
        word!(),
        // The halves of the pairs to the sums.
        "mov r4, r8",
        "sxth r5, r4",
        "add r10, r5",
        "subs r4, r4, r5",
        "asrs r4, r4, #16",
        "add r11, r4",
        "mov r4, r9",
        "sxth r5, r4",
        "add r12, r5",
        "subs r4, r4, r5",
        "asrs r4, r4, #16",
        "add lr, r4",
        "movs r4, #0",
        "mov r8, r4",
        "mov r9, r4",
        "subs r2, #1",
        "bne 4f",
        "b 5f",
        "4:",
        "b 2b",
        "5:",
        "ldr r0, [sp, #16]",
        "mov r4, r10",
        "mov r5, r11",
        "mov r6, r12",
        "mov r7, lr",
        // A nibble counts 16.
        "lsls r4, r4, #4",
        "lsls r5, r5, #4",
        "lsls r6, r6, #4",
        "lsls r7, r7, #4",
        "stmia r0!, {{r4-r7}}",
        leave!(),
    )
}
