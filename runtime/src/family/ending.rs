//! What the kernels that store rows of outputs have in common on cores with long multiplication: their frame, which begins with the
//! words of a [`super::fused::Frame`], and what they do with a row's sums.
#![allow(unsafe_code)]

use core::arch::naked_asm;

/// Saves what a function must keep, and takes the job into the frame, with the address of the label `2` behind it, and four words
/// of the function's own.
macro_rules! frame {
    () => {
        concat!(
            "push {{r4-r11, lr}}\n",
            "sub sp, #100\n",
            "mov r12, sp\n",
            "ldmia r1!, {{r2-r9}}\n",
            "stmia r12!, {{r2-r9}}\n",
            "ldmia r1!, {{r2-r9}}\n",
            "stmia r12!, {{r2-r9}}\n",
            "ldmia r1!, {{r2-r5}}\n",
            "adr.w r6, 2f\n",
            "adds r6, #1\n",
            "stmia r12!, {{r2-r6}}\n",
        )
    };
}

/// Undoes [`frame`] and returns.
macro_rules! leave {
    () => {
        "add sp, #100\npop {{r4-r11, pc}}"
    };
}

/// Shifts r3 to r6 left by r11, which it clears; goes to the label `9` where that overflows.
#[cfg(not(mote_family = "helium"))]
macro_rules! shift_left {
    () => {
        concat!(
            "eor r7, r3, r3, asr #31\n",
            "eor r8, r4, r4, asr #31\n",
            "orr r7, r7, r8\n",
            "eor r8, r5, r5, asr #31\n",
            "orr r7, r7, r8\n",
            "eor r8, r6, r6, asr #31\n",
            "orr r7, r7, r8\n",
            "rsbs r8, r11, #31\n",
            "bls 9f\n",
            "lsrs r7, r7, r8\n",
            "bne 9f\n",
            "lsl r3, r3, r11\n",
            "lsl r4, r4, r11\n",
            "lsl r5, r5, r11\n",
            "lsl r6, r6, r11\n",
            "mov r11, #0\n",
        )
    };
}

/// Begins a row of int16 weights: r1 block, r4 to r11 four sums of 64 bits, lr end of the row.
macro_rules! wide_biases {
    () => {
        concat!(
            "ldrd r1, r7, [sp]\n",
            "ldr lr, [sp, #28]\n",
            "ldrd r4, r5, [r7], #8\n",
            "add lr, r0\n",
            "str r7, [sp, #4]\n",
            "mov r6, r4\n",
            "mov r7, r5\n",
            "mov r8, r4\n",
            "mov r9, r5\n",
            "mov r10, r4\n",
            "mov r11, r5\n",
        )
    };
}

/// Brings the four sums in r4 to r11, times the row's factor, to r3 to r6; goes to the label `9` where it cannot.
macro_rules! wide_factor {
    () => {
        concat!(
            "ldrd r1, r2, [sp, #8]\n",
            "ldr r12, [r1], #4\n",
            "ldrb lr, [r2], #1\n",
            "strd r1, r2, [sp, #8]\n",
            "subs lr, #33\n",
            "blt 9f\n",
            "cmp lr, #20\n",
            "bhi 9f\n",
            "umull r2, r3, r4, r12\n",
            "mla r3, r5, r12, r3\n",
            "umull r2, r4, r6, r12\n",
            "mla r4, r7, r12, r4\n",
            "umull r2, r5, r8, r12\n",
            "mla r5, r9, r12, r5\n",
            "umull r2, r6, r10, r12\n",
            "mla r6, r11, r12, r6\n",
            "ldr r8, [sp, #24]\n",
            "add r10, lr, #1\n",
            "lsl r8, r8, lr\n",
            "add r3, r8\n",
            "add r4, r8\n",
            "add r5, r8\n",
            "add r6, r8\n",
            "asr r3, r3, r10\n",
            "asr r4, r4, r10\n",
            "asr r5, r5, r10\n",
            "asr r6, r6, r10\n",
        )
    };
}
#[cfg(not(mote_family = "helium"))]
pub(super) use shift_left;
pub(super) use {frame, leave, wide_biases, wide_factor};

/// Goes on with the next row, or returns.
macro_rules! next_row {
    () => {
        concat!(
            "ldr r7, [sp, #32]\n",
            "str r8, [sp, #16]\n",
            "cmp r0, r7\n",
            "it ne\n",
            "ldrne pc, [sp, #80]\n",
            "movs r0, #0\n",
            leave!(),
        )
    };
}

/// Not a function, as those below: stores the four values in r3 to r6.
///
/// # Safety
/// Not called from Rust: kernels jump here, in a frame and with registers that both know.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn end_row8() {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "ldrd r8, r9, [sp, #16]",
        "ssat r4, #8, r4",
        "add r10, r8, r9",
        "ssat r5, #8, r5",
        "strb r4, [r8, r9]",
        "ssat r6, #8, r6",
        "strb r5, [r8, r9, lsl #1]",
        "ssat r3, #8, r3",
        "strb r6, [r10, r9, lsl #1]",
        "strb r3, [r8], #1",
        next_row!(),
    )
}

/// As [`end_row8`], int16.
///
/// # Safety
/// Not called from Rust: kernels jump here, in a frame and with registers that both know.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn end_row16() {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "ldrd r8, r9, [sp, #16]",
        "ssat r4, #16, r4",
        "add r10, r8, r9",
        "ssat r5, #16, r5",
        "strh r4, [r8, r9]",
        "ssat r6, #16, r6",
        "strh r5, [r8, r9, lsl #1]",
        "ssat r3, #16, r3",
        "strh r6, [r10, r9, lsl #1]",
        "strh r3, [r8], #2",
        next_row!(),
    )
}

/// The high word of a term times its factor in r8, and the rounding in r11.
#[cfg(any(mote_family = "dsp", mote_family = "helium"))]
macro_rules! factor {
    ($term:literal) => {
        concat!("smmla ", $term, ", ", $term, ", r8, r11")
    };
}
#[cfg(mote_family = "armv7m")]
macro_rules! factor {
    ($term:literal) => {
        concat!("smull lr, ", $term, ", ", $term, ", r8\nadd ", $term, ", r11")
    };
}

/// Adds the term before either. After a factor without saturation both are below 2^30.
///
/// # Safety
/// Not called from Rust: kernels jump here, in a frame and with registers that both know.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn end_row_added() {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "ldrd r7, r8, [sp, #40]",
        "ldr r10, [sp, #72]",
        "ldr lr, [sp, #64]",
        "cmp r8, #0",
        "beq 8f",
        "add r11, r7, r8",
        "cmp r10, #0",
        "bne 6f",
        "ldrsb r2, [r7, r8]",
        "ldrsb r9, [r7, r8, lsl #1]",
        "ldrsb r10, [r11, r8, lsl #1]",
        "ldrsb r1, [r7], #1",
        "sub r2, lr",
        "sub r9, lr",
        "sub r10, lr",
        "sub r1, lr",
        "b 7f",
        "6:",
        "ldrsh r2, [r7, r8]",
        "ldrsh r9, [r7, r8, lsl #1]",
        "ldrsh r10, [r11, r8, lsl #1]",
        "ldrsh r1, [r7], #2",
        "7:",
        "str r7, [sp, #40]",
        "ldrd r7, r8, [sp, #48]",
        "ldrd r11, r12, [sp, #56]",
        "lsl r1, r1, r7",
        "lsl r2, r2, r7",
        "lsl r9, r9, r7",
        "lsl r10, r10, r7",
        factor!("r1"),
        factor!("r2"),
        factor!("r9"),
        factor!("r10"),
        "asr r1, r1, r12",
        "asr r2, r2, r12",
        "asr r9, r9, r12",
        "asr r10, r10, r12",
        "add r3, r3, r1",
        "add r4, r4, r2",
        "add r5, r5, r9",
        "add r6, r6, r10",
        "b 9f",
        // One term for all four; that of int16 has no zero point.
        "8:",
        "cmp r10, #0",
        "ite eq",
        "ldrsbeq r1, [r7], #1",
        "ldrshne r1, [r7], #2",
        "ldrd r11, r12, [sp, #56]",
        "str r7, [sp, #40]",
        "ldrd r7, r8, [sp, #48]",
        "sub r1, lr",
        "lsl r1, r1, r7",
        factor!("r1"),
        "asr r1, r1, r12",
        "add r3, r3, r1",
        "add r4, r4, r1",
        "add r5, r5, r1",
        "add r6, r6, r1",
        "9:",
        "ldr r7, [sp, #36]",
        "asr r3, r3, #4",
        "asr r4, r4, #4",
        "asr r5, r5, #4",
        "asr r6, r6, #4",
        "cmp r7, #0",
        "bne {wide}",
        "b {narrow}",
        wide = sym end_row16,
        narrow = sym end_row8,
    )
}
