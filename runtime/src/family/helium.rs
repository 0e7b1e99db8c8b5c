//! Cortex-M55 and M85: sixteen int8 products, or eight of int16, an instruction (MVE), in loops that the hardware counts and
//! whose last pass it predicates. What is not convolution is `simd32`'s.
//!
//! A block holds a vector of taps of every column, then the next vector of every column. Columns of an int8 input hold it as
//! it is stored: the zero point leaves with the sums of the weights, in biases that lie behind the columns.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ops::Range;

use super::ending::{frame, leave, wide_biases, wide_factor};
use super::fused::{Frame, Storing};
use super::{
    Addition, COLUMNS, Elements, Family, Filter, Finish, InputPart, Layout, Line, Normalized, Rescale, Rows, Window,
    attend, lines, portable, simd32,
};
use crate::numeric::requant::{Requant, SmallRequant};
use crate::tensor::view::ViewMut;

/// Cortex-M52, M55 and M85: vectors of eight 16-bit numbers.
pub struct Helium;

impl Family for Helium {
    const ATTENDS: bool = true;
    const LINES: bool = true;
    const WHOLE: usize = 0;

    type Neighbours = ();
    type Scale = ();
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
    fn begin8(rows: &Rows<'_>, columns: &mut [i16], block: &Layout) {
        begin8(rows, columns, block);
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
}

/// Index of a tap in a block of `lanes` columns, in elements, with `wide` of them in a vector.
#[inline(always)]
const fn spot(tap: usize, lanes: usize, lane: usize, wide: usize) -> usize {
    if lanes == 1 {
        return tap;
    }
    tap / wide * wide * lanes + lane * wide + tap % wide
}

/// Index of a tap in a block of int16.
#[inline(always)]
pub(super) const fn place(tap: usize, lanes: usize, lane: usize) -> usize {
    spot(tap, lanes, lane, 8)
}

/// Where `count` elements of `wide` to a vector go from `tap` on: the place of the first, how many of them come before the next
/// vector, and the place there. `None` where the block has no room.
#[inline(always)]
fn split(
    tap: usize,
    count: usize,
    block: &Layout,
    lane: usize,
    wide: usize,
    room: usize,
) -> Option<(usize, usize, usize)> {
    let head = if block.lanes == 1 {
        count
    } else {
        (wide - tap % wide).min(count)
    };
    let place = |tap| spot(tap, block.lanes, lane, wide);
    let last = place(tap + count.checked_sub(1)?);
    (last < room && lane < block.lanes).then(|| (place(tap), head, place(tap + head)))
}

/// See [`super::portable::copy8`].
#[inline(never)]
fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    if block.bytes.is_none() {
        let Some((at, head, next)) = split(tap, from.len(), block, lane, 8, columns.len()) else {
            return;
        };
        let to = columns.as_mut_ptr();
        // SAFETY: `split` found room for every element; the first `head` of them lie together, then every 8.
        unsafe {
            widen(from.as_ptr(), to.add(at), head, 16, zero);
            widen(
                from.as_ptr().add(head),
                to.wrapping_add(next),
                from.len() - head,
                16 * block.lanes,
                zero,
            );
        }
        return;
    }
    let Some((at, head, next)) = split(tap, from.len(), block, lane, 16, 2 * columns.len()) else {
        return;
    };
    let to: *mut i8 = columns.as_mut_ptr().cast();
    // SAFETY: `split` found room for every element; the first `head` of them lie together, then every 16.
    unsafe {
        spread(from.as_ptr(), to.add(at), head, 16);
        spread(
            from.as_ptr().add(head),
            to.wrapping_add(next),
            from.len() - head,
            16 * block.lanes,
        );
    }
}

/// See [`super::portable::window8`].
fn window8(from: &[i8], window: &Window, zero: i32, columns: &mut [i16], block: &Layout, lane: usize) {
    let taps = 2 * columns.len() / COLUMNS;
    let bytes = block.bytes.is_some() && block.lanes == COLUMNS && lane < COLUMNS;
    if !(bytes && window.is_whole(16, from, taps)) {
        return portable::window8(from, window, zero, columns, block, lane);
    }
    // SAFETY: `from` has the rows; the block has as many taps, all in whole vectors.
    unsafe {
        let to = columns.as_mut_ptr().cast::<i8>().add(16 * lane);
        spread_rows(from.as_ptr(), to, window, zero);
    }
}

/// `(from, to, window, zero point)`: into one column of a block.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn spread_rows(from: *const i8, to: *mut i8, window: &Window, zero: i32) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r8, lr}}",
        "vdup.8 q1, r3",
        "ldmia r2, {{r2-r8}}",
        "subs r7, r7, r5",
        "wlstp.8 lr, r2, 3f",
        "2:",
        "vstrb.8 q1, [r1], #64",
        "letp lr, 2b",
        "3:",
        "wlstp.8 lr, r4, 5f",
        "4:",
        "vstrb.8 q1, [r1], #64",
        "letp lr, 4b",
        "5:",
        "dlstp.8 lr, r5",
        "6:",
        "vldrb.u8 q0, [r0], #16",
        "vstrb.8 q0, [r1], #64",
        "letp lr, 6b",
        "wlstp.8 lr, r6, 8f",
        "7:",
        "vstrb.8 q1, [r1], #64",
        "letp lr, 7b",
        "8:",
        "add r0, r7",
        "subs r3, #1",
        "bne 3b",
        "wlstp.8 lr, r8, 10f",
        "9:",
        "vstrb.8 q1, [r1], #64",
        "letp lr, 9b",
        "10:",
        "pop {{r4-r8, pc}}",
    )
}

/// See [`super::portable::copy16`].
#[inline(never)]
fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let Some((at, head, next)) = split(tap, from.len(), block, lane, 8, columns.len()) else {
        return;
    };
    let (from, count, to) = (from.as_ptr(), from.len(), columns.as_mut_ptr());
    // SAFETY: as in `copy8`, eight to a vector.
    unsafe {
        spread(from.cast(), to.add(at).cast(), 2 * head, 16);
        spread(
            from.add(head).cast(),
            to.wrapping_add(next).cast(),
            2 * (count - head),
            16 * block.lanes,
        );
    }
}

/// See [`super::portable::zeros`].
#[inline(never)]
fn zeros(count: usize, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let (wide, size, value) = match block.bytes {
        Some(zero) => (16, 1, zero),
        None => (8, 2, 0),
    };
    let Some((at, head, next)) = split(tap, count, block, lane, wide, columns.len() * 2 / size) else {
        return;
    };
    let to: *mut i8 = columns.as_mut_ptr().cast();
    // SAFETY: as in `copy8`; the bytes of an int16 zero are zeros.
    unsafe {
        fill(to.add(at * size), head * size, value, 16);
        fill(to.add(next * size), (count - head) * size, value, 16 * block.lanes);
    }
}

/// Elements of scratch memory that columns of bytes take; biases lie behind them.
fn bytes_end(block: &Layout) -> usize {
    block.taps.next_multiple_of(16) * COLUMNS / 2
}

/// Writes every row's bias less its zero point's part, for columns of bytes.
fn begin8(rows: &Rows<'_>, columns: &mut [i16], block: &Layout) {
    let Some(zero) = block.bytes else { return };
    let places = columns[bytes_end(block)..].as_chunks_mut::<2>().0;
    let rows = rows.weights.chunks_exact(rows.row).zip(rows.bias);
    for (place, (weights, bias)) in places.iter_mut().zip(rows) {
        let weights = &weights[..block.taps];
        // SAFETY: there are as many weights.
        let sum = unsafe { sum_row(weights.as_ptr(), weights.len()) };
        *place = bytemuck::cast(bias.wrapping_sub(zero.wrapping_mul(sum)));
    }
}

/// `(weights, count)` to their sum.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn sum_row(weights: *const i8, count: usize) -> i32 {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4, lr}}",
        "movs r2, #0",
        "wlstp.8 lr, r1, 3f",
        "2:",
        "vldrb.u8 q0, [r0], #16",
        "vaddva.s8 r2, q0",
        "letp lr, 2b",
        "3:",
        "mov r0, r2",
        "pop {{r4, pc}}",
    )
}

/// See [`super::portable::rows8`].
fn rows8(rows: &Rows<'_>, columns: &[i16], block: &Layout, tile: &mut [[i32; COLUMNS]]) {
    let count = tile.len();
    let tables =
        rows.weights.len() == count * rows.row && rows.bias.len().min(rows.mult.len()).min(rows.shift.len()) == count;
    let vectors = block.taps.div_ceil(if block.bytes.is_some() { 16 } else { 8 }) * COLUMNS;
    let end = bytes_end(block) + 2 * rows.first;
    let room = vectors * 16 <= size_of_val(columns) && (block.bytes.is_none() || end + 2 * count <= columns.len());
    assert!(tables && room && block.taps > 0 && block.taps <= rows.row);
    let mut done = 0;
    while done < count {
        let bias: *const i32 = match block.bytes {
            Some(_) => columns[end + 2 * done..].as_ptr().cast(),
            None => rows.bias[done..].as_ptr(),
        };
        let job = Tile {
            columns: columns.as_ptr(),
            row: rows.row,
            taps: block.taps,
            end: tile.as_ptr_range().end,
            bias,
            mult: rows.mult[done..].as_ptr(),
            shift: rows.shift[done..].as_ptr(),
            tile: tile[done..].as_mut_ptr(),
        };
        let weights = rows.weights[done * rows.row..].as_ptr();
        // SAFETY: rows of `taps` weights up to the tile's end, as many biases and factors, and a block of as many taps.
        let stopped = unsafe {
            match block.bytes {
                Some(_) => dot_rows_bytes(weights, &job),
                None => dot_rows_words(weights, &job),
            }
        };
        done = count - (tile.as_ptr_range().end as usize - stopped as usize) / size_of::<[i32; COLUMNS]>();
        if done < count {
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
fn single8(row: &[i8], column: &[i16]) -> i32 {
    let count = row.len().min(column.len());
    // SAFETY: both have `count` elements.
    unsafe { dot_single8(row.as_ptr(), column.as_ptr(), count) }
}

/// Dot products of an int16 row with the columns of a block.
#[inline]
fn block16(row: &[i16], columns: &[i16], dots: &mut [i64; COLUMNS]) {
    for (lane, dot) in dots.iter_mut().enumerate() {
        let mut sum = 0;
        for (vector, weights) in row.chunks(8).enumerate() {
            let at = (vector * COLUMNS + lane) * 8;
            sum += simd32::dot16(weights, &columns[at..at + weights.len()]);
        }
        *dot = sum;
    }
}

/// Dot product of an int16 row with a single column.
#[inline]
fn single16(row: &[i16], column: &[i16]) -> i64 {
    simd32::dot16(row, column)
}

/// What the kernels copy to their frame and their registers, in this order.
#[repr(C)]
struct Tile {
    columns: *const i16,
    row: usize,
    taps: usize,
    end: *const [i32; COLUMNS],
    bias: *const i32,
    mult: *const i32,
    shift: *const u8,
    tile: *mut [i32; COLUMNS],
}

/// `(weights, tile)` to where it stopped: the tile's end, or a row whose accumulators, in place of its outputs, must be scaled
/// another way.
macro_rules! rows {
    ($name:ident, $start:literal, $pass:literal) => {
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(weights: *const i8, tile: &Tile) -> *const [i32; COLUMNS] {
            // r0 weights, r1 block, r2 r4 r6 r8 sums, r3 taps; r5 the row, r7 biases, r9 multipliers, r11 shifts, r12 tile.
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r11, lr}}",
                "ldmia r1!, {{r2-r5}}",
                "sub sp, #20",
                "stmia sp, {{r2-r5}}",
                "ldrd r7, r9, [r1]",
                "ldrd r11, r12, [r1, #8]",
                "2:",
                "ldr r1, [sp]",
                "ldr r3, [sp, #8]",
                "mov r5, r0",
                "movs r2, #0",
                "movs r4, #0",
                "movs r6, #0",
                "mov r8, #0",
                $start,
                "3:",
                $pass,
                "letp lr, 3b",
                "ldr r1, [sp, #4]",
                "stmia r12, {{r2, r4, r6, r8}}",
                "ldr r3, [r7], #4",
                "ldrb r10, [r11], #1",
                "add r0, r5, r1",
                "vldrw.32 q0, [r12]",
                "rsb r10, r10, #33",
                "ldr r2, [r9], #4",
                "usat r1, #5, r10",
                "vadd.i32 q0, q0, r3",
                "cmp r1, #0",
                "beq 5f",
                "movs r4, #0",
                "vmaxav.s32 r4, q0",
                "rsbs r3, r1, #31",
                "beq 6f",
                "lsrs r4, r4, r3",
                "bne 6f",
                "vshl.s32 q0, r1",
                "5:",
                "sub r1, r1, r10",
                "movs r3, #1",
                "vdup.32 q1, r2",
                "mvn r4, r1",
                "lsl r3, r3, r1",
                "vmulh.s32 q0, q0, q1",
                "ldr r2, [sp, #12]",
                "vadd.i32 q0, q0, r3",
                "vshl.s32 q0, r4",
                "vstrw.32 q0, [r12], #16",
                "cmp r12, r2",
                "bne 2b",
                "7:",
                "mov r0, r12",
                "add sp, #20",
                "pop {{r4-r11, pc}}",
                "6:",
                "vstrw.32 q0, [r12]",
                "b 7b",
            )
        }
    };
}

rows!(
    dot_rows_bytes,
    "dlstp.8 lr, r3",
    "vldrb.u8 q0, [r0], #16\nvldrb.u8 q1, [r1], #64\nvmladava.s8 r2, q0, q1\nvldrb.u8 q2, [r1, #-48]\n\
     vmladava.s8 r4, q0, q2\nvldrb.u8 q1, [r1, #-32]\nvmladava.s8 r6, q0, q1\nvldrb.u8 q2, [r1, #-16]\nvmladava.s8 r8, q0, q2"
);
rows!(
    dot_rows_words,
    "dlstp.16 lr, r3",
    "vldrb.s16 q0, [r0], #8\nvldrh.u16 q1, [r1], #64\nvmladava.s16 r2, q0, q1\nvldrh.u16 q2, [r1, #-48]\n\
     vmladava.s16 r4, q0, q2\nvldrh.u16 q1, [r1, #-32]\nvmladava.s16 r6, q0, q1\nvldrh.u16 q2, [r1, #-16]\nvmladava.s16 r8, q0, q2"
);

/// Rows of int8 weights from dot products to stored outputs: `SQDMULH` takes a factor's bit more than its high word, so that a
/// shift of 32 needs no left shift, and `VRSHL` rounds.
macro_rules! storing_rows {
    ($name:ident, $start:literal, $pass:literal) => {
        /// # Safety
        /// `weights` and the pointers in `job` are good for the rows, columns, factors and outputs that the job counts.
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(weights: *const u8, job: &mut Frame) -> *const u8 {
            // r0 weights, r1 block, r2 r4 r6 r8 sums, r3 taps; r5 the row, r7 biases, r9 multipliers, r11 shifts, r12 output.
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                frame!(),
                "ldrd r7, r9, [sp, #4]",
                "ldrd r11, r12, [sp, #12]",
                "movs r2, #0",
                "ldr r3, [sp, #20]",
                "vidup.u32 q3, r2, #1",
                "vmul.i32 q3, q3, r3",
                "2:",
                "ldr r1, [sp]",
                "ldr r3, [sp, #28]",
                "ldr r2, [r7], #4",
                "mov r5, r0",
                "mov r4, r2",
                "mov r6, r2",
                "mov r8, r2",
                $start,
                "3:",
                $pass,
                "letp lr, 3b",
                "ldrb r10, [r11], #1",
                "vmov q0[2], q0[0], r2, r6",
                "ldr r1, [r9], #4",
                "vmov q0[3], q0[1], r4, r8",
                "rsbs r10, r10, #31",
                "add r0, r5, r3",
                "bpl 6f",
                "5:",
                "vqdmulh.s32 q0, q0, r1",
                "ldr r2, [sp, #40]",
                "ldr r3, [sp, #68]",
                "vrshl.s32 q0, r10",
                "cbnz r2, 8f",
                "7:",
                "asrs r3, r3, #4",
                "ldr r1, [sp, #36]",
                "vadd.i32 q0, q0, r3",
                "cbnz r1, 10f",
                "vqmovnb.s32 q0, q0",
                "vqmovnb.s16 q0, q0",
                "vstrb.32 q0, [r12, q3]",
                "add r12, #1",
                "4:",
                "ldr r1, [sp, #32]",
                "cmp r0, r1",
                "bne 2b",
                "movs r0, #0",
                "9:",
                leave!(),
                "10:",
                "vqmovnb.s32 q0, q0",
                "vstrh.32 q0, [r12, q3]",
                "add r12, #2",
                "b 4b",
                // A left shift first. Where it saturates, so does the output, unless a term is added.
                "6:",
                "ldr r2, [sp, #40]",
                "add r3, r10, #1",
                "mov r10, #-1",
                "cbnz r2, 11f",
                "vqshl.s32 q0, r3",
                "b 5b",
                "11:",
                "movs r6, #0",
                "vmaxav.s32 r6, q0",
                "rsbs r2, r3, #31",
                "bls 9b",
                "lsrs r6, r2",
                "bne 9b",
                "vshl.s32 q0, r3",
                "b 5b",
                // The term; after a factor without saturation both are below 2^30.
                "8:",
                "movs r4, #0",
                "ldr r1, [sp, #44]",
                "vidup.u32 q2, r4, #1",
                "ldr r4, [sp, #72]",
                "vmul.i32 q2, q2, r1",
                "cbnz r4, 12f",
                "vldrb.s32 q1, [r2, q2]",
                "adds r2, #1",
                "b 13f",
                "12:",
                "vldrh.s32 q1, [r2, q2]",
                "adds r2, #2",
                "13:",
                "str r2, [sp, #40]",
                "ldrd r1, r2, [sp, #48]",
                "ldrd r4, r6, [sp, #60]",
                "mvns r4, r4",
                "vsub.i32 q1, q1, r6",
                "vshl.s32 q1, r1",
                "vqdmulh.s32 q1, q1, r2",
                "vrshl.s32 q1, r4",
                "vadd.i32 q0, q0, q1",
                "vrshr.s32 q0, q0, #4",
                "b 7b",
            )
        }
    };
}

storing_rows!(
    store_rows_bytes,
    "dlstp.8 lr, r3",
    "vldrb.u8 q0, [r0], #16\nvldrb.u8 q1, [r1], #64\nvmladava.s8 r2, q0, q1\nvldrb.u8 q2, [r1, #-48]\n\
     vmladava.s8 r4, q0, q2\nvldrb.u8 q1, [r1, #-32]\nvmladava.s8 r6, q0, q1\nvldrb.u8 q2, [r1, #-16]\nvmladava.s8 r8, q0, q2"
);
storing_rows!(
    store_rows_words,
    "dlstp.16 lr, r3",
    "vldrb.s16 q0, [r0], #8\nvldrh.u16 q1, [r1], #64\nvmladava.s16 r2, q0, q1\nvldrh.u16 q2, [r1, #-48]\n\
     vmladava.s16 r4, q0, q2\nvldrh.u16 q1, [r1, #-32]\nvmladava.s16 r6, q0, q1\nvldrh.u16 q2, [r1, #-16]\nvmladava.s16 r8, q0, q2"
);

/// As [`store_rows_words`], of int16 weights.
///
/// # Safety
/// `weights` and the pointers in `job` are good for the rows, columns, factors and outputs that the job counts.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn store_rows16(weights: *const u8, job: &mut Frame) -> *const u8 {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        frame!(),
        "2:",
        wide_biases!(),
        "ldr r3, [sp, #28]",
        "str lr, [sp, #84]",
        "lsrs r3, r3, #1",
        "dlstp.16 lr, r3",
        "3:",
        "vldrh.u16 q0, [r0], #16",
        "vldrh.u16 q1, [r1], #64",
        "vmlaldava.s16 r4, r5, q0, q1",
        "vldrh.u16 q2, [r1, #-48]",
        "vmlaldava.s16 r6, r7, q0, q2",
        "vldrh.u16 q1, [r1, #-32]",
        "vmlaldava.s16 r8, r9, q0, q1",
        "vldrh.u16 q2, [r1, #-16]",
        "vmlaldava.s16 r10, r11, q0, q2",
        "letp lr, 3b",
        "ldr r0, [sp, #84]",
        wide_factor!(),
        "ldr pc, [sp, #76]",
        "9:",
        leave!(),
    )
}

/// Elements of scratch memory before the biases of columns of bytes, whose layout it is.
pub(super) fn biases_at(block: &Layout) -> Option<usize> {
    block.bytes.map(|_| bytes_end(block))
}

/// `(weights, column, taps)` to the sum.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
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

/// `(from, to, bytes, bytes from a vector's place to the next's)`.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn spread(from: *const i8, to: *mut i8, count: usize, step: usize) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4, lr}}",
        "wlstp.8 lr, r2, 3f",
        "2:",
        "vldrb.u8 q0, [r0], #16",
        "vstrb.8 q0, [r1]",
        "add r1, r3",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
    )
}

/// `(from, to, elements, bytes from a vector's place to the next's, zero point)`.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn widen(from: *const i8, to: *mut i16, count: usize, step: usize, zero: i32) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4, lr}}",
        "ldr r4, [sp, #8]",
        "wlstp.16 lr, r2, 3f",
        "2:",
        "vldrb.s16 q0, [r0], #8",
        "vsub.i16 q0, q0, r4",
        "vstrh.16 q0, [r1]",
        "add r1, r3",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
    )
}

/// `(to, bytes, value, bytes from a vector's place to the next's)`.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn fill(to: *mut i8, count: usize, value: i32, step: usize) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4, lr}}",
        "vdup.8 q0, r2",
        "wlstp.8 lr, r1, 3f",
        "2:",
        "vstrb.8 q0, [r0]",
        "add r0, r3",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
    )
}
