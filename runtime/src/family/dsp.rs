//! Cortex-M4, M7, M33: `SMLAD` takes two 16-bit products an instruction.
//!
//! A block holds, for four taps at a time, the words `(t0, t2)` and `(t1, t3)` of every column: `SXTB16` widens a word of four
//! int8 (weights, or activations on their way into a column) into just these pairs. One weight word and two loads of four
//! columns make 16 multiply-accumulates in 13 instructions.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ops::Range;

use super::ending::{frame, leave, shift_left, wide_biases, wide_factor};
use super::fused::{Frame, Storing};
use super::simd32::Scale;
use super::strips::Neighbours;
use super::{
    Addition, COLUMNS, Curve, Elements, Family, Filter, Finish, InputPart, Layout, Line, Normalized, ROW_ALIGN,
    Rescale, Rows, Window, attend, curves, lines, mixes, points, portable, simd32, strips, vectors,
};
use crate::numeric::requant::{Requant, SmallRequant};
use crate::tensor::view::{View, ViewMut};

/// Cortex-M4, M7 and M33 with the DSP instructions: two 16-bit products at once.
pub struct Dsp;

impl Family for Dsp {
    const ATTENDS: bool = true;
    const LINES: bool = true;
    const STRIPS: bool = true;
    const VECTORS: bool = true;
    const FOURS: bool = true;
    const WHOLE: usize = ROW_ALIGN;

    type Neighbours = Neighbours;
    type Scale = Scale;
    type Storing<'a> = Storing<'a>;

    #[inline(always)]
    fn storing<'a>(
        filter: &Filter<'a>,
        layout: &Layout,
        pairs: bool,
        add: Option<&'a Addition<'a>>,
        out: &ViewMut<'_>,
    ) -> Option<Self::Storing<'a>> {
        Storing::new(filter, layout, pairs, add, out)
    }

    #[inline(always)]
    fn store(
        storing: &mut Self::Storing<'_>,
        first: usize,
        columns: &[i16],
        taps: &Range<usize>,
        at: usize,
        out: &mut ViewMut<'_>,
    ) -> usize {
        storing.run(first, columns, taps, at, out)
    }

    #[inline(always)]
    fn store_cut(
        storing: &mut Self::Storing<'_>,
        columns: &[i16],
        cut: [usize; 4],
        at: usize,
        out: &mut ViewMut<'_>,
    ) -> usize {
        storing.run_cut(columns, cut, at, out)
    }

    #[inline(always)]
    fn neighbours(places: [usize; 6], edges: [bool; 2], channels: usize, zero: i32) -> Neighbours {
        Neighbours::new(places, edges, channels, zero)
    }

    #[inline(always)]
    fn six8(from: &[i8], six: &Neighbours, to: &mut [i16]) {
        strips::six8(from, six, to);
    }

    #[inline(always)]
    fn slide(columns: &mut [i16], by: usize) {
        strips::slide(columns, by);
    }

    #[inline(always)]
    fn scale(requant: &SmallRequant, zero: i32) -> Option<Scale> {
        Scale::new(requant, zero)
    }

    #[inline(always)]
    fn points8(from: &[i8], channels: usize, scale: &Scale, to: &mut [i16]) {
        points::points8(from, channels, scale, to);
    }

    #[inline(always)]
    fn rows8(rows: &Rows<'_>, columns: &[i16], block: &Layout, tile: &mut [[i32; COLUMNS]]) {
        rows8(rows, columns, block, tile)
    }

    #[inline(always)]
    fn single8(row: &[i8], column: &[i16]) -> i32 {
        single8(row, column)
    }

    #[inline(always)]
    fn block16(row: &[i16], columns: &[i16], dots: &mut [i64; COLUMNS]) {
        block16(row, columns, dots)
    }

    #[inline(always)]
    fn single16(row: &[i16], column: &[i16]) -> i64 {
        single16(row, column)
    }

    #[inline(always)]
    fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        copy8(from, zero, columns, tap, block, lane)
    }

    #[inline(always)]
    fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        copy16(from, columns, tap, block, lane)
    }

    #[inline(always)]
    fn zeros(count: usize, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        zeros(count, columns, tap, block, lane)
    }

    #[inline(always)]
    fn window8(from: &[i8], window: &Window, zero: i32, columns: &mut [i16], block: &Layout, lane: usize) {
        window8(from, window, zero, columns, block, lane)
    }

    #[inline(always)]
    fn join8(from: &[i8], zero: i32, requant: &SmallRequant, to: &mut [i16]) {
        simd32::join8(from, zero, requant, to)
    }

    #[inline(always)]
    fn join16(from: &[i16], requant: &SmallRequant, to: &mut [i16]) {
        simd32::join16(from, requant, to)
    }

    #[inline(always)]
    fn joined_sums8(data: &[i8], zero: i32, requant: &SmallRequant, channels: usize, sums: &mut [i32]) {
        simd32::joined_sums8(data, zero, requant, channels, sums)
    }

    #[inline(always)]
    fn joined_sums16(data: &[i16], requant: &SmallRequant, channels: usize, sums: &mut [i32]) {
        simd32::joined_sums16(data, requant, channels, sums)
    }

    #[inline(always)]
    fn dot8(a: &[i8], b: &[i8]) -> i32 {
        simd32::dot8(a, b)
    }

    #[inline(always)]
    fn dot16(a: &[i16], b: &[i16]) -> i64 {
        simd32::dot16(a, b)
    }

    #[inline(always)]
    fn weigh8(scores: &[i32], v: &[i8], channels: usize, sums: &mut [i32; 4]) {
        simd32::weigh8(scores, v, channels, sums)
    }

    #[inline(always)]
    fn weigh16(scores: &[i32], v: &[i16], channels: usize, sums: &mut [i32; 4]) {
        simd32::weigh16(scores, v, channels, sums)
    }

    #[inline(always)]
    fn moments8(data: &[i8], channels: usize, first: usize, size: usize) -> (i64, u64) {
        simd32::moments8(data, channels, first, size)
    }

    #[inline(always)]
    fn moments16(data: &[i16], channels: usize, first: usize, size: usize) -> (i64, u64) {
        simd32::moments16(data, channels, first, size)
    }

    #[inline(always)]
    fn normalize(from: Elements<'_>, to: &mut Normalized<'_>, factors: &[i32], finish: &Finish) {
        simd32::normalize(from, to, factors, finish)
    }

    #[inline(always)]
    fn normalizes(finish: &Finish, channels: usize, out: &ViewMut<'_>) -> bool {
        simd32::normalizes(finish, channels, out)
    }

    #[inline(always)]
    fn scores8(q: &[i16], k: &[i8], step: usize, up: u32, factor: &Rescale, scores: &mut [i32]) -> i32 {
        attend::scores8(q, k, step, up, factor, scores)
    }

    #[inline(always)]
    fn powers(scores: &mut [i32], top: i32) -> u32 {
        attend::powers(scores, top)
    }

    #[inline(always)]
    fn shares(powers: &mut [i32], twice: i32) {
        attend::shares(powers, twice)
    }

    #[inline(always)]
    fn weigh_pairs8(pairs: &[i32], v: &[i8], step: usize, sums: &mut [i32; 4]) {
        attend::weigh_pairs8(pairs, v, step, sums)
    }

    #[inline(always)]
    fn line(from: Elements<'_>, to: &mut Normalized<'_>, line: &Line<'_>, finish: &Finish) {
        lines::line(from, to, line, finish)
    }

    #[inline(always)]
    fn normalize_two(
        parts: &[InputPart<'_>; 2],
        range: Range<usize>,
        to: &mut Normalized<'_>,
        factors: &[i32],
        finish: &Finish,
    ) -> bool {
        simd32::normalize_two(parts, range, to, factors, finish)
    }

    #[inline(always)]
    fn vector8(rows: &Rows<'_>, column: &[i16], sums: &mut [i32]) {
        vectors::vector8(rows, column, sums);
    }

    #[inline(always)]
    fn curve(from: &[i16], curve: &Curve<'_>, to: &mut [i32]) -> bool {
        curves::curve(from, curve, to);
        true
    }

    #[inline(always)]
    fn curve_stored(from: Elements<'_>, curve: &Curve<'_>, scale: &Rescale, to: &mut Normalized<'_>) -> bool {
        curves::curve_stored(from, curve, scale, to)
    }

    #[inline(always)]
    fn modulate(t: &[i32], a: &[i32], base: &[i64], shifts: [u32; 2], to: &mut Normalized<'_>) -> bool {
        curves::modulate(t, a, base, shifts, to);
        true
    }

    #[inline(always)]
    fn add_scaled(
        t: &[i32],
        y: View<'_>,
        a: &[i32],
        mult: i32,
        half: i64,
        shifts: [u32; 2],
        to: &mut Normalized<'_>,
    ) -> bool {
        curves::add_scaled(t, y, a, mult, half, shifts, to)
    }

    #[inline(always)]
    fn curve_modulate(
        from: Elements<'_>,
        curve: &Curve<'_>,
        a: &[i32],
        base: &[i64],
        shifts: [u32; 2],
        to: &mut Normalized<'_>,
    ) -> bool {
        mixes::curve_modulate(from, curve, a, base, shifts, to)
    }

    #[inline(always)]
    fn curve_add(
        from: Elements<'_>,
        curve: &Curve<'_>,
        y: View<'_>,
        factors: [i32; 2],
        half: i64,
        shifts: [u32; 2],
        to: &mut Normalized<'_>,
    ) -> bool {
        mixes::curve_add(from, curve, y, factors, half, shifts, to)
    }
}

/// Index of a tap in a block of `lanes` columns.
#[inline(always)]
pub(super) const fn place(tap: usize, lanes: usize, lane: usize) -> usize {
    ((tap >> 2) * lanes + lane) << 2 | (tap & 1) << 1 | (tap >> 1) & 1
}

/// See [`portable::copy8`].
#[inline(never)]
fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let mut done = 0;
    if let Some(to) = groups(columns, tap, from.len(), block.lanes, lane) {
        done = from.len() & !3;
        let zeros = (zero as u32 & 0xFFFF) * 0x1_0001;
        // SAFETY: reads `done` elements of `from`; `groups` says that as many taps can be written.
        unsafe { widen(from.as_ptr(), from.as_ptr().add(done), to, block.lanes * 8, zeros) };
    }
    for (i, &q) in from.iter().enumerate().skip(done) {
        columns[place(tap + i, block.lanes, lane)] = i16::from(q) - zero as i16;
    }
}

/// See [`portable::window8`].
fn window8(from: &[i8], window: &Window, zero: i32, columns: &mut [i16], block: &Layout, lane: usize) {
    let taps = columns.len() / COLUMNS;
    if !(block.lanes == COLUMNS && lane < COLUMNS && window.is_whole(4, from, taps)) {
        return portable::window8(from, window, zero, columns, block, lane);
    }
    let zeros = (zero.wrapping_neg() as u32 & 0xFFFF) * 0x1_0001;
    // SAFETY: `from` has the rows; the block has as many taps, all in whole groups of four.
    unsafe { widen_rows(from.as_ptr(), columns.as_mut_ptr().add(4 * lane), window, zeros) };
}

/// `(elements, first group, window, minus the zero point twice)`: whole groups of four into one column of a block.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn widen_rows(from: *const i8, to: *mut i16, window: &Window, zeros: u32) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r11, lr}}",
        "mov r12, r3",
        "ldmia r2, {{r2-r8}}",
        "sub r7, r5",
        "movs r10, #0",
        "movs r11, #0",
        "cbz r2, 3f",
        "2:",
        "strd r10, r11, [r1], #32",
        "subs r2, #4",
        "bne 2b",
        "3:",
        "movs r2, r4",
        "beq 5f",
        "movs r10, #0",
        "movs r11, #0",
        "4:",
        "strd r10, r11, [r1], #32",
        "subs r2, #4",
        "bne 4b",
        "5:",
        "lsls r2, r5, #29",
        "mov r2, r5",
        "bpl 6f",
        "ldr lr, [r0], #4",
        "sxtab16 r10, r12, lr",
        "sxtab16 r11, r12, lr, ror #8",
        "subs r2, #4",
        "strd r10, r11, [r1], #32",
        "beq 7f",
        "6:",
        "ldr r9, [r0], #4",
        "ldr lr, [r0], #4",
        "sxtab16 r10, r12, r9",
        "sxtab16 r11, r12, r9, ror #8",
        "strd r10, r11, [r1], #32",
        "sxtab16 r10, r12, lr",
        "sxtab16 r11, r12, lr, ror #8",
        "subs r2, #8",
        "strd r10, r11, [r1], #32",
        "bne 6b",
        "7:",
        "movs r10, #0",
        "movs r11, #0",
        "movs r2, r6",
        "beq 9f",
        "8:",
        "strd r10, r11, [r1], #32",
        "subs r2, #4",
        "bne 8b",
        "9:",
        "subs r3, #1",
        "add r0, r7",
        "bne 3b",
        "movs r2, r8",
        "beq 11f",
        "10:",
        "strd r10, r11, [r1], #32",
        "subs r2, #4",
        "bne 10b",
        "11:",
        "pop {{r4-r11, pc}}",
    )
}

/// See [`portable::copy16`].
#[inline(never)]
fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let mut done = 0;
    if let Some(to) = groups(columns, tap, from.len(), block.lanes, lane) {
        done = from.len() & !3;
        // SAFETY: as in `copy8`.
        unsafe { pair(from.as_ptr(), from.as_ptr().add(done), to, block.lanes * 8) };
    }
    for (i, &q) in from.iter().enumerate().skip(done) {
        columns[place(tap + i, block.lanes, lane)] = q;
    }
}

/// See [`portable::zeros`].
#[inline(never)]
fn zeros(count: usize, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let mut done = 0;
    if let Some(to) = groups(columns, tap, count, block.lanes, lane) {
        done = count & !3;
        // SAFETY: `groups` says that so many taps can be written.
        unsafe { clear(done, to, block.lanes * 8) };
    }
    for tap in tap + done..tap + count {
        columns[place(tap, block.lanes, lane)] = 0;
    }
}

/// The first group of column `lane` from `tap` on, if `count` taps from there are in the block and make whole groups of four.
#[inline(always)]
fn groups(columns: &mut [i16], tap: usize, count: usize, lanes: usize, lane: usize) -> Option<*mut i16> {
    let whole = tap.is_multiple_of(4) && count >= 4 && lane < lanes && (tap + count) * lanes <= columns.len();
    whole.then(|| columns[tap * lanes + 4 * lane..].as_mut_ptr())
}

/// See [`portable::rows8`].
fn rows8(rows: &Rows<'_>, columns: &[i16], _block: &Layout, tile: &mut [[i32; COLUMNS]]) {
    let count = tile.len();
    let whole = rows.row > 0 && rows.row.is_multiple_of(4) && columns.len() >= rows.row * COLUMNS;
    let tables =
        rows.weights.len() == count * rows.row && rows.bias.len().min(rows.mult.len()).min(rows.shift.len()) == count;
    assert!(whole && tables);
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
        };
        // SAFETY: `left` rows of whole words, as many biases, factors and places, and a block with as many taps.
        let left = unsafe { dot_rows8(rows.weights[done * rows.row..].as_ptr(), &job) };
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

/// What [`dot_rows8`] copies to its frame, in this order.
#[repr(C)]
struct Tile {
    columns: *const i16,
    bias: *const i32,
    mult: *const i32,
    shift: *const u8,
    tile: *mut [i32; COLUMNS],
    row: usize,
    left: usize,
}

/// Dot product of an int8 row with a single column.
#[inline]
fn single8(row: &[i8], column: &[i16]) -> i32 {
    assert!(row.len().is_multiple_of(4) && column.len() >= row.len());
    let range = row.as_ptr_range();
    // SAFETY: the row is whole words, and the column has as many taps.
    unsafe { dot_single8(range.start, column.as_ptr(), range.end) }
}

/// Dot products of an int16 row with the columns of a block.
#[inline]
fn block16(row: &[i16], columns: &[i16], dots: &mut [i64; COLUMNS]) {
    assert!(row.len().is_multiple_of(4) && columns.len() >= row.len() * COLUMNS);
    let range = row.as_ptr_range();
    for half in [0, 2] {
        // SAFETY: the row is whole pairs of words, and the block has as many taps; a call reads two columns of it.
        unsafe {
            dot_pair16(
                range.start,
                columns.as_ptr().add(4 * half),
                range.end,
                dots.as_mut_ptr().add(half),
            )
        };
    }
}

/// Dot product of an int16 row with a single column.
#[inline]
fn single16(row: &[i16], column: &[i16]) -> i64 {
    (0..row.len())
        .map(|tap| i64::from(i32::from(row[tap]) * i32::from(column[place(tap, 1, 0)])))
        .sum()
}

/// Four taps of a row, in `$word`, times four columns: r1 block, r3..r6 sums, r7..r10 elements, r12 a pair of weights.
macro_rules! pairs {
    ($word:literal) => {
        concat!(
            "sxtb16 r12, ",
            $word,
            "\n",
            "ldmia r1!, {{r7-r10}}\n",
            "sxtb16 ",
            $word,
            ", ",
            $word,
            ", ror #8\n",
            "smlad r3, r12, r7, r3\n",
            "smlad r4, r12, r9, r4\n",
            "smlad r3, ",
            $word,
            ", r8, r3\n",
            "smlad r4, ",
            $word,
            ", r10, r4\n",
            "ldmia r1!, {{r7-r10}}\n",
            "smlad r5, r12, r7, r5\n",
            "smlad r6, r12, r9, r6\n",
            "smlad r5, ",
            $word,
            ", r8, r5\n",
            "smlad r6, ",
            $word,
            ", r10, r6\n",
        )
    };
}

/// `(weights, tile)` to the rows left: 0, or at one whose accumulators, in place of its outputs, must be scaled another way.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn dot_rows8(weights: *const i8, tile: &Tile) -> usize {
    // r0 weights, r1 block, r2 end of the row, r3..r6 sums, r7..r10 elements, r11 and lr weights, r12 a pair of them.
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r11, lr}}",
        "ldmia r1, {{r2-r8}}",
        "sub sp, #28",
        "stmia sp, {{r2-r8}}",
        "2:",
        "ldrd r1, r7, [sp]",
        "ldr r12, [sp, #20]",
        "ldr r3, [r7], #4",
        "add r2, r0, r12",
        "str r7, [sp, #4]",
        "mov r4, r3",
        "mov r5, r3",
        "mov r6, r3",
        "lsls r12, r12, #29",
        "bpl 3f",
        // One word of weights alone, where their number is odd.
        "ldr r11, [r0], #4",
        pairs!("r11"),
        "cmp r0, r2",
        "beq 4f",
        "3:",
        "ldrd r11, lr, [r0], #8",
        pairs!("r11"),
        pairs!("lr"),
        "cmp r0, r2",
        "bne 3b",
        "4:",
        // The factor: up = max(33 - shift, 0), then the high word of (sum << up) * mult, rounded, shifted by shift + up - 32.
        "ldrd r7, r8, [sp, #8]",
        "ldr r9, [r7], #4",
        "ldrb r10, [r8], #1",
        "strd r7, r8, [sp, #8]",
        "rsb r10, r10, #33",
        "usat r11, #5, r10",
        "ldr r12, [sp, #16]",
        "cmp r11, #0",
        "beq 5f",
        "eor r7, r3, r3, asr #31",
        "eor r8, r4, r4, asr #31",
        "orr r7, r7, r8",
        "eor r8, r5, r5, asr #31",
        "orr r7, r7, r8",
        "eor r8, r6, r6, asr #31",
        "orr r7, r7, r8",
        "rsbs r8, r11, #31",
        "beq 6f",
        "lsrs r7, r7, r8",
        "bne 6f",
        "lsl r3, r3, r11",
        "lsl r4, r4, r11",
        "lsl r5, r5, r11",
        "lsl r6, r6, r11",
        "5:",
        "sub r11, r11, r10",
        "movs r8, #1",
        "add r10, r11, #1",
        "lsl r8, r8, r11",
        "smmla r3, r3, r9, r8",
        "smmla r4, r4, r9, r8",
        "smmla r5, r5, r9, r8",
        "smmla r6, r6, r9, r8",
        "asr r3, r3, r10",
        "asr r4, r4, r10",
        "asr r5, r5, r10",
        "asr r6, r6, r10",
        "stmia r12!, {{r3-r6}}",
        "ldr r7, [sp, #24]",
        "str r12, [sp, #16]",
        "subs r7, #1",
        "str r7, [sp, #24]",
        "bne 2b",
        "movs r0, #0",
        "add sp, #28",
        "pop {{r4-r11, pc}}",
        "6:",
        "stmia r12, {{r3-r6}}",
        "ldr r0, [sp, #24]",
        "add sp, #28",
        "pop {{r4-r11, pc}}",
    )
}

/// `(weights, column, end of the weights)` to the sum.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn dot_single8(row: *const i8, column: *const i16, end: *const i8) -> i32 {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r6, lr}}",
        "movs r6, #0",
        "cmp r0, r2",
        "beq 3f",
        "2:",
        "ldr r3, [r0], #4",
        "ldmia r1!, {{r4-r5}}",
        "sxtb16 r12, r3",
        "smlad r6, r12, r4, r6",
        "sxtb16 r12, r3, ror #8",
        "smlad r6, r12, r5, r6",
        "cmp r0, r2",
        "bne 2b",
        "3:",
        "mov r0, r6",
        "pop {{r4-r6, pc}}",
    )
}

/// `(weights, the first of two columns in a block, end of the weights, two sums)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn dot_pair16(row: *const i16, columns: *const i16, end: *const i16, dots: *mut i64) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r3-r11, lr}}",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "movs r7, #0",
        "cmp r0, r2",
        "beq 3f",
        "2:",
        "ldrd r8, r9, [r0], #8",
        "ldrd r10, r11, [r1]",
        "pkhbt r12, r8, r9, lsl #16",
        "pkhtb r3, r9, r8, asr #16",
        "smlald r4, r5, r12, r10",
        "smlald r4, r5, r3, r11",
        "ldrd r10, r11, [r1, #8]",
        "adds r1, #32",
        "smlald r6, r7, r12, r10",
        "smlald r6, r7, r3, r11",
        "cmp r0, r2",
        "bne 2b",
        "3:",
        "ldr r0, [sp], #4",
        "stmia r0!, {{r4-r7}}",
        "pop {{r4-r11, pc}}",
    )
}

/// `(elements, their end, first group, bytes from a group to the next of its column, zero point twice)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn widen(from: *const i8, end: *const i8, to: *mut i16, step: usize, zeros: u32) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r6, lr}}",
        "ldr r4, [sp, #16]",
        "2:",
        "ldr r5, [r0], #4",
        "sxtb16 r6, r5",
        "sxtb16 r5, r5, ror #8",
        "ssub16 r6, r6, r4",
        "ssub16 r5, r5, r4",
        "cmp r0, r1",
        "strd r6, r5, [r2]",
        "add r2, r3",
        "bne 2b",
        "pop {{r4-r6, pc}}",
    )
}

/// As [`widen`], from int16.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn pair(from: *const i16, end: *const i16, to: *mut i16, step: usize) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r6, lr}}",
        "2:",
        "ldr r4, [r0], #4",
        "ldr r5, [r0], #4",
        "cmp r0, r1",
        "pkhbt r6, r4, r5, lsl #16",
        "pkhtb r5, r5, r4, asr #16",
        "strd r6, r5, [r2]",
        "add r2, r3",
        "bne 2b",
        "pop {{r4-r6, pc}}",
    )
}

/// `(taps, first group, bytes from a group to the next of its column)`.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn clear(taps: usize, to: *mut i16, step: usize) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "movs r3, #0",
        "2:",
        "strd r3, r3, [r1]",
        "add r1, r2",
        "subs r0, #4",
        "bne 2b",
        "bx lr",
    )
}

/// From four sums in r3 to r6 to their ending, with their row's factor.
macro_rules! factor_rows8 {
    () => {
        concat!(
            "4:\n",
            "ldrd r7, r8, [sp, #8]\n",
            "ldr r9, [r7], #4\n",
            "ldrb r11, [r8], #1\n",
            "strd r7, r8, [sp, #8]\n",
            "sub r11, #33\n",
            "cmp r11, #20\n",
            "bhi 6f\n",
            "5:\n",
            "ldr r8, [sp, #24]\n",
            "add r10, r11, #1\n",
            "lsl r8, r8, r11\n",
            "smmla r3, r3, r9, r8\n",
            "smmla r4, r4, r9, r8\n",
            "smmla r5, r5, r9, r8\n",
            "smmla r6, r6, r9, r8\n",
            "asr r3, r3, r10\n",
            "asr r4, r4, r10\n",
            "asr r5, r5, r10\n",
            "asr r6, r6, r10\n",
            "ldr pc, [sp, #76]\n",
            // A left shift first. Where it saturates, so does the output, unless a term is added.
            "6:\n",
            "ldr r7, [sp, #40]\n",
            "rsbs r11, r11, #0\n",
            "bmi 9f\n",
            "cbnz r7, 8f\n",
            "7:\n",
            "subs r11, #1\n",
            "qadd r3, r3, r3\n",
            "qadd r4, r4, r4\n",
            "qadd r5, r5, r5\n",
            "qadd r6, r6, r6\n",
            "bne 7b\n",
            "b 5b\n",
            "8:\n",
            shift_left!(),
            "b 5b\n",
            "9:\n",
            leave!(),
        )
    };
}

/// Rows of int8 weights from dot products to stored outputs.
///
/// # Safety
/// `weights` and the pointers in `job` are good for the rows, columns, factors and outputs that the job counts.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn store_rows8(weights: *const u8, job: &mut Frame) -> *const u8 {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        frame!(),
        "2:",
        "ldr lr, [sp, #68]",
        "add r0, lr",
        "ldrd r1, r7, [sp]",
        "ldr r12, [sp, #28]",
        "ldr r3, [r7], #4",
        "add r2, r0, r12",
        "str r7, [sp, #4]",
        "mov r4, r3",
        "mov r5, r3",
        "mov r6, r3",
        // One word of weights, two, and four at a time.
        "lsls r12, r12, #29",
        "bpl 3f",
        "ldr r11, [r0], #4",
        pairs!("r11"),
        "3:",
        "bcc 10f",
        "ldrd r11, lr, [r0], #8",
        pairs!("r11"),
        pairs!("lr"),
        "10:",
        "cmp r0, r2",
        "beq 4f",
        "11:",
        "ldrd r11, lr, [r0], #8",
        pairs!("r11"),
        pairs!("lr"),
        "ldrd r11, lr, [r0], #8",
        pairs!("r11"),
        pairs!("lr"),
        "cmp r0, r2",
        "bne 11b",
        factor_rows8!(),
    )
}

/// As [`store_rows8`] of whole rows of which some weights meet zeros: so many groups of 16 as the frame's gap has in its bytes. The first
/// do in the first two columns, the next in the first, the last in the last one and the last two.
///
/// # Safety
/// `weights` and the pointers in `job` are good for the rows, columns, factors and outputs that the job counts.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn store_cut_rows8(weights: *const u8, job: &mut Frame) -> *const u8 {
    /// Four taps of a row, in `$word`, times two columns, whose sums are named.
    macro_rules! two {
        ($word:literal, $a:literal, $b:literal) => {
            concat!(
                "sxtb16 r12, ",
                $word,
                "\n",
                "ldmia r1!, {{r7-r10}}\n",
                "sxtb16 ",
                $word,
                ", ",
                $word,
                ", ror #8\n",
                "smlad ",
                $a,
                ", r12, r7, ",
                $a,
                "\n",
                "smlad ",
                $b,
                ", r12, r9, ",
                $b,
                "\n",
                "smlad ",
                $a,
                ", ",
                $word,
                ", r8, ",
                $a,
                "\n",
                "smlad ",
                $b,
                ", ",
                $word,
                ", r10, ",
                $b,
                "\n",
            )
        };
    }
    /// Sixteen taps, a word at a time by `$taps`.
    macro_rules! sixteen {
        ($taps:ident) => {
            concat!(
                "ldrd r11, lr, [r0], #8\n",
                $taps!("r11"),
                $taps!("lr"),
                "ldrd r11, lr, [r0], #8\n",
                $taps!("r11"),
                $taps!("lr"),
                "cmp r0, r2\n",
            )
        };
    }
    macro_rules! last_two {
        ($word:literal) => {
            concat!(two!($word, "r5", "r6"), "adds r1, #16\n")
        };
    }
    macro_rules! first_two {
        ($word:literal) => {
            concat!(two!($word, "r3", "r4"), "adds r1, #16\n")
        };
    }
    /// Times a third column.
    macro_rules! third {
        ($word:literal, $c:literal) => {
            concat!(
                "ldrd r7, r8, [r1], #16\n",
                "smlad ",
                $c,
                ", r12, r7, ",
                $c,
                "\n",
                "smlad ",
                $c,
                ", ",
                $word,
                ", r8, ",
                $c,
                "\n",
            )
        };
    }
    macro_rules! last_three {
        ($word:literal) => {
            concat!(two!($word, "r4", "r5"), third!($word, "r6"))
        };
    }
    macro_rules! first_three {
        ($word:literal) => {
            concat!(two!($word, "r3", "r4"), third!($word, "r5"))
        };
    }
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        frame!(),
        "2:",
        "ldrd r1, r7, [sp]",
        "ldr r12, [sp, #28]",
        "ldr r3, [r7], #4",
        "add r2, r0, r12",
        "ldrb r12, [sp, #68]",
        "str r7, [sp, #4]",
        "str r2, [sp, #84]",
        "mov r4, r3",
        "mov r5, r3",
        "mov r6, r3",
        "lsls r12, r12, #4",
        "beq 13f",
        "add r2, r0, r12",
        "adds r1, #16",
        "12:",
        sixteen!(last_two),
        "bne 12b",
        "subs r1, #16",
        "13:",
        "ldrb r12, [sp, #69]",
        "lsls r12, r12, #4",
        "beq 16f",
        "add r2, r0, r12",
        "adds r1, #8",
        "15:",
        sixteen!(last_three),
        "bne 15b",
        "subs r1, #8",
        "16:",
        "ldr r2, [sp, #84]",
        "ldrb r11, [sp, #70]",
        "ldrb r12, [sp, #71]",
        "add r12, r12, r11",
        "sub r2, r2, r12, lsl #4",
        "17:",
        sixteen!(pairs),
        "bne 17b",
        "ldrb r12, [sp, #70]",
        "lsls r12, r12, #4",
        "beq 18f",
        "add r2, r0, r12",
        "19:",
        sixteen!(first_three),
        "bne 19b",
        "18:",
        "ldrb r12, [sp, #71]",
        "lsls r12, r12, #4",
        "beq 4f",
        "add r2, r0, r12",
        "14:",
        sixteen!(first_two),
        "bne 14b",
        factor_rows8!(),
    )
}

/// As [`store_rows8`], of int16 weights.
///
/// # Safety
/// `weights` and the pointers in `job` are good for the rows, columns, factors and outputs that the job counts.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn store_rows16(weights: *const u8, job: &mut Frame) -> *const u8 {
    // r0 weights, r1 block, r2 element, r3 and r12 pairs of weights, r4..r11 sums, lr end of the row.
    macro_rules! column {
        ($low:literal, $high:literal) => {
            concat!(
                "ldr r2, [r1], #4\n",
                "smlald ",
                $low,
                ", ",
                $high,
                ", r12, r2\n",
                "ldr r2, [r1], #4\n",
                "smlald ",
                $low,
                ", ",
                $high,
                ", r3, r2\n",
            )
        };
    }
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        frame!(),
        "2:",
        "ldr lr, [sp, #68]",
        "add r0, lr",
        wide_biases!(),
        "3:",
        "ldrd r12, r2, [r0], #8",
        "pkhtb r3, r2, r12, asr #16",
        "pkhbt r12, r12, r2, lsl #16",
        column!("r4", "r5"),
        column!("r6", "r7"),
        column!("r8", "r9"),
        column!("r10", "r11"),
        "cmp r0, lr",
        "bne 3b",
        wide_factor!(),
        "ldr pc, [sp, #76]",
        "9:",
        leave!(),
    )
}
