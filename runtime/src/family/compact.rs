//! Dot products of a row of weights with a column, or with a few at once, in a few instructions: what a convolution asks of a core
//! without the part `fast`.
#![allow(unsafe_code)]

#[cfg(any(
    mote_family = "armv6m",
    mote_family = "armv7m",
    mote_family = "dsp",
    mote_family = "helium"
))]
use core::arch::naked_asm;

/// Columns that share a row's loads.
pub const LANES: usize = if cfg!(any(mote_family = "dsp", mote_family = "helium")) {
    4
} else {
    1
};

/// Adds the dot products of a row with the columns that begin `step` elements after each other. Whole words of weights.
pub fn add_dots8(row: &[i8], columns: &[i16], step: usize, sums: &mut [i32; LANES]) {
    let whole = !row.is_empty() && row.len().is_multiple_of(4);
    if !whole || columns.len() < (LANES - 1) * step + row.len() {
        return;
    }
    let row = row.as_ptr_range();
    // SAFETY: a row of whole words; every column has as many elements from its first on.
    unsafe { dots8(row.start, columns.as_ptr(), row.end, sums, 2 * step) }
}

/// Dot product of an int16 row with a column.
pub fn dot16(row: &[i16], column: &[i16]) -> i64 {
    // A product is at most 2^30.
    let products = row.iter().zip(column).map(|(&w, &x)| i32::from(w) * i32::from(x));
    products.map(i64::from).sum()
}

/// Elements less their zero point.
#[inline(always)]
pub fn widen8(from: &[i8], zero: i32, to: &mut [i16]) {
    let count = to.len().min(from.len());
    let mut done = 0;
    if cfg!(any(mote_family = "dsp", mote_family = "helium")) && count >= 4 {
        done = count & !3;
        // SAFETY: both have so many elements.
        unsafe { widen_words(from.as_ptr(), from.as_ptr().add(done), to.as_mut_ptr(), zero) };
    }
    for (to, &q) in to.iter_mut().zip(from).skip(done) {
        *to = i16::from(q) - zero as i16;
    }
}

/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[cfg(not(any(mote_family = "dsp", mote_family = "helium")))]
unsafe fn widen_words(_from: *const i8, _end: *const i8, _to: *mut i16, _zero: i32) {}

/// `(elements, their end, place of the first, zero point)`: whole words of elements.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[cfg(any(mote_family = "dsp", mote_family = "helium"))]
#[unsafe(naked)]
unsafe extern "C" fn widen_words(from: *const i8, end: *const i8, to: *mut i16, zero: i32) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r6, lr}}",
        "negs r3, r3",
        "pkhbt r3, r3, r3, lsl #16",
        "2:",
        "ldr r4, [r0], #4",
        "sxtab16 r5, r3, r4",
        "sxtab16 r4, r3, r4, ror #8",
        "pkhbt r6, r5, r4, lsl #16",
        "pkhtb r4, r4, r5, asr #16",
        "str r6, [r2], #4",
        "str r4, [r2], #4",
        "cmp r0, r1",
        "bne 2b",
        "pop {{r4-r6, pc}}",
    )
}

/// `(row, columns, end of the row, sums, bytes from a column to the next)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[cfg(any(mote_family = "portable", mote_family = "simd128"))]
unsafe fn dots8(row: *const i8, columns: *const i16, end: *const i8, sums: &mut [i32; LANES], _: usize) {
    // SAFETY: the caller's.
    let (row, column) = unsafe {
        let taps = end.offset_from_unsigned(row);
        (
            core::slice::from_raw_parts(row, taps),
            core::slice::from_raw_parts(columns, taps),
        )
    };
    sums[0] += row
        .iter()
        .zip(column)
        .map(|(&w, &x)| i32::from(w) * i32::from(x))
        .sum::<i32>();
}

/// `(row, column, end of the row, sum)`. Four weights in a word, two elements in each of two.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[cfg(mote_family = "armv6m")]
#[unsafe(naked)]
unsafe extern "C" fn dots8(row: *const i8, columns: *const i16, end: *const i8, sums: &mut [i32; LANES], step: usize) {
    // r0 row, r1 column, r2 weight, r3 sum, r4 weights, r5 and r6 elements, r7 element, r12 end of the row.
    naked_asm!(
        "push {{r3-r7, lr}}",
        "mov r12, r2",
        "ldr r3, [r3]",
        "2:",
        "ldmia r0!, {{r4}}",
        "ldmia r1!, {{r5, r6}}",
        "sxtb r2, r4",
        "sxth r7, r5",
        "muls r7, r2, r7",
        "adds r3, r3, r7",
        "lsls r2, r4, #16",
        "asrs r2, r2, #24",
        "asrs r5, r5, #16",
        "muls r5, r2, r5",
        "adds r3, r3, r5",
        "lsls r2, r4, #8",
        "asrs r2, r2, #24",
        "sxth r7, r6",
        "muls r7, r2, r7",
        "adds r3, r3, r7",
        "asrs r4, r4, #24",
        "asrs r6, r6, #16",
        "muls r6, r4, r6",
        "adds r3, r3, r6",
        "cmp r0, r12",
        "bne 2b",
        "pop {{r0}}",
        "str r3, [r0]",
        "pop {{r4-r7, pc}}",
    )
}

/// `(row, column, end of the row, sum)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[cfg(mote_family = "armv7m")]
#[unsafe(naked)]
unsafe extern "C" fn dots8(row: *const i8, columns: *const i16, end: *const i8, sums: &mut [i32; LANES], step: usize) {
    macro_rules! tap {
        () => {
            "ldrsb r5, [r0], #1\nldrsh r12, [r1], #2\nmla r4, r5, r12, r4\n"
        };
    }
    naked_asm!(
        "push {{r4, r5, r7, lr}}",
        "ldr r4, [r3]",
        "2:",
        tap!(),
        tap!(),
        tap!(),
        tap!(),
        "cmp r0, r2",
        "bne 2b",
        "str r4, [r3]",
        "pop {{r4, r5, r7, pc}}",
    )
}

/// `(row, columns, end of the row, sums, bytes from a column to the next)`: the first two of four weights to one word, the others to
/// another, as elements lie.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[cfg(any(mote_family = "dsp", mote_family = "helium"))]
#[unsafe(naked)]
unsafe extern "C" fn dots8(row: *const i8, columns: *const i16, end: *const i8, sums: &mut [i32; LANES], step: usize) {
    // r0 row, r1, r5..r7 columns, r2 its end, r3 and lr weights, r4 and r12 elements, r8..r11 sums.
    macro_rules! column {
        ($column:literal, $sum:literal) => {
            concat!(
                "ldrd r4, r12, [",
                $column,
                "], #8\n",
                "smlad ",
                $sum,
                ", lr, r4, ",
                $sum,
                "\n",
                "smlad ",
                $sum,
                ", r3, r12, ",
                $sum,
                "\n",
            )
        };
    }
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r3-r11, lr}}",
        "ldr r4, [sp, #40]",
        "adds r5, r1, r4",
        "adds r6, r5, r4",
        "adds r7, r6, r4",
        "ldmia r3, {{r8-r11}}",
        "2:",
        "ldr r3, [r0], #4",
        "sxtb16 r12, r3",
        "sxtb16 r3, r3, ror #8",
        "pkhbt lr, r12, r3, lsl #16",
        "pkhtb r3, r3, r12, asr #16",
        column!("r1", "r8"),
        column!("r5", "r9"),
        column!("r6", "r10"),
        column!("r7", "r11"),
        "cmp r0, r2",
        "bne 2b",
        "pop {{r3}}",
        "stmia r3!, {{r8-r11}}",
        "pop {{r4-r11, pc}}",
    )
}
