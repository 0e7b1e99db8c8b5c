//! Cortex-M55 and M85: sixteen int8 products, or eight of int16, an instruction (MVE), in loops that the hardware counts and
//! whose last pass it predicates. Everything but convolution is the `dsp` family's.
//!
//! A block holds a vector of taps of every column, then the next vector of every column. Columns of an int8 input hold it as
//! it is stored: the zero point leaves with the sum of the weights.
#![allow(unsafe_code)]

use core::arch::naked_asm;

pub use super::dsp::{dot16, join8, join16, moments8, moments16, normalize};
use super::{COLUMNS, Layout, Rows};
use crate::numeric::requant::Requant;

/// Name in reports.
pub const NAME: &str = "helium";

/// Index of a tap in a block of `lanes` columns, in elements, with `wide` of them in a vector.
#[inline(always)]
fn place(tap: usize, lanes: usize, lane: usize, wide: usize) -> usize {
    if lanes == 1 {
        return tap;
    }
    tap / wide * wide * lanes + lane * wide + tap % wide
}

/// Calls `f` with every range of `count` elements from `tap` on that is whole in memory: its start there, its first element, its length.
#[inline(always)]
fn pieces(tap: usize, count: usize, block: &Layout, lane: usize, wide: usize, mut f: impl FnMut(usize, usize, usize)) {
    let mut done = 0;
    while done < count {
        let tap = tap + done;
        let here = if block.lanes == 1 {
            count - done
        } else {
            (wide - tap % wide).min(count - done)
        };
        f(place(tap, block.lanes, lane, wide), done, here);
        done += here;
    }
}

/// See [`super::portable::copy8`].
#[inline(never)]
pub fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    if block.bytes.is_some() {
        let bytes = bytemuck::cast_slice_mut::<i16, i8>(columns);
        return pieces(tap, from.len(), block, lane, 16, |at, first, count| {
            let (to, from) = (&mut bytes[at..at + count], &from[first..first + count]);
            // SAFETY: both have `count` elements.
            unsafe { move8(from.as_ptr(), to.as_mut_ptr(), count) };
        });
    }
    pieces(tap, from.len(), block, lane, 8, |at, first, count| {
        for (to, &q) in columns[at..at + count].iter_mut().zip(&from[first..]) {
            *to = i16::from(q) - zero as i16;
        }
    });
}

/// See [`super::portable::copy16`].
#[inline(never)]
pub fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    pieces(tap, from.len(), block, lane, 8, |at, first, count| {
        let (to, from) = (&mut columns[at..at + count], &from[first..first + count]);
        // SAFETY: both have `count` elements.
        unsafe { move8(from.as_ptr().cast(), to.as_mut_ptr().cast(), 2 * count) };
    });
}

/// See [`super::portable::zeros`].
#[inline(never)]
pub fn zeros(count: usize, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    if let Some(zero) = block.bytes {
        let bytes = bytemuck::cast_slice_mut::<i16, i8>(columns);
        return pieces(tap, count, block, lane, 16, |at, _, count| {
            let to = &mut bytes[at..at + count];
            // SAFETY: `to` has `count` elements.
            unsafe { fill8(to.as_mut_ptr(), count, zero) };
        });
    }
    pieces(tap, count, block, lane, 8, |at, _, count| {
        columns[at..at + count].fill(0)
    });
}

/// See [`super::portable::rows8`].
pub fn rows8(rows: &Rows<'_>, columns: &[i16], block: &Layout, tile: &mut [[i32; COLUMNS]]) {
    let count = tile.len();
    let tables =
        rows.weights.len() == count * rows.row && rows.bias.len().min(rows.mult.len()).min(rows.shift.len()) == count;
    let wide = if block.bytes.is_some() { 16 } else { 8 };
    let vectors = block.taps.div_ceil(wide) * COLUMNS;
    assert!(tables && block.taps > 0 && block.taps <= rows.row && vectors * 16 <= size_of_val(columns));
    let mut done = 0;
    while done < count {
        let job = Tile {
            columns: columns.as_ptr(),
            bias: rows.bias[done..].as_ptr(),
            mult: rows.mult[done..].as_ptr(),
            shift: rows.shift[done..].as_ptr(),
            tile: tile[done..].as_mut_ptr(),
            row: rows.row,
            left: count - done,
            taps: block.taps,
            zero: block.bytes.unwrap_or(0),
        };
        let weights = rows.weights[done * rows.row..].as_ptr();
        // SAFETY: `left` rows of `taps` weights, as many biases, factors and places, and a block of as many taps.
        let left = unsafe {
            match block.bytes {
                Some(_) => dot_rows_bytes(weights, &job),
                None => dot_rows_words(weights, &job),
            }
        };
        done = count - left;
        if left > 0 {
            // Accumulators that a left shift would overflow.
            let (mult, shift) = (rows.mult[done], rows.shift[done]);
            tile[done]
                .iter_mut()
                .for_each(|v| *v = Requant { mult, shift }.apply(*v));
            done += 1;
        }
    }
}

/// Dot product of an int8 row with a single column.
#[inline]
pub fn single8(row: &[i8], column: &[i16]) -> i32 {
    let count = row.len().min(column.len());
    // SAFETY: both have `count` elements.
    unsafe { dot_single8(row.as_ptr(), column.as_ptr(), count) }
}

/// Dot products of an int16 row with the columns of a block.
#[inline]
pub fn block16(row: &[i16], columns: &[i16], dots: &mut [i64; COLUMNS]) {
    for (lane, dot) in dots.iter_mut().enumerate() {
        let mut sum = 0;
        for (vector, weights) in row.chunks(8).enumerate() {
            let at = (vector * COLUMNS + lane) * 8;
            sum += dot16(weights, &columns[at..at + weights.len()]);
        }
        *dot = sum;
    }
}

/// Dot product of an int16 row with a single column.
#[inline]
pub fn single16(row: &[i16], column: &[i16]) -> i64 {
    dot16(row, column)
}

/// What the kernels copy to their frame, in this order.
#[repr(C)]
struct Tile {
    columns: *const i16,
    bias: *const i32,
    mult: *const i32,
    shift: *const u8,
    tile: *mut [i32; COLUMNS],
    row: usize,
    left: usize,
    taps: usize,
    zero: i32,
}

/// `(weights, tile)` to the rows left, as in the `dsp` family.
macro_rules! rows {
    ($name:ident, $start:literal, $pass:literal, $end:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(weights: *const i8, tile: &Tile) -> usize {
            // r0 weights, r1 block, r2 r4 r6 r8 sums, r10 sum of the weights, r3 taps.
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r11, lr}}",
                "ldmia r1, {{r2-r10}}",
                "sub sp, #36",
                "stmia sp, {{r2-r10}}",
                "2:",
                "ldr r1, [sp]",
                "ldr r3, [sp, #28]",
                "mov r5, r0",
                "movs r2, #0",
                "movs r4, #0",
                "movs r6, #0",
                "mov r8, #0",
                "mov r10, #0",
                $start,
                "3:",
                $pass,
                "letp lr, 3b",
                "ldr r9, [sp, #20]",
                "ldrd r7, r11, [sp, #4]",
                "add r0, r5, r9",
                "ldr r12, [r7], #4",
                "str r7, [sp, #4]",
                $end,
                "ldr r9, [r11], #4",
                "str r11, [sp, #8]",
                "add r2, r12",
                "ldr r11, [sp, #12]",
                "add r4, r12",
                "add r6, r12",
                "add r8, r12",
                "ldrb r10, [r11], #1",
                "ldr r12, [sp, #16]",
                "str r11, [sp, #12]",
                "stmia r12, {{r2, r4, r6, r8}}",
                "rsb r10, r10, #33",
                "usat r11, #5, r10",
                "vldrw.32 q0, [r12]",
                "cmp r11, #0",
                "beq 5f",
                "eor r2, r2, r2, asr #31",
                "eor r4, r4, r4, asr #31",
                "orr r2, r2, r4",
                "eor r6, r6, r6, asr #31",
                "orr r2, r2, r6",
                "eor r8, r8, r8, asr #31",
                "orr r2, r2, r8",
                "rsbs r3, r11, #31",
                "beq 6f",
                "lsrs r2, r2, r3",
                "bne 6f",
                "vshl.s32 q0, r11",
                "5:",
                "sub r11, r11, r10",
                "movs r3, #1",
                "vdup.32 q1, r9",
                "mvn r10, r11",
                "lsl r3, r3, r11",
                "vmulh.s32 q0, q0, q1",
                "vadd.i32 q0, q0, r3",
                "vshl.s32 q0, r10",
                "ldr r7, [sp, #24]",
                "vstrw.32 q0, [r12], #16",
                "subs r7, #1",
                "str r12, [sp, #16]",
                "str r7, [sp, #24]",
                "bne 2b",
                "movs r0, #0",
                "add sp, #36",
                "pop {{r4-r11, pc}}",
                "6:",
                "ldr r0, [sp, #24]",
                "add sp, #36",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

rows!(
    dot_rows_bytes,
    "dlstp.8 lr, r3",
    "vldrb.u8 q0, [r0], #16\nvldrb.u8 q1, [r1], #64\nvaddva.s8 r10, q0\nvmladava.s8 r2, q0, q1\nvldrb.u8 q2, [r1, #-48]\n\
     vmladava.s8 r4, q0, q2\nvldrb.u8 q1, [r1, #-32]\nvmladava.s8 r6, q0, q1\nvldrb.u8 q2, [r1, #-16]\nvmladava.s8 r8, q0, q2",
    "ldr r9, [sp, #32]\nmls r12, r10, r9, r12"
);
rows!(
    dot_rows_words,
    "dlstp.16 lr, r3",
    "vldrb.s16 q0, [r0], #8\nvldrh.u16 q1, [r1], #64\nvmladava.s16 r2, q0, q1\nvldrh.u16 q2, [r1, #-48]\n\
     vmladava.s16 r4, q0, q2\nvldrh.u16 q1, [r1, #-32]\nvmladava.s16 r6, q0, q1\nvldrh.u16 q2, [r1, #-16]\nvmladava.s16 r8, q0, q2",
    "nop"
);

/// `(weights, column, taps)` to the sum.
#[unsafe(naked)]
unsafe extern "C" fn dot_single8(row: *const i8, column: *const i16, taps: usize) -> i32 {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4, lr}}",
        "movs r4, #0",
        "wlstp.16 lr, r2, 3f",
        "2:",
        "vldrb.s16 q0, [r0], #8",
        "vldrh.u16 q1, [r1], #16",
        "vmladava.s16 r4, q0, q1",
        "letp lr, 2b",
        "3:",
        "mov r0, r4",
        "pop {{r4, pc}}",
    )
}

/// `(from, to, bytes)`.
#[unsafe(naked)]
unsafe extern "C" fn move8(from: *const i8, to: *mut i8, count: usize) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4, lr}}",
        "wlstp.8 lr, r2, 3f",
        "2:",
        "vldrb.u8 q0, [r0], #16",
        "vstrb.8 q0, [r1], #16",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
    )
}

/// `(to, bytes, value)`.
#[unsafe(naked)]
unsafe extern "C" fn fill8(to: *mut i8, count: usize, value: i32) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4, lr}}",
        "vdup.8 q0, r2",
        "wlstp.8 lr, r1, 3f",
        "2:",
        "vstrb.8 q0, [r0], #16",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
    )
}
