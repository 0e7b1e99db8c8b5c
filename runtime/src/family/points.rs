//! A part of a concatenation under a kernel of one position: brought to the common scale in the columns of a block.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::COLUMNS;
use super::simd32::{Scale, scaled_word};

/// Fills the first columns of a block from neighbours of `channels` each, whole groups of four, from the block's first group on.
pub fn points8(from: &[i8], channels: usize, scale: &Scale, to: &mut [i16]) {
    let whole = channels > 0 && channels.is_multiple_of(4) && to.len() >= channels * COLUMNS;
    assert!(whole && !from.is_empty() && from.len() <= channels * COLUMNS && from.len().is_multiple_of(channels));
    let end = from.as_ptr_range().end;
    // SAFETY: at most four whole positions, and as many taps of four columns.
    unsafe { scale_points(from.as_ptr(), to.as_mut_ptr(), channels, scale, end) }
}

/// `(elements, first group, channels, factor, end of the elements)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn scale_points(from: *const i8, to: *mut i16, channels: usize, scale: &Scale, end: *const i8) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r11, lr}}",
        "ldr lr, [sp, #36]",
        "ldmia r3, {{r3-r6}}",
        "2:",
        "mov r7, r2",
        "3:",
        "ldr r8, [r0], #4",
        scaled_word!("r8", "r9", "r10", "r11"),
        "pkhbt r9, r9, r11, lsl #16",
        "pkhbt r10, r10, r8, lsl #16",
        "subs r7, #4",
        "strd r9, r10, [r1], #32",
        "bne 3b",
        "sub r1, r1, r2, lsl #3",
        "cmp r0, lr",
        "add r1, #8",
        "bne 2b",
        "pop {{r4-r11, pc}}",
    )
}
