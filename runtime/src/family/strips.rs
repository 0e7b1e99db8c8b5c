//! Six neighbours in a row of the input to the four columns of a block that look at them, under a 3x3 kernel.
#![allow(unsafe_code)]

use core::arch::naked_asm;

/// Where six neighbours lie in a row of the input.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Neighbours {
    /// Bytes from the first of them to the fourth.
    half: usize,
    /// Bytes from the first to the second and the third, and from the fourth to the fifth and the sixth.
    offsets: [usize; 4],
    /// Bytes of the four columns of a position.
    step: usize,
    /// Minus the zero point, twice.
    zeros: u32,
    /// Bit 31: there is no first of them. Bit 30: there is no last.
    edges: u32,
    first: usize,
    /// Elements of a row up to the last.
    span: usize,
}

impl Neighbours {
    /// The neighbours at `places`, in order; `edges` says whether the first and the last are zeros instead.
    pub fn new(places: [usize; 6], [left, right]: [bool; 2], channels: usize, zero: i32) -> Self {
        let [a, b, c, d, e, f] = places.map(|place| place * channels);
        Self {
            half: d - a,
            offsets: [b - a, c - a, e - d, f - d],
            step: 8 * channels,
            zeros: (zero.wrapping_neg() as u32 & 0xFFFF) * 0x1_0001,
            edges: u32::from(left) << 31 | u32::from(right) << 30,
            first: a,
            span: f + channels,
        }
    }
}

/// Fills a kernel row of a block from a row of the input.
pub fn six8(from: &[i8], six: &Neighbours, to: &mut [i16]) {
    let groups = six.step > 0 && six.step.is_multiple_of(32);
    assert!(groups && from.len() >= six.span && 2 * to.len() >= 3 * six.step);
    // SAFETY: six positions of whole groups of four channels lie within `from`, and three of four columns in `to`.
    unsafe { widen_six(from.as_ptr().add(six.first), to.as_mut_ptr(), six) }
}

/// Moves the elements from `by` on to the front; `by` is whole groups of 16.
pub fn slide(columns: &mut [i16], by: usize) {
    let count = columns.len().saturating_sub(by);
    assert!(by > 0 && count.is_multiple_of(16));
    if count > 0 {
        let to = columns.as_mut_ptr();
        // SAFETY: `by + count` elements, whole groups of 32 bytes, each read before it is written.
        unsafe { move_down(to, to.add(by), to.add(columns.len())) }
    }
}

/// An element's group, in lr, to r11 and r12; `$store` stores these.
macro_rules! widened {
    ($($store:literal),*) => {
        concat!(
            "sxtab16 r11, r9, lr\n",
            "sxtab16 r12, r9, lr, ror #8\n",
            $("strd r11, r12, ", $store, "\n",)*
        )
    };
}

/// `(the first neighbour, first group, six)`.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn widen_six(from: *const i8, to: *mut i16, six: &Neighbours) {
    // r0, r3 first and fourth neighbour, r4..r7 the others from there; r1, r2, r8 groups of the kernel's columns.
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r11, lr}}",
        "ldmia r2, {{r3-r10}}",
        "push {{r8, r10}}",
        "add r3, r0",
        "mov r10, r8",
        "add r2, r1, r8",
        "add r8, r2",
        "2:",
        "ldr lr, [r0, r4]",
        widened!("[r1, #8]", "[r2], #32"),
        "ldr lr, [r0, r5]",
        widened!("[r1, #16]", "[r2, #-24]", "[r8], #32"),
        "ldr lr, [r0], #4",
        widened!("[r1], #32"),
        "ldr lr, [r3, r6]",
        widened!("[r2, #-8]", "[r8, #-16]"),
        "ldr lr, [r3, r7]",
        widened!("[r8, #-8]"),
        "ldr lr, [r3], #4",
        widened!("[r1, #-8]", "[r2, #-16]", "[r8, #-24]"),
        "subs r10, #32",
        "bne 2b",
        "pop {{r3, r4}}",
        "movs r11, #0",
        "lsls r4, r4, #1",
        "bcc 4f",
        "mov r5, r3",
        "3:",
        "strd r11, r11, [r1, #-32]!",
        "subs r5, #32",
        "bne 3b",
        "4:",
        "cmp r4, #0",
        "beq 6f",
        "5:",
        "strd r11, r11, [r8, #-8]",
        "sub r8, #32",
        "subs r3, #32",
        "bne 5b",
        "6:",
        "pop {{r4-r11, pc}}",
    )
}

/// `(to, from, end)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn move_down(to: *mut i16, from: *const i16, end: *const i16) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r10, lr}}",
        "2:",
        "ldmia r1!, {{r3-r10}}",
        "cmp r1, r2",
        "stmia r0!, {{r3-r10}}",
        "bne 2b",
        "pop {{r4-r10, pc}}",
    )
}
