//! Rows of int8 weights times one column: two rows share its loads.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::dsp::Dsp;
use super::{Family, Rows};

/// See [`super::Family::vector8`].
pub fn vector8(rows: &Rows<'_>, column: &[i16], sums: &mut [i32]) {
    let (row, count) = (rows.row, sums.len());
    assert!(row > 0 && row.is_multiple_of(4) && column.len() >= row);
    assert!(rows.weights.len() == count * row);
    sums.copy_from_slice(rows.bias);
    let pairs = count / 2;
    if pairs > 0 {
        // SAFETY: as many rows of whole words and sums, at least two, and a column with as many taps.
        unsafe { dot_twos8(rows.weights.as_ptr(), column.as_ptr(), row, sums.as_mut_ptr(), pairs) };
    }
    if let (Some(last), Some(sum)) = (rows.weights.chunks_exact(row).nth(2 * pairs), sums.last_mut()) {
        *sum += Dsp::single8(last, column);
    }
}

/// `(rows, column, taps of a row, their sums, pairs of rows)`: added to the sums.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn dot_twos8(rows: *const i8, column: *const i16, row: usize, sums: *mut i32, pairs: usize) {
    /// Four taps of both rows: weights, and the column's words.
    macro_rules! taps {
        ($even:literal, $odd:literal) => {
            concat!(
                "ldr r10, [r0], #4\n",
                "ldr r11, [r1], #4\n",
                "sxtb16 r12, r10\n",
                "sxtb16 r10, r10, ror #8\n",
                "smlad r4, r12, ",
                $even,
                ", r4\n",
                "smlad r4, r10, ",
                $odd,
                ", r4\n",
                "sxtb16 r12, r11\n",
                "sxtb16 r11, r11, ror #8\n",
                "smlad r5, r12, ",
                $even,
                ", r5\n",
                "smlad r5, r11, ",
                $odd,
                ", r5\n",
            )
        };
    }
    // r0 and r1 rows, r2 column, r3 end of the first, r4 and r5 sums, lr the column's beginning.
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r2-r11, lr}}",
        "mov lr, r1",
        "1:",
        "ldrd r12, r6, [sp]",
        "mov r2, lr",
        "add r1, r0, r12",
        "ldrd r4, r5, [r6]",
        "mov r3, r1",
        "lsls r12, r12, #29",
        "bpl 2f",
        // One word of weights alone, where their number is odd.
        "ldmia r2!, {{r6-r7}}",
        taps!("r6", "r7"),
        "cmp r0, r3",
        "beq 3f",
        "2:",
        "ldmia r2!, {{r6-r9}}",
        taps!("r6", "r7"),
        taps!("r8", "r9"),
        "cmp r0, r3",
        "bne 2b",
        "3:",
        "ldr r6, [sp, #4]",
        "ldr r7, [sp, #44]",
        "strd r4, r5, [r6], #8",
        "subs r7, #1",
        "str r6, [sp, #4]",
        "str r7, [sp, #44]",
        "mov r0, r1",
        "bne 1b",
        "add sp, #8",
        "pop {{r4-r11, pc}}",
    )
}
