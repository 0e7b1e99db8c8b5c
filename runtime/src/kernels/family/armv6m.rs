//! Cortex-M0: eight registers that can multiply, no long multiply. A load of two words brings a tap of four columns, which are
//! taken apart in place; the sums stay in the high registers. A block is `(tap, column)`.
#![allow(unsafe_code)]

use core::arch::naked_asm;

pub use super::portable::{
    block16, copy8, copy16, dot16, join8, join16, moments8, moments16, normalize, single8, single16, zeros,
};
use super::{COLUMNS, Layout, Rows};

/// Name in reports.
pub const NAME: &str = "armv6m";
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
        "push {{r3-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "movs r4, #0",
        "mov r8, r4",
        "mov r9, r4",
        "mov r10, r4",
        "mov r11, r4",
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
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r3-r7, pc}}",
    )
}
