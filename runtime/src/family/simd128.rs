//! WebAssembly with vectors of 128 bits: eight int16 products an instruction, whose sums wrap, so that their order never matters.
//!
//! A block holds eight taps of every column, then the next eight of every column. What is not convolution or attention is the portable
//! definition.
#![allow(unsafe_code)]

use core::arch::wasm32::*;
use core::ops::Range;

use super::{COLUMNS, Family, Layout, Rows};
use crate::tensor::view::ViewMut;

/// WebAssembly with `simd128`.
pub struct Simd128;

impl Family for Simd128 {
    // The page's module is small.
    const TOGETHER: bool = false;

    type Storing<'a> = core::convert::Infallible;
    type Neighbours = ();
    type Scale = ();

    fn store(
        storing: &mut Self::Storing<'_>,
        _: usize,
        _: &[i16],
        _: &Range<usize>,
        _: usize,
        _: &mut ViewMut<'_>,
    ) -> usize {
        match *storing {}
    }

    #[inline(always)]
    fn rows8(rows: &Rows<'_>, columns: &[i16], block: &Layout, tile: &mut [[i32; COLUMNS]]) {
        let _ = block;
        rows8(rows, columns, tile);
    }

    #[inline(always)]
    fn single8(row: &[i8], column: &[i16]) -> i32 {
        single8(row, column)
    }

    #[inline(always)]
    fn block16(row: &[i16], columns: &[i16], dots: &mut [i64; COLUMNS]) {
        block16(row, columns, dots);
    }

    #[inline(always)]
    fn single16(row: &[i16], column: &[i16]) -> i64 {
        dot16(row, column)
    }

    #[inline(always)]
    fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        copy8(from, zero, columns, tap, block, lane);
    }

    #[inline(always)]
    fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        copy16(from, columns, tap, block, lane);
    }

    #[inline(always)]
    fn zeros(count: usize, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        for tap in tap..tap + count {
            columns[place(tap, block.lanes, lane)] = 0;
        }
    }

    #[inline(always)]
    fn dot8(a: &[i8], b: &[i8]) -> i32 {
        dot8(a, b)
    }

    #[inline(always)]
    fn dot16(a: &[i16], b: &[i16]) -> i64 {
        dot16(a, b)
    }
}

/// Numbers of 16 bits in a vector.
const WIDE: usize = 8;

/// Index of a tap in a block of `lanes` columns.
#[inline(always)]
pub(super) const fn place(tap: usize, lanes: usize, lane: usize) -> usize {
    if lanes == 1 {
        return tap;
    }
    tap / WIDE * WIDE * lanes + lane * WIDE + tap % WIDE
}

#[inline(always)]
fn load(from: &[i16; WIDE]) -> v128 {
    // SAFETY: there are 16 bytes; any alignment will do.
    unsafe { v128_load(from.as_ptr().cast()) }
}

/// Widened.
#[inline(always)]
fn load8(from: &[i8; WIDE]) -> v128 {
    // SAFETY: there are 8 bytes.
    unsafe { i16x8_load_extend_i8x8(from.as_ptr()) }
}

/// As many elements as there are, then zeros.
#[inline(always)]
fn filled<T: Copy + Default>(from: &[T]) -> [T; WIDE] {
    let mut whole = [T::default(); WIDE];
    whole.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
    whole
}

/// The sums of four vectors of four.
#[inline(always)]
fn sums([a, b, c, d]: [v128; COLUMNS]) -> [i32; COLUMNS] {
    let ab = i32x4_add(i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
    let cd = i32x4_add(i32x4_shuffle::<0, 4, 1, 5>(c, d), i32x4_shuffle::<2, 6, 3, 7>(c, d));
    let all = i32x4_add(i32x4_shuffle::<0, 1, 4, 5>(ab, cd), i32x4_shuffle::<2, 3, 6, 7>(ab, cd));
    [
        i32x4_extract_lane::<0>(all),
        i32x4_extract_lane::<1>(all),
        i32x4_extract_lane::<2>(all),
        i32x4_extract_lane::<3>(all),
    ]
}

/// See [`super::portable::rows8`].
fn rows8(rows: &Rows<'_>, columns: &[i16], tile: &mut [[i32; COLUMNS]]) {
    let blocks = columns.as_chunks::<WIDE>().0.as_chunks::<COLUMNS>().0;
    for (dots, weights) in tile.chunks_mut(2).zip(rows.weights.chunks(2 * rows.row)) {
        // A row alone is paired with itself.
        let (a, b) = (&weights[..rows.row], &weights[weights.len() - rows.row..]);
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks(), b.as_chunks());
        let mut both = [[i32x4_splat(0); COLUMNS]; 2];
        let mut add = |columns: &[[i16; WIDE]; COLUMNS], a: v128, b: v128| {
            for (lane, column) in columns.iter().enumerate() {
                let x = load(column);
                both[0][lane] = i32x4_add(both[0][lane], i32x4_dot_i16x8(x, a));
                both[1][lane] = i32x4_add(both[1][lane], i32x4_dot_i16x8(x, b));
            }
        };
        for ((columns, a), b) in blocks.iter().zip(a).zip(b) {
            add(columns, load8(a), load8(b));
        }
        if let (Some(columns), false) = (blocks.get(a.len()), a_rest.is_empty()) {
            add(columns, load8(&filled(a_rest)), load8(&filled(b_rest)));
        }
        dots.iter_mut().zip(both).for_each(|(dot, both)| *dot = sums(both));
    }
    rows.scale(tile);
}

/// Sums the products of two lists: whole vectors, which the functions widen, then what is left.
#[inline(always)]
fn dot<A: Copy + Into<i32>, B: Copy + Into<i32>>(
    (a, wide_a): (&[A], impl Fn(&[A; WIDE]) -> v128),
    (b, wide_b): (&[B], impl Fn(&[B; WIDE]) -> v128),
) -> i32 {
    let (a_blocks, b_blocks) = (a.as_chunks::<WIDE>().0, b.as_chunks::<WIDE>().0);
    let mut sum = i32x4_splat(0);
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        sum = i32x4_add(sum, i32x4_dot_i16x8(wide_a(a), wide_b(b)));
    }
    let done = WIDE * a_blocks.len().min(b_blocks.len());
    let left = a[done..].iter().zip(&b[done..]);
    let left: i32 = left.map(|(&a, &b)| a.into() * b.into()).sum();
    sums([sum, i32x4_splat(0), i32x4_splat(0), i32x4_splat(0)])[0] + left
}

/// See [`super::portable::single8`].
fn single8(row: &[i8], column: &[i16]) -> i32 {
    dot((row, load8), (column, load))
}

/// Adds the products of two vectors to sums of 64 bits.
#[inline(always)]
fn wide(sum: v128, w: v128, x: v128) -> v128 {
    let products = [i32x4_extmul_low_i16x8(w, x), i32x4_extmul_high_i16x8(w, x)];
    products.into_iter().fold(sum, |sum, p| {
        let sum = i64x2_add(sum, i64x2_extend_low_i32x4(p));
        i64x2_add(sum, i64x2_extend_high_i32x4(p))
    })
}

#[inline(always)]
fn total(sum: v128) -> i64 {
    i64x2_extract_lane::<0>(sum) + i64x2_extract_lane::<1>(sum)
}

/// See [`super::portable::block16`].
fn block16(row: &[i16], columns: &[i16], dots: &mut [i64; COLUMNS]) {
    let blocks = columns.as_chunks::<WIDE>().0.as_chunks::<COLUMNS>().0;
    let mut all = [i64x2_splat(0); COLUMNS];
    for (columns, weights) in blocks.iter().zip(row.chunks(WIDE)) {
        let w = match weights.first_chunk() {
            Some(weights) => load(weights),
            None => load(&filled(weights)),
        };
        for (sum, column) in all.iter_mut().zip(columns) {
            *sum = wide(*sum, w, load(column));
        }
    }
    *dots = all.map(total);
}

/// See [`super::portable::dot16`].
fn dot16(a: &[i16], b: &[i16]) -> i64 {
    let (whole, others) = (a.as_chunks::<WIDE>().0, b.as_chunks::<WIDE>().0);
    let mut sum = i64x2_splat(0);
    for (a, b) in whole.iter().zip(others) {
        sum = wide(sum, load(a), load(b));
    }
    let done = WIDE * whole.len().min(others.len());
    let left = a[done..].iter().zip(&b[done..]);
    total(sum) + left.map(|(&a, &b)| i64::from(i32::from(a) * i32::from(b))).sum::<i64>()
}

/// See [`super::portable::dot8`].
fn dot8(a: &[i8], b: &[i8]) -> i32 {
    dot((a, load8), (b, load8))
}

/// Gives `to` the elements from `tap` on, those of a vector together: `(place of the first, index of the first, how many)`.
#[inline(always)]
fn pieces(count: usize, tap: usize, block: &Layout, lane: usize, mut to: impl FnMut(usize, Range<usize>)) {
    let mut done = 0;
    while done < count {
        let at = tap + done;
        let size = if block.lanes == 1 { count } else { WIDE - at % WIDE };
        let end = (done + size).min(count);
        to(place(at, block.lanes, lane), done..end);
        done = end;
    }
}

/// See [`super::portable::copy8`].
fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let zeros = i16x8_splat(zero as i16);
    pieces(from.len(), tap, block, lane, |at, range| {
        let from = &from[range];
        let to = &mut columns[at..at + from.len()];
        for (to, from) in to.chunks_mut(WIDE).zip(from.chunks(WIDE)) {
            if let (Some(to), Some(from)) = (to.first_chunk_mut::<WIDE>(), from.first_chunk()) {
                // SAFETY: there are 16 bytes; any alignment will do.
                unsafe { v128_store(to.as_mut_ptr().cast(), i16x8_sub(load8(from), zeros)) };
                continue;
            }
            to.iter_mut()
                .zip(from)
                .for_each(|(to, &q)| *to = i16::from(q) - zero as i16);
        }
    });
}

/// See [`super::portable::copy16`].
fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    pieces(from.len(), tap, block, lane, |at, range| {
        let from = &from[range];
        columns[at..at + from.len()].copy_from_slice(from);
    });
}
