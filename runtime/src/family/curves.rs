//! What the DSP extension does for functions of every element: values between the ends of a table's segments, factors, addends.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::{Curve, Elements, Normalized, Rescale};
use crate::numeric::product::product;
use crate::tensor::view::View;

impl Curve<'_> {
    /// The end at input 0, and what shifts an input so that its lower 15 bits are those within a segment.
    pub(super) fn parts(&self) -> (*const i16, u32) {
        assert!((1..=15).contains(&self.bits) && self.ends.len() == (1 << 16 >> self.bits) + 1);
        (self.ends[1 << (15 - self.bits)..].as_ptr(), 15 - self.bits)
    }
}

/// See [`super::Family::curve`].
pub fn curve(from: &[i16], curve: &Curve<'_>, to: &mut [i32]) {
    let (middle, up) = curve.parts();
    let from = &from[..from.len().min(to.len())];
    if from.is_empty() {
        return;
    }
    let range = from.as_ptr_range();
    // SAFETY: as many places as elements, at least one; the segment of any int16 has both ends.
    unsafe { values(range.start, to.as_mut_ptr(), range.end, middle, up) };
}

/// See [`super::Family::curve_stored`].
pub fn curve_stored(from: Elements<'_>, curve: &Curve<'_>, scale: &Rescale, to: &mut Normalized<'_>) -> bool {
    let (middle, up) = curve.parts();
    let (from, len) = match (from, &*to) {
        (Elements::I16(from), _) => (from.as_ptr(), from.len()),
        (Elements::InPlace, Normalized::I16(to)) => (to.as_ptr(), to.len()),
        _ => return false,
    };
    let mut job = Stored {
        middle,
        up,
        mult: scale.mult,
        half: scale.half,
        shift: scale.shift,
        zero: 0,
    };
    match to {
        _ if len == 0 => {}
        Normalized::I8(to, zero) => {
            assert!(to.len() == len);
            job.zero = *zero;
            // SAFETY: as many places as elements, at least one; the segment of any int16 has both ends.
            unsafe { values8(from, to.as_mut_ptr(), from.wrapping_add(len), &job) };
        }
        Normalized::I16(to) => {
            assert!(to.len() == len);
            // SAFETY: as above. In place, an element is read before its value is written there.
            unsafe { values16(from, to.as_mut_ptr(), from.wrapping_add(len), &job) };
        }
    }
    true
}

/// See [`super::Family::modulate`].
pub fn modulate(t: &[i32], a: &[i32], base: &[i64], [up, down]: [u32; 2], to: &mut Normalized<'_>) {
    let mut job = Modulation {
        a: a.as_ptr(),
        base: base.as_ptr(),
        up,
        down,
        zero: 0,
    };
    let range = t.as_ptr_range();
    assert!(!t.is_empty() && a.len() >= t.len() && base.len() >= t.len());
    match to {
        Normalized::I8(to, zero) => {
            assert!(to.len() == t.len());
            job.zero = *zero;
            // SAFETY: as many factors, addends and places as elements, at least one.
            unsafe { modulate8(range.start, to.as_mut_ptr(), range.end, &job) };
        }
        Normalized::I16(to) => {
            assert!(to.len() == t.len());
            // SAFETY: as above.
            unsafe { modulate16(range.start, to.as_mut_ptr(), range.end, &job) };
        }
    }
}

/// See [`super::Family::add_scaled`].
pub fn add_scaled(
    t: &[i32],
    y: View<'_>,
    a: &[i32],
    mult: i32,
    half: i64,
    [up, down]: [u32; 2],
    to: &mut Normalized<'_>,
) -> bool {
    let (y, wide, zero_of_y) = match y {
        View::I8(y, zero) if y.len() >= t.len() => (y.as_ptr().cast(), false, zero),
        View::I16(y) if y.len() >= t.len() => (y.as_ptr().cast(), true, 0),
        _ => return false,
    };
    let base = half.wrapping_sub(product(zero_of_y << up, mult));
    let mut job = Sum {
        base: [base as i32, (base >> 32) as i32],
        y,
        a: a.as_ptr(),
        mult,
        up,
        down,
        zero: 0,
    };
    let range = t.as_ptr_range();
    assert!(!t.is_empty() && a.len() >= t.len());
    match to {
        Normalized::I8(to, zero) => {
            assert!(to.len() == t.len());
            job.zero = *zero;
            let kernel = if wide { sum_16_8 } else { sum_8_8 };
            // SAFETY: as many factors, addends and places as elements, at least one.
            unsafe { kernel(range.start, to.as_mut_ptr(), range.end, &job) };
        }
        Normalized::I16(to) => {
            assert!(to.len() == t.len());
            let kernel = if wide { sum_16_16 } else { sum_8_16 };
            // SAFETY: as above.
            unsafe { kernel(range.start, to.as_mut_ptr(), range.end, &job) };
        }
    }
    true
}

/// What [`values16`] loads, in this order.
#[repr(C)]
struct Stored {
    middle: *const i16,
    up: u32,
    mult: i32,
    half: i32,
    shift: u32,
    zero: i32,
}

/// What [`modulate16`] loads, in this order.
#[repr(C)]
struct Modulation {
    a: *const i32,
    base: *const i64,
    up: u32,
    down: u32,
    zero: i32,
}

/// What [`sum_16_16`] loads, in this order.
#[repr(C)]
struct Sum {
    base: [i32; 2],
    y: *const u8,
    a: *const i32,
    mult: i32,
    up: u32,
    down: u32,
    zero: i32,
}

/// The value at the element at r0, to r9: r3 the end at input 0, r4 left shift, r12 half a unit. With `left * (2^15 - f) + right * f`, the
/// lower half of r9 is f, the upper f - 2^15.
///
/// Where r12 is needed for something else between two elements, `$half` loads it anew.
macro_rules! value {
    () => {
        value!("")
    };
    ($half:literal) => {
        concat!(
            "ldrsh r9, [r0], #2\n",
            $half,
            "lsl r9, r9, r4\n",
            "asr r10, r9, #15\n",
            "ldr r10, [r3, r10, lsl #1]\n",
            "ubfx r9, r9, #0, #15\n",
            "orr r9, r9, r9, lsl #16\n",
            "eor r9, r9, #0x80000000\n",
            "smlsdx r9, r9, r10, r12\n",
            "asr r9, r9, #15\n",
        )
    };
}
pub(super) use value;

/// `(elements, values, end of the elements, end of the segment at 0, left shift)`.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn values(from: *const i16, to: *mut i32, end: *const i16, middle: *const i16, up: u32) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4, r9, r10, lr}}",
        "ldr r4, [sp, #16]",
        "mov r12, #0x4000",
        "2:",
        value!(),
        "str r9, [r1], #4",
        "cmp r0, r2",
        "bne 2b",
        "pop {{r4, r9, r10, pc}}",
    )
}

macro_rules! stored {
    ($(#[$doc:meta])* $name:ident, $to:ty, $store:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(from: *const i16, to: *mut $to, end: *const i16, job: &Stored) {
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r10, lr}}",
                "ldmia r3, {{r3-r8}}",
                "mov r12, #0x4000",
                "2:",
                value!(),
                "mla r9, r9, r5, r6",
                "asr r9, r9, r7",
                $store,
                "cmp r0, r2",
                "bne 2b",
                "pop {{r4-r10, pc}}",
            )
        }
    };
}

stored! {
    /// `(elements, places, end of the elements, job)`: rescaled.
    values16, i16, "ssat r9, #16, r9\nstrh r9, [r1], #2"
}
stored! {
    /// As [`values16`], with a zero point.
    values8, i8, "qadd r9, r9, r8\nssat r9, #8, r9\nstrb r9, [r1], #1"
}

macro_rules! modulated {
    ($(#[$doc:meta])* $name:ident, $to:ty, $store:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(t: *const i32, to: *mut $to, end: *const i32, job: &Modulation) {
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r11, lr}}",
                "ldmia r3, {{r3-r7}}",
                "2:",
                "ldr r8, [r0], #4",
                "ldrd r10, r11, [r4], #8",
                "ldr r9, [r3], #4",
                "lsl r8, r8, r5",
                "smlal r10, r11, r8, r9",
                "asr r11, r11, r6",
                $store,
                "cmp r0, r2",
                "bne 2b",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

modulated! {
    /// `(values, places, end of the values, job)`: each with a factor and an addend of its own.
    modulate16, i16, "ssat r11, #16, r11\nstrh r11, [r1], #2"
}
modulated! {
    /// As [`modulate16`], with a zero point.
    modulate8, i8, "qadd r11, r11, r7\nssat r11, #8, r11\nstrb r11, [r1], #1"
}

macro_rules! sums {
    ($(#[$doc:meta])* $name:ident, $to:ty, $load:literal, $store:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(t: *const i32, to: *mut $to, end: *const i32, job: &Sum) {
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r11, lr}}",
                "ldrd r10, r11, [r3], #8",
                "sub sp, #12",
                "strd r10, r11, [sp]",
                "ldmia r3, {{r4-r9}}",
                "2:",
                "ldr r3, [r0], #4",
                "ldr r10, [r5], #4",
                "ldrd r12, lr, [sp]",
                "lsl r3, r3, r7",
                "smlal r12, lr, r3, r10",
                $load,
                "lsl r3, r3, r7",
                "smlal r12, lr, r3, r6",
                "asr lr, lr, r8",
                $store,
                "cmp r0, r2",
                "bne 2b",
                "add sp, #12",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

sums! {
    /// `(values, places, end of the values, job)`: each with a factor of its own, and one of an addend of int16.
    sum_16_16, i16, "ldrsh r3, [r4], #2", "ssat lr, #16, lr\nstrh lr, [r1], #2"
}
sums! {
    /// As [`sum_16_16`], of int8.
    sum_8_16, i16, "ldrsb r3, [r4], #1", "ssat lr, #16, lr\nstrh lr, [r1], #2"
}
sums! {
    /// As [`sum_16_16`], with a zero point.
    sum_16_8, i8, "ldrsh r3, [r4], #2", "qadd lr, lr, r9\nssat lr, #8, lr\nstrb lr, [r1], #1"
}
sums! {
    /// As [`sum_16_8`], of int8.
    sum_8_8, i8, "ldrsb r3, [r4], #1", "qadd lr, lr, r9\nssat lr, #8, lr\nstrb lr, [r1], #1"
}
