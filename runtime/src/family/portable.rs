//! The definition, for any core: a block is `(tap, column)`, two rows of weights share its loads.

use core::ops::Range;

use super::InputPart;
use super::{COLUMNS, Elements, Family, Finish, Layout, Native, Normalized, Rows, Window, add_square};
use crate::numeric::requant::{SmallRequant, high_product, saturate_i8, saturate_i16};
use crate::numeric::sigmoid::silu_q16;
use crate::tensor::view::ViewMut;

/// Any core: what the trait has, and nothing else.
#[cfg(mote_kernels = "portable")]
pub struct Portable;

#[cfg(mote_kernels = "portable")]
impl Family for Portable {
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
}

/// Index of a tap in a block of `lanes` columns.
#[inline(always)]
pub(super) const fn place(tap: usize, lanes: usize, lane: usize) -> usize {
    tap * lanes + lane
}

/// Widens int8 elements into column `lane`, from `tap` on, and removes their zero point.
#[inline(always)]
pub fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let to = columns[place(tap, block.lanes, lane)..].iter_mut().step_by(block.lanes);
    for (to, &q) in to.zip(from) {
        *to = i16::from(q) - zero as i16;
    }
}

/// Copies int16 elements into column `lane`, from `tap` on.
#[inline(always)]
pub fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let to = columns[place(tap, block.lanes, lane)..].iter_mut().step_by(block.lanes);
    for (to, &q) in to.zip(from) {
        *to = q;
    }
}

/// Fills a whole column with what is under the kernel.
pub fn window8(from: &[i8], window: &Window, zero: i32, columns: &mut [i16], block: &Layout, lane: usize) {
    let mut tap = window.above;
    let zeros = |count, columns: &mut [i16], tap| {
        if count > 0 {
            Native::zeros(count, columns, tap, block, lane);
        }
        tap + count
    };
    zeros(window.above, columns, 0);
    for row in 0..window.rows {
        tap = zeros(window.left, columns, tap);
        let from = &from[row * window.stride..][..window.inside];
        Native::copy8(from, zero, columns, tap, block, lane);
        tap = zeros(window.right, columns, tap + window.inside);
    }
    zeros(window.below, columns, tap);
}

/// Brings int8 elements to the common scale of a concatenation.
pub fn join8(from: &[i8], zero: i32, requant: &SmallRequant, to: &mut [i16]) {
    for (to, &q) in to.iter_mut().zip(from) {
        *to = saturate_i16(requant.apply(i32::from(q) - zero));
    }
}

/// As [`join8`], from int16.
pub fn join16(from: &[i16], requant: &SmallRequant, to: &mut [i16]) {
    for (to, &q) in to.iter_mut().zip(from) {
        *to = saturate_i16(requant.apply(q.into()));
    }
}

/// Dot product of activations; of fewer than 2^17 of int8.
#[inline]
pub fn dot8(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// As [`dot8`], of any number of int16.
#[inline]
pub fn dot16(a: &[i16], b: &[i16]) -> i64 {
    let products = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b));
    // A product is at most 2^30.
    products.map(i64::from).sum()
}

/// The memory of column `lane` from `tap` on, in which every `lanes`th element is a place, and `count` are there.
#[cfg(any(mote_kernels = "armv6m", mote_kernels = "armv7m"))]
pub(super) fn places<'c>(
    columns: &'c mut [i16],
    tap: usize,
    count: usize,
    block: &Layout,
    lane: usize,
) -> &'c mut [i16] {
    let places = &mut columns[place(tap, block.lanes, lane)..];
    assert!(count == 0 || (count - 1) * block.lanes < places.len());
    places
}

/// Sets `count` taps of column `lane` to zero, from `tap` on.
#[inline]
pub fn zeros(count: usize, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    if count > 0 {
        let to = columns[place(tap, block.lanes, lane)..].iter_mut().step_by(block.lanes);
        to.take(count).for_each(|to| *to = 0);
    }
}

/// Outputs of a few channels at the columns of a block: dot products, biases, factors.
pub fn rows8(rows: &Rows<'_>, columns: &[i16], _block: &Layout, tile: &mut [[i32; COLUMNS]]) {
    for (dots, weights) in tile.chunks_mut(2).zip(rows.weights.chunks(2 * rows.row)) {
        // A row alone is paired with itself.
        let (a, b) = (&weights[..rows.row], &weights[weights.len() - rows.row..]);
        // Eight sums by name: they stay in registers however the code is optimized.
        let ([mut p, mut q, mut r, mut s], [mut t, mut u, mut v, mut w]) = ([0; COLUMNS], [0; COLUMNS]);
        for ((taps, &a), &b) in columns.as_chunks().0.iter().zip(a).zip(b) {
            let (a, b): (i32, i32) = (a.into(), b.into());
            let [x, y, z, last]: [i16; COLUMNS] = *taps;
            let (x, y, z, last) = (i32::from(x), i32::from(y), i32::from(z), i32::from(last));
            (p, t) = (p + x * a, t + x * b);
            (q, u) = (q + y * a, u + y * b);
            (r, v) = (r + z * a, v + z * b);
            (s, w) = (s + last * a, w + last * b);
        }
        let sums = [[p, q, r, s], [t, u, v, w]];
        dots.iter_mut().zip(sums).for_each(|(dot, sum)| *dot = sum);
    }
    rows.scale(tile);
}

/// Dot product of an int8 row with a single column.
#[inline]
pub fn single8(row: &[i8], column: &[i16]) -> i32 {
    column.iter().zip(row).map(|(&x, &w)| i32::from(x) * i32::from(w)).sum()
}

/// Dot products of an int16 row with the columns of a block.
#[inline]
pub fn block16(row: &[i16], columns: &[i16], dots: &mut [i64; COLUMNS]) {
    for (lane, dot) in dots.iter_mut().enumerate() {
        *dot = wide_dot(row, &columns[lane..], COLUMNS);
    }
}

/// Dot product of an int16 row with a single column.
#[inline]
pub fn single16(row: &[i16], column: &[i16]) -> i64 {
    wide_dot(row, column, 1)
}

/// Taps over which the two halves of [`wide_dot`] stay within int32: `2^15 * 255 * 256 < 2^31`.
const HALVES: usize = 256;

/// The weight is split into a signed high and an unsigned low byte, so that the inner loop needs 32-bit arithmetic only.
#[inline(never)]
fn wide_dot(row: &[i16], column: &[i16], step: usize) -> i64 {
    let (mut acc, mut column) = (0, column.iter().step_by(step));
    for weights in row.chunks(HALVES) {
        let (mut high, mut low) = (0i32, 0i32);
        for (&w, &x) in weights.iter().zip(&mut column) {
            high += i32::from(x) * i32::from(w >> 8);
            low += i32::from(x) * i32::from(w & 0xFF);
        }
        acc += (i64::from(high) << 8) + i64::from(low);
    }
    acc
}

/// Normalizes whole positions: a channel has the words `(a, low, high)`, and with `offset = high * 2^32 + low`
/// `y = (q * 2^16 * a + offset) >> 32` in Q16; then SiLU, factor, zero point. `abs(y) < 2^27`.
#[inline(never)]
pub fn normalize(from: Elements<'_>, to: &mut Normalized<'_>, factors: &[i32], finish: &Finish) {
    match (from, to) {
        (Elements::I8(from), Normalized::I8(to, zero)) => {
            each(from, to, factors, |q, f| saturate_i8(finish.apply(q, f) + *zero));
        }
        (Elements::I16(from), Normalized::I8(to, zero)) => {
            each(from, to, factors, |q, f| saturate_i8(finish.apply(q, f) + *zero));
        }
        (Elements::I8(from), Normalized::I16(to)) => each(from, to, factors, |q, f| saturate_i16(finish.apply(q, f))),
        (Elements::I16(from), Normalized::I16(to)) => each(from, to, factors, |q, f| saturate_i16(finish.apply(q, f))),
        (Elements::InPlace, Normalized::I8(to, zero)) => {
            for to in to.chunks_exact_mut(factors.len() / 3) {
                for (to, f) in to.iter_mut().zip(factors.chunks_exact(3)) {
                    *to = saturate_i8(finish.apply(i32::from(*to), f) + *zero);
                }
            }
        }
        (Elements::InPlace, Normalized::I16(to)) => {
            for to in to.chunks_exact_mut(factors.len() / 3) {
                for (to, f) in to.iter_mut().zip(factors.chunks_exact(3)) {
                    *to = saturate_i16(finish.apply(i32::from(*to), f));
                }
            }
        }
    }
}

/// Whether [`normalize`] can do it.
pub fn normalizes(_: &Finish, _: usize, _: &ViewMut<'_>) -> bool {
    true
}

/// Normalizes positions of a concatenation, where there is a kernel for it.
pub fn normalize_two(_: &[InputPart<'_>; 2], _: Range<usize>, _: &mut Normalized<'_>, _: &[i32], _: &Finish) -> bool {
    false
}

#[inline(always)]
fn each<I: Copy + Into<i32>, O>(from: &[I], to: &mut [O], factors: &[i32], f: impl Fn(i32, &[i32]) -> O) {
    let channels = factors.len() / 3;
    for (to, from) in to.chunks_exact_mut(channels).zip(from.chunks_exact(channels)) {
        for ((to, &q), factor) in to.iter_mut().zip(from).zip(factors.chunks_exact(3)) {
            *to = f(q.into(), factor);
        }
    }
}

impl Finish {
    #[inline(always)]
    fn apply(&self, q: i32, factor: &[i32]) -> i32 {
        // In 32 bits: q has 16, so a's halves make products that fit, and offset bits below 2^16 are below q's.
        let (a, low) = (factor[0], factor[1] as u32 >> 16);
        let fraction = q * (a & 0xFFFF) + low as i32;
        let y = q * (a >> 16) + factor[2] + (fraction >> 16);
        let y = if self.silu { silu_q16(y) } else { y };
        (high_product(y, self.mult) + self.round) >> self.shift
    }
}

/// Adds the elements of whole positions, on the common scale of a concatenation, to the channels' sums (a word) and sums of
/// squares (two, the low one first).
pub fn joined_sums8(data: &[i8], zero: i32, requant: &SmallRequant, channels: usize, sums: &mut [i32]) {
    joined_sums(data.len(), channels, sums, &|at, to| {
        Native::join8(&data[at..at + to.len()], zero, requant, to);
    });
}

/// As [`joined_sums8`].
pub fn joined_sums16(data: &[i16], requant: &SmallRequant, channels: usize, sums: &mut [i32]) {
    joined_sums(data.len(), channels, sums, &|at, to| {
        Native::join16(&data[at..at + to.len()], requant, to);
    });
}

/// `join` brings the elements from a place on to the common scale.
#[inline(never)]
fn joined_sums(count: usize, channels: usize, sums: &mut [i32], join: &dyn Fn(usize, &mut [i16])) {
    let mut joined = [0; 32];
    for first in (0..count).step_by(channels.max(1)) {
        for done in (0..channels).step_by(joined.len()) {
            let size = (channels - done).min(joined.len());
            let joined = &mut joined[..size];
            join(first + done, joined);
            accumulate(joined, &mut sums[3 * done..]);
        }
    }
}

fn accumulate(elements: &[i16], sums: &mut [i32]) {
    for (&q, sums) in elements.iter().zip(sums.as_chunks_mut::<3>().0) {
        let q = i32::from(q);
        // A channel has at most 2^16 elements of at most 2^15.
        sums[0] += q;
        let squares = u64::from(sums[2] as u32) << 32 | u64::from(sums[1] as u32);
        let squares = add_square(squares, q);
        (sums[1], sums[2]) = (squares as i32, (squares >> 32) as i32);
    }
}

/// Adds `sum p_j v_j` to the sums of four channels, whose elements are `channels` apart.
pub fn weigh8(scores: &[i32], v: &[i8], channels: usize, sums: &mut [i32; 4]) {
    weigh(scores, v, channels, sums);
}

/// As [`weigh8`], of int16.
pub fn weigh16(scores: &[i32], v: &[i16], channels: usize, sums: &mut [i32; 4]) {
    weigh(scores, v, channels, sums);
}

#[inline(always)]
fn weigh<T: Copy + Into<i32>>(scores: &[i32], v: &[T], channels: usize, sums: &mut [i32; 4]) {
    // Two at a time: their sums and the pointers fit the registers of any core.
    for (sums, v) in sums
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip([v, v.get(2..).unwrap_or_default()])
    {
        let [mut a, mut b] = *sums;
        let mut at = 0;
        for p in scores {
            let Some(&[x, y]) = v.get(at..).and_then(|v| v.first_chunk::<2>()) else {
                break;
            };
            a += p * x.into();
            b += p * y.into();
            at += channels;
        }
        *sums = [a, b];
    }
}

/// Sum and sum of squares of `size` channels from `first` on at every position, of a tensor of `channels`, as stored.
pub fn moments8(data: &[i8], channels: usize, first: usize, size: usize) -> (i64, u64) {
    moments(data, channels, first, size)
}

/// As [`moments8`].
pub fn moments16(data: &[i16], channels: usize, first: usize, size: usize) -> (i64, u64) {
    moments(data, channels, first, size)
}

#[inline(always)]
fn moments<T: Copy + Into<i32>>(data: &[T], channels: usize, first: usize, size: usize) -> (i64, u64) {
    let (mut sum, mut squares) = (0i64, 0u64);
    for position in data.chunks_exact(channels) {
        let mut part = 0;
        for &q in &position[first..first + size] {
            let q: i32 = q.into();
            part += q;
            squares = add_square(squares, q);
        }
        sum += i64::from(part);
    }
    (sum, squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_add_up_at_the_extremes() {
        for n in [1, 255, 256, 257, 1000] {
            for (x, w) in [
                (i16::MIN, i16::MIN),
                (i16::MIN, i16::MAX),
                (i16::MAX, -1),
                (i16::MIN, 255),
                (-1, 256),
            ] {
                let (column, weights) = (std::vec![x; n], std::vec![w; n]);
                assert_eq!(
                    single16(&weights, &column),
                    n as i64 * i64::from(x) * i64::from(w),
                    "{n} of {x} * {w}"
                );
            }
        }
    }
}
