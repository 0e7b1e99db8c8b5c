//! The interface of kernel families.

use core::ops::Range;

use super::portable;
use super::{
    Addition, CHUNK, COLUMNS, Curve, Elements, Filter, Finish, InputPart, Layout, Line, Normalized, Rescale, Rows,
    Rows4, Window,
};
use crate::numeric::requant::SmallRequant;
use crate::tensor::view::{View, ViewMut};

/// What operators ask of a core. What a family does not write itself is the portable definition: the same integers, only slower.
pub trait Family {
    /// Whether two small activations are multiplied at once with an int4 weight ([`Family::pair_up`]).
    const PAIRS: bool = false;
    /// Whether four neighbours under a 3x3 kernel are filled in at once ([`Family::six8`]).
    const STRIPS: bool = false;
    /// Whether rows have a kernel of their own at a single column ([`Family::vector8`]).
    const VECTORS: bool = false;
    /// Whether four taps of a column lie together in a block, followed by those of the other columns.
    const FOURS: bool = false;
    /// Whether [`Family::line`] has a kernel, and not the definition alone.
    const LINES: bool = false;
    /// Whether positions under a scale and a shift are normalized some at a time by the definition as well: quicker, and 5 KB of code.
    const TOGETHER: bool = true;
    /// Whether a row of an attention of int8 has kernels of its own ([`Family::scores8`]).
    const ATTENDS: bool = false;
    /// Channels whose outputs at a block of positions are held at once, between the steps of the epilogue.
    /// Fewer where RAM is shortest: a channel takes 16 bytes of stack.
    const TILE: usize = 16;
    /// Taps up to which a column is gathered on the stack first; none where a column's taps lie at even distances.
    const THIN: usize = CHUNK;
    /// The kernels read whole groups of so many taps: columns that do not fill them are set to zero first. With 0, all are.
    const WHOLE: usize = 8;

    /// Rows of a convolution whose outputs are stored at once.
    type Storing<'a>;
    /// Where six neighbours lie in a row of the input.
    type Neighbours: Copy + Default;
    /// A factor to the common scale of a concatenation, as the kernel that fills columns with it has it.
    type Scale: Copy;

    /// The rows whose outputs are stored at once; `None` where there is no kernel for them. `pairs` says that the columns are
    /// [`Family::pair_up`]'s.
    #[inline(always)]
    fn storing<'a>(
        filter: &Filter<'a>,
        layout: &Layout,
        pairs: bool,
        add: Option<&'a Addition<'a>>,
        out: &ViewMut<'_>,
    ) -> Option<Self::Storing<'a>> {
        let _ = (filter, layout, pairs, add, out);
        None
    }

    /// Stores the outputs of the channels from `first` on at a block of positions whose first output is element `at`; the columns hold
    /// `taps`. Gives the channel behind the last that is done.
    fn store(
        storing: &mut Self::Storing<'_>,
        first: usize,
        columns: &[i16],
        taps: &Range<usize>,
        at: usize,
        out: &mut ViewMut<'_>,
    ) -> usize;

    /// As [`Family::store`] of all channels and taps, where some taps meet zeros: so many of each, whole groups of 16. The first do in the
    /// first two columns, the next in the first, the last in the last one and the last two. Gives 0 where there is no kernel for it.
    #[inline(always)]
    fn store_cut(
        storing: &mut Self::Storing<'_>,
        columns: &[i16],
        cut: [usize; 4],
        at: usize,
        out: &mut ViewMut<'_>,
    ) -> usize {
        let _ = (storing, columns, cut, at, out);
        0
    }

    /// Makes ready, before the first block, what [`Family::rows8`] needs of all rows of a convolution.
    #[inline(always)]
    fn begin8(rows: &Rows<'_>, columns: &mut [i16], block: &Layout) {
        let _ = (rows, columns, block);
    }

    /// Brings a block of small activations into the form that [`Family::rows4`] reads as pairs: as it is, where it knows none.
    #[inline(always)]
    fn pair_up(columns: &mut [i16]) {
        let _ = columns;
    }

    /// Outputs of int4 rows at the columns of a block, which hold `taps`; `pairs` says that they are [`Family::pair_up`]'s.
    #[inline(always)]
    fn rows4(
        rows: &Rows4<'_>,
        columns: &[i16],
        block: &Layout,
        taps: &Range<usize>,
        pairs: bool,
        tile: &mut [[i32; COLUMNS]],
    ) {
        let _ = pairs;
        rows.unpacked(block, taps, columns, tile);
    }

    /// The neighbours at `places` of a row of `channels`; `edges` says whether the first and the last are zeros instead. With
    /// [`Family::STRIPS`].
    #[inline(always)]
    fn neighbours(places: [usize; 6], edges: [bool; 2], channels: usize, zero: i32) -> Self::Neighbours {
        let _ = (places, edges, channels, zero);
        Self::Neighbours::default()
    }

    /// Fills a kernel row of a block from a row of the input. With [`Family::STRIPS`].
    #[inline(always)]
    fn six8(from: &[i8], six: &Self::Neighbours, to: &mut [i16]) {
        let _ = (from, six, to);
    }

    /// Moves the elements from `by` on to the front; `by` is whole groups of 16.
    #[inline(always)]
    fn slide(columns: &mut [i16], by: usize) {
        columns.copy_within(by.min(columns.len()).., 0);
    }

    /// A factor for [`Family::points8`]; `None` where there is no kernel for it.
    #[inline(always)]
    fn scale(requant: &SmallRequant, zero: i32) -> Option<Self::Scale> {
        let _ = (requant, zero);
        None
    }

    /// Fills the first columns of a block from neighbours of `channels` each, whole groups of four, from the block's first group on.
    /// Not called where [`Family::scale`] gives nothing.
    #[inline(always)]
    fn points8(from: &[i8], channels: usize, scale: &Self::Scale, to: &mut [i16]) {
        let _ = (from, channels, scale, to);
    }

    /// Outputs of a few channels of int8 weights at the columns of a block: dot products, biases, factors.
    #[inline(always)]
    fn rows8(rows: &Rows<'_>, columns: &[i16], block: &Layout, tile: &mut [[i32; COLUMNS]]) {
        portable::rows8(rows, columns, block, tile)
    }

    /// Dot product of an int8 row with a single column.
    #[inline(always)]
    fn single8(row: &[i8], column: &[i16]) -> i32 {
        portable::single8(row, column)
    }

    /// Dot products of an int16 row with the columns of a block.
    #[inline(always)]
    fn block16(row: &[i16], columns: &[i16], dots: &mut [i64; COLUMNS]) {
        portable::block16(row, columns, dots)
    }

    /// Dot product of an int16 row with a single column.
    #[inline(always)]
    fn single16(row: &[i16], column: &[i16]) -> i64 {
        portable::single16(row, column)
    }

    /// Widens int8 elements into column `lane`, from `tap` on, and removes their zero point.
    #[inline(always)]
    fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        portable::copy8(from, zero, columns, tap, block, lane)
    }

    /// Copies int16 elements into column `lane`, from `tap` on.
    #[inline(always)]
    fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        portable::copy16(from, columns, tap, block, lane)
    }

    /// Sets `count` taps of column `lane` to zero, from `tap` on.
    #[inline(always)]
    fn zeros(count: usize, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
        portable::zeros(count, columns, tap, block, lane)
    }

    /// Fills a whole column with what is under the kernel.
    #[inline(always)]
    fn window8(from: &[i8], window: &Window, zero: i32, columns: &mut [i16], block: &Layout, lane: usize) {
        portable::window8(from, window, zero, columns, block, lane)
    }

    /// Brings int8 elements to the common scale of a concatenation.
    #[inline(always)]
    fn join8(from: &[i8], zero: i32, requant: &SmallRequant, to: &mut [i16]) {
        portable::join8(from, zero, requant, to)
    }

    /// Brings int16 elements to the common scale of a concatenation.
    #[inline(always)]
    fn join16(from: &[i16], requant: &SmallRequant, to: &mut [i16]) {
        portable::join16(from, requant, to)
    }

    /// Adds the elements of whole positions, on the common scale of a concatenation, to the channels' sums (a word) and sums of
    /// squares (two, the low one first).
    #[inline(always)]
    fn joined_sums8(data: &[i8], zero: i32, requant: &SmallRequant, channels: usize, sums: &mut [i32]) {
        portable::joined_sums8(data, zero, requant, channels, sums)
    }

    /// As [`Family::joined_sums8`].
    #[inline(always)]
    fn joined_sums16(data: &[i16], requant: &SmallRequant, channels: usize, sums: &mut [i32]) {
        portable::joined_sums16(data, requant, channels, sums)
    }

    /// Dot product of two int8 rows.
    #[inline(always)]
    fn dot8(a: &[i8], b: &[i8]) -> i32 {
        portable::dot8(a, b)
    }

    /// Dot product of two int16 rows.
    #[inline(always)]
    fn dot16(a: &[i16], b: &[i16]) -> i64 {
        portable::dot16(a, b)
    }

    /// Adds `sum p_j v_j` to the sums of four channels, whose elements are `channels` apart.
    #[inline(always)]
    fn weigh8(scores: &[i32], v: &[i8], channels: usize, sums: &mut [i32; 4]) {
        portable::weigh8(scores, v, channels, sums)
    }

    /// As [`Family::weigh8`], of int16.
    #[inline(always)]
    fn weigh16(scores: &[i32], v: &[i16], channels: usize, sums: &mut [i32; 4]) {
        portable::weigh16(scores, v, channels, sums)
    }

    /// Sum and sum of squares of `size` channels from `first` on at every position, of a tensor of `channels`, as stored.
    #[inline(always)]
    fn moments8(data: &[i8], channels: usize, first: usize, size: usize) -> (i64, u64) {
        portable::moments8(data, channels, first, size)
    }

    /// As [`Family::moments8`].
    #[inline(always)]
    fn moments16(data: &[i16], channels: usize, first: usize, size: usize) -> (i64, u64) {
        portable::moments16(data, channels, first, size)
    }

    /// Normalizes whole positions: a channel has the words `(a, low, high)`, and with `offset = high * 2^32 + low`
    /// `y = (q * 2^16 * a + offset) >> 32` in Q16; then SiLU, factor, zero point. `abs(y) < 2^27`.
    #[inline(always)]
    fn normalize(from: Elements<'_>, to: &mut Normalized<'_>, factors: &[i32], finish: &Finish) {
        portable::normalize(from, to, factors, finish)
    }

    /// Whether [`Family::normalize`] can do it.
    #[inline(always)]
    fn normalizes(finish: &Finish, channels: usize, out: &ViewMut<'_>) -> bool {
        portable::normalizes(finish, channels, out)
    }

    /// Normalizes positions of a concatenation at once; `false` where it does not.
    #[inline(always)]
    fn normalize_two(
        parts: &[InputPart<'_>; 2],
        range: Range<usize>,
        to: &mut Normalized<'_>,
        factors: &[i32],
        finish: &Finish,
    ) -> bool {
        portable::normalize_two(parts, range, to, factors, finish)
    }

    /// Normalizes neighbours of one position.
    #[inline(always)]
    fn line(from: Elements<'_>, to: &mut Normalized<'_>, line: &Line<'_>, finish: &Finish) {
        super::line::line(from, to, line, finish);
    }

    /// Dot products, biases included, of whole int8 rows with a single column. With [`Family::VECTORS`].
    #[inline(always)]
    fn vector8(rows: &Rows<'_>, column: &[i16], sums: &mut [i32]) {
        let _ = (rows, column, sums);
    }

    /// Values of a function at int16 inputs; `false` where there is no kernel for it, here and below.
    #[inline(always)]
    fn curve(from: &[i16], curve: &Curve<'_>, to: &mut [i32]) -> bool {
        let _ = (from, curve, to);
        false
    }

    /// Values of a function at int16 inputs, rescaled and stored.
    #[inline(always)]
    fn curve_stored(from: Elements<'_>, curve: &Curve<'_>, scale: &Rescale, to: &mut Normalized<'_>) -> bool {
        let _ = (from, curve, scale, to);
        false
    }

    /// Stores the high word of `(t << up) * a + base`, shifted right by `down`, at least one; sums are of 64 bits, which wrap.
    #[inline(always)]
    fn modulate(t: &[i32], a: &[i32], base: &[i64], shifts: [u32; 2], to: &mut Normalized<'_>) -> bool {
        let _ = (t, a, base, shifts, to);
        false
    }

    /// As [`Family::modulate`] of `(t << up) * a + (y << up) * mult + half`.
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
        let _ = (t, y, a, mult, half, shifts, to);
        false
    }

    /// As [`Family::modulate`] of a function's values at int16 inputs.
    #[inline(always)]
    fn curve_modulate(
        from: Elements<'_>,
        curve: &Curve<'_>,
        a: &[i32],
        base: &[i64],
        shifts: [u32; 2],
        to: &mut Normalized<'_>,
    ) -> bool {
        let _ = (from, curve, a, base, shifts, to);
        false
    }

    /// As [`Family::add_scaled`] of a function's values at int16 inputs, all with one factor; factors are that and the addend's.
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
        let _ = (from, curve, y, factors, half, shifts, to);
        false
    }

    /// Scores of a query with every key, `step` elements apart; the largest. The query lies in pairs `(0, 2)` and `(1, 3)` of every four
    /// channels, whole groups of eight, as do keys in whole words. A score is the high
    /// word of the dot product, shifted left by `up`, times the factor, rounded.
    /// This and what follows with [`Family::ATTENDS`].
    #[inline(always)]
    fn scores8(q: &[i16], k: &[i8], step: usize, up: u32, factor: &Rescale, scores: &mut [i32]) -> i32 {
        let _ = (q, k, step, up, factor, scores);
        0
    }

    /// Scores to powers of two below the largest, Q16, and their sum.
    #[inline(always)]
    fn powers(scores: &mut [i32], top: i32) -> u32 {
        let _ = (scores, top);
        0
    }

    /// Powers times half of `twice` to Q15 shares of 16 bits, two a word, at the front; whole groups of four.
    #[inline(always)]
    fn shares(powers: &mut [i32], twice: i32) {
        let _ = (powers, twice);
    }

    /// As [`Family::weigh8`] by [`Family::shares`].
    #[inline(always)]
    fn weigh_pairs8(pairs: &[i32], v: &[i8], step: usize, sums: &mut [i32; 4]) {
        let _ = (pairs, v, step, sums);
    }
}
