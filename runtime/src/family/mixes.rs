//! What the DSP extension does for a function of every element together with what follows it: a factor and an addend.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::curves::value;
use super::{Curve, Elements, Normalized};
use crate::numeric::product::product;
use crate::tensor::view::View;

/// Largest shift of the high word up to which a zero point is part of the addend.
const MOST_DOWN: u32 = 22;

/// See [`super::Family::curve_modulate`].
pub fn curve_modulate(
    from: Elements<'_>,
    curve: &Curve<'_>,
    a: &[i32],
    base: &[i64],
    [up, down]: [u32; 2],
    to: &mut Normalized<'_>,
) -> bool {
    let Some((from, count)) = elements(from, to) else {
        return false;
    };
    let (middle, within) = curve.parts();
    assert!(a.len() >= count && base.len() >= count);
    let mut job = Modulation {
        middle,
        within,
        a: a.as_ptr(),
        base: base.as_ptr(),
        up,
        down,
        zero: 0,
    };
    let end = from.wrapping_add(count);
    match to {
        Normalized::I8(to, zero) => {
            job.zero = *zero;
            // SAFETY: as many factors, addends and places as elements, at least one; the segment of any int16 has both ends.
            unsafe { modulate8(from, to.as_mut_ptr(), end, &job) };
        }
        Normalized::I16(to) => {
            // SAFETY: as above. In place, an element is read before its value is written there.
            unsafe { modulate16(from, to.as_mut_ptr(), end, &job) };
        }
    }
    true
}

/// See [`super::Family::curve_add`].
pub fn curve_add(
    from: Elements<'_>,
    curve: &Curve<'_>,
    y: View<'_>,
    [a, mult]: [i32; 2],
    half: i64,
    [up, down]: [u32; 2],
    to: &mut Normalized<'_>,
) -> bool {
    let Some((from, count)) = elements(from, to) else {
        return false;
    };
    let (y, wide, zero_of_y) = match y {
        View::I8(y, zero) if y.len() >= count => (y.as_ptr().cast(), false, zero),
        View::I16(y) if y.len() >= count => (y.as_ptr().cast(), true, 0),
        _ => return false,
    };
    let zero = match to {
        Normalized::I8(_, zero) => i64::from(*zero),
        Normalized::I16(_) => 0,
    };
    if down > MOST_DOWN {
        return false;
    }
    let (middle, within) = curve.parts();
    // The high word is within 2^30: either product is below 2^61.
    let base = half - product(zero_of_y << up, mult) + (zero << (32 + down));
    let job = Sum {
        base: [base as i32, (base >> 32) as i32],
        middle,
        within,
        y,
        a,
        mult,
        up,
        down,
    };
    let end = from.wrapping_add(count);
    // SAFETY: as many addends and places as elements, at least one. In place, an element is read before its value is written there.
    unsafe {
        match (to, wide) {
            (Normalized::I8(to, _), false) => sum_8_8(from, to.as_mut_ptr(), end, &job),
            (Normalized::I8(to, _), true) => sum_16_8(from, to.as_mut_ptr(), end, &job),
            (Normalized::I16(to), false) => sum_8_16(from, to.as_mut_ptr(), end, &job),
            (Normalized::I16(to), true) => sum_16_16(from, to.as_mut_ptr(), end, &job),
        }
    }
    true
}

/// The elements and how many there are, at least one and as many as places.
fn elements(from: Elements<'_>, to: &Normalized<'_>) -> Option<(*const i16, usize)> {
    let places = match to {
        Normalized::I8(to, _) => to.len(),
        Normalized::I16(to) => to.len(),
    };
    let (from, count) = match (from, to) {
        (Elements::I16(from), _) => (from.as_ptr(), from.len()),
        (Elements::InPlace, Normalized::I16(to)) => (to.as_ptr(), to.len()),
        _ => return None,
    };
    (count > 0 && count == places).then_some((from, count))
}

/// What [`modulate16`] loads, in this order.
#[repr(C)]
struct Modulation {
    middle: *const i16,
    within: u32,
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
    middle: *const i16,
    within: u32,
    y: *const u8,
    a: i32,
    mult: i32,
    up: u32,
    down: u32,
}

macro_rules! modulated {
    ($(#[$doc:meta])* $name:ident, $to:ty, $store:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(from: *const i16, to: *mut $to, end: *const i16, job: &Modulation) {
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r11, lr}}",
                "ldmia r3, {{r3-r8, r11}}",
                "2:",
                value!("mov r12, #0x4000\n"),
                "ldr r10, [r5], #4",
                "ldrd r12, lr, [r6], #8",
                "lsl r9, r9, r7",
                "smlal r12, lr, r9, r10",
                "asr lr, lr, r8",
                $store,
                "cmp r0, r2",
                "bne 2b",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

modulated! {
    /// `(elements, places, end of the elements, job)`: each value with a factor and an addend of its own.
    modulate16, i16, "ssat lr, #16, lr\nstrh lr, [r1], #2"
}
modulated! {
    /// As [`modulate16`], with a zero point.
    modulate8, i8, "qadd lr, lr, r11\nssat lr, #8, lr\nstrb lr, [r1], #1"
}

macro_rules! sums {
    ($(#[$doc:meta])* $name:ident, $to:ty, $load:literal, $store:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(from: *const i16, to: *mut $to, end: *const i16, job: &Sum) {
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r11, lr}}",
                "ldrd r4, r5, [r3], #8",
                "sub sp, #12",
                "strd r4, r5, [sp]",
                "ldmia r3, {{r3-r8, r11}}",
                "2:",
                value!("mov r12, #0x4000\n"),
                $load,
                "ldrd r12, lr, [sp]",
                "lsl r9, r9, r8",
                "lsl r10, r10, r8",
                "smlal r12, lr, r9, r6",
                "smlal r12, lr, r10, r7",
                "asr lr, lr, r11",
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
    /// `(elements, places, end of the elements, job)`: one factor, and another of an addend of int16.
    sum_16_16, i16, "ldrsh r10, [r5], #2", "ssat lr, #16, lr\nstrh lr, [r1], #2"
}
sums! {
    /// As [`sum_16_16`], of int8.
    sum_8_16, i16, "ldrsb r10, [r5], #1", "ssat lr, #16, lr\nstrh lr, [r1], #2"
}
sums! {
    /// As [`sum_16_16`], to int8.
    sum_16_8, i8, "ldrsh r10, [r5], #2", "ssat lr, #8, lr\nstrb lr, [r1], #1"
}
sums! {
    /// As [`sum_16_8`], of int8.
    sum_8_8, i8, "ldrsb r10, [r5], #1", "ssat lr, #8, lr\nstrb lr, [r1], #1"
}
