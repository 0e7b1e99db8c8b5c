//! What the DSP extension does for neighbours that are normalized together: two roundings in the high words of products.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::{Elements, Finish, Line, Normalized};

/// See [`super::Family::line`].
pub fn line(from: Elements<'_>, to: &mut Normalized<'_>, line: &Line<'_>, finish: &Finish) {
    let (zero, count) = match &*to {
        Normalized::I8(to, zero) => (*zero, to.len()),
        Normalized::I16(to) => (0, to.len()),
    };
    let job = Job {
        slopes: line.slopes.as_ptr(),
        count,
        mean: line.mean,
        up: line.up,
        mult: finish.mult,
        round: finish.round.wrapping_add(zero << (finish.shift & 31)),
        shift: finish.shift,
    };
    assert!(count > 0 && line.slopes.len() >= count && line.terms.len() >= count);
    let terms = line.terms.as_ptr().cast();
    // SAFETY: as many elements, slopes, terms and places, at least one. In place, an element is read before its place is written.
    unsafe {
        match (from, to) {
            (Elements::I8(from), Normalized::I8(to, _)) => {
                assert!(from.len() >= count);
                line_8_8(from.as_ptr(), to.as_mut_ptr(), terms, &job);
            }
            (Elements::I16(from), Normalized::I8(to, _)) => {
                assert!(from.len() >= count);
                line_16_8(from.as_ptr(), to.as_mut_ptr(), terms, &job);
            }
            (Elements::I8(from), Normalized::I16(to)) => {
                assert!(from.len() >= count);
                line_8_16(from.as_ptr(), to.as_mut_ptr(), terms, &job);
            }
            (Elements::I16(from), Normalized::I16(to)) => {
                assert!(from.len() >= count);
                line_16_16(from.as_ptr(), to.as_mut_ptr(), terms, &job);
            }
            (Elements::InPlace, Normalized::I8(to, _)) => line_8_8(to.as_ptr(), to.as_mut_ptr(), terms, &job),
            (Elements::InPlace, Normalized::I16(to)) => line_16_16(to.as_ptr(), to.as_mut_ptr(), terms, &job),
        }
    }
}

/// What the kernels load, in this order.
#[repr(C)]
struct Job {
    slopes: *const i32,
    count: usize,
    mean: i32,
    up: u32,
    mult: i32,
    round: i32,
    shift: u32,
}

/// An element: r0 input, r1 output, r2 terms, r3 slopes, r5 mean, r6 left shift, r7 to r9 the last factor.
macro_rules! element {
    ($load:tt, $store:literal) => {
        concat!(
            $load,
            " r10, [r0], #",
            line_size!($load),
            "\n",
            "ldr r11, [r3], #4\n",
            "lsl r10, r10, r6\n",
            "ldr lr, [r2], #4\n",
            "sub r10, r10, r5\n",
            "mov r12, #0x80000000\n",
            "smlal r12, lr, r10, r11\n",
            "ldrd r10, r11, [r2], #8\n",
            "lsl r12, lr, #4\n",
            "add lr, lr, r11\n",
            "smmulr r12, r12, r10\n",
            "add lr, lr, r12\n",
            "smmla lr, lr, r7, r8\n",
            "asr lr, lr, r9\n",
            $store,
        )
    };
}

macro_rules! line_size {
    ("ldrsb") => {
        "1"
    };
    ("ldrsh") => {
        "2"
    };
}

macro_rules! lines {
    ($(#[$doc:meta])* $name:ident, $in:ty, $out:ty, $load:tt, $store:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the job says, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(from: *const $in, to: *mut $out, terms: *const i32, job: &Job) {
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r11, lr}}",
                "ldmia r3, {{r3-r9}}",
                // Two at a time; an odd one first.
                concat!("add r4, r0, r4, lsl #", line_size!($load), "-1"),
                concat!("sub r10, r4, r0"),
                concat!("lsls r10, r10, #32-", line_size!($load)),
                "bne 3f",
                "2:",
                element!($load, $store),
                "3:",
                element!($load, $store),
                "cmp r0, r4",
                "bne 2b",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

lines! {
    /// `(elements, places, terms, job)`.
    line_8_8, i8, i8, "ldrsb", "ssat lr, #8, lr\nstrb lr, [r1], #1"
}
lines! {
    /// As [`line_8_8`].
    line_16_8, i16, i8, "ldrsh", "ssat lr, #8, lr\nstrb lr, [r1], #1"
}
lines! {
    /// As [`line_8_8`].
    line_8_16, i8, i16, "ldrsb", "ssat lr, #16, lr\nstrh lr, [r1], #2"
}
lines! {
    /// As [`line_8_8`].
    line_16_16, i16, i16, "ldrsh", "ssat lr, #16, lr\nstrh lr, [r1], #2"
}
