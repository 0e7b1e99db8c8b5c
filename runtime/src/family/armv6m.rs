//! Cortex-M0: eight registers that can multiply, no long multiply. A load of two words brings a tap of four columns, which are
//! taken apart in place; the sums stay in the high registers. A block is `(tap, column)`.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ops::Range;

use super::fused::{Frame, Storing};
pub(super) use super::portable::place;
use super::portable::places;
use super::{Addition, COLUMNS, Elements, Family, Filter, Finish, Layout, Normalized, Rows, Rows4};
use crate::numeric::table::SIGMOID_Q17;
use crate::tensor::view::ViewMut;

/// Cortex-M0 and its like: 32-bit products, few registers.
pub struct Armv6m;

impl Family for Armv6m {
    const PAIRS: bool = true;
    const TILE: usize = 8;
    const THIN: usize = 0;

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
    fn pair_up(columns: &mut [i16]) {
        pair_up(columns);
    }

    #[inline(always)]
    fn rows4(
        rows: &Rows4<'_>,
        columns: &[i16],
        block: &Layout,
        taps: &Range<usize>,
        pairs: bool,
        tile: &mut [[i32; COLUMNS]],
    ) {
        if pairs {
            rows4(rows, columns, tile);
        } else {
            rows.unpacked(block, taps, columns, tile);
        }
    }

    #[inline(always)]
    fn rows8(rows: &Rows<'_>, columns: &[i16], block: &Layout, tile: &mut [[i32; COLUMNS]]) {
        rows8(rows, columns, block, tile)
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
    fn normalize(from: Elements<'_>, to: &mut Normalized<'_>, factors: &[i32], finish: &Finish) {
        normalize(from, to, factors, finish)
    }
}

/// Saves `r3` (to `[sp, #16]`) and what a function must keep, and clears the high registers for sums.
macro_rules! enter {
    () => {
        concat!(
            "push {{r3-r7, lr}}\n",
            "mov r4, r8\n",
            "mov r5, r9\n",
            "mov r6, r10\n",
            "mov r7, r11\n",
            "push {{r4-r7}}\n",
            "movs r4, #0\n",
            "mov r8, r4\n",
            "mov r9, r4\n",
            "mov r10, r4\n",
            "mov r11, r4\n",
        )
    };
}

/// Undoes [`enter`] and returns.
macro_rules! leave {
    () => {
        concat!(
            "pop {{r4-r7}}\n",
            "mov r8, r4\n",
            "mov r9, r5\n",
            "mov r10, r6\n",
            "mov r11, r7\n",
            "pop {{r3-r7, pc}}\n",
        )
    };
}

/// See [`super::portable::rows8`].
fn rows8(rows: &Rows<'_>, columns: &[i16], _block: &Layout, tile: &mut [[i32; COLUMNS]]) {
    let row = rows.row;
    assert!(row > 0 && row.is_multiple_of(4) && columns.len() >= row * COLUMNS);
    for (dots, weights) in tile.iter_mut().zip(rows.weights.chunks_exact(row)) {
        // SAFETY: the row has that many taps, and so has the block.
        unsafe { dot_block8(weights.as_ptr(), columns.as_ptr(), row, dots) };
    }
    rows.scale(tile);
}

/// `(row, block, taps, four sums)`.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn dot_block8(row: *const i8, columns: *const i16, taps: usize, dots: &mut [i32; COLUMNS]) {
    // r0 end of the row, r1 block, r2 tap less the taps, r3 weight, r4 and r5 elements in pairs, r6 element, r8..r11 sums.
    macro_rules! tap {
        () => {
            concat!(
                "ldmia r1!, {{r4, r5}}\n",
                "ldrsb r3, [r0, r2]\n",
                "sxth r6, r4\n",
                "muls r6, r3, r6\n",
                "add r8, r6\n",
                "asrs r4, r4, #16\n",
                "muls r4, r3, r4\n",
                "add r9, r4\n",
                "sxth r6, r5\n",
                "muls r6, r3, r6\n",
                "add r10, r6\n",
                "asrs r5, r5, #16\n",
                "muls r5, r3, r5\n",
                "add r11, r5\n",
                "adds r2, #1\n",
            )
        };
    }
    naked_asm!(
        enter!(),
        "adds r0, r0, r2",
        "rsbs r2, r2, #0",
        "2:",
        tap!(),
        tap!(),
        tap!(),
        tap!(),
        "bne 2b",
        "ldr r0, [sp, #16]",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "stmia r0!, {{r4-r7}}",
        leave!(),
    )
}

/// See [`super::portable::copy8`].
fn copy8(from: &[i8], zero: i32, columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let to = places(columns, tap, from.len(), block, lane);
    // SAFETY: `to` has a place for every element of `from`, `lanes` apart.
    unsafe {
        widen8(
            from.as_ptr(),
            from.as_ptr_range().end,
            to.as_mut_ptr(),
            block.lanes * 2,
            zero,
        )
    };
}

/// See [`super::portable::copy16`].
fn copy16(from: &[i16], columns: &mut [i16], tap: usize, block: &Layout, lane: usize) {
    let to = places(columns, tap, from.len(), block, lane);
    // SAFETY: as in `copy8`.
    unsafe { spread16(from.as_ptr(), from.as_ptr_range().end, to.as_mut_ptr(), block.lanes * 2) };
}

/// `(elements, their end, first place, bytes between places, zero point)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn widen8(from: *const i8, end: *const i8, to: *mut i16, step: usize, zero: i32) {
    naked_asm!(
        "push {{r4-r6, lr}}",
        "ldr r4, [sp, #16]",
        "subs r0, r0, r1",
        "beq 3f",
        "2:",
        "ldrsb r5, [r1, r0]",
        "subs r5, r5, r4",
        "strh r5, [r2]",
        "adds r2, r2, r3",
        "adds r0, #1",
        "bne 2b",
        "3:",
        "pop {{r4-r6, pc}}",
    )
}

/// `(elements, their end, first place, bytes between places)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn spread16(from: *const i16, end: *const i16, to: *mut i16, step: usize) {
    naked_asm!(
        "push {{r4, lr}}",
        "subs r0, r0, r1",
        "beq 3f",
        "2:",
        "ldrh r4, [r1, r0]",
        "strh r4, [r2]",
        "adds r2, r2, r3",
        "adds r0, #2",
        "bne 2b",
        "3:",
        "pop {{r4, pc}}",
    )
}

/// See [`super::portable::normalize`].
fn normalize(from: Elements<'_>, to: &mut Normalized<'_>, factors: &[i32], finish: &Finish) {
    let (to, count, wide_out, zero) = match to {
        Normalized::I8(to, zero) => (to.as_mut_ptr().cast::<u8>(), to.len(), 0, *zero),
        Normalized::I16(to) => (to.as_mut_ptr().cast(), to.len(), 1, 0),
    };
    let (from, found, wide_in) = match from {
        Elements::I8(from) => (from.as_ptr().cast(), from.len(), 0),
        Elements::I16(from) => (from.as_ptr().cast(), from.len(), 1),
        Elements::InPlace => (to.cast_const(), count, wide_out),
    };
    let channels = factors.len() / 3;
    assert!(3 * channels == factors.len() && found == count);
    if count == 0 || channels == 0 || !count.is_multiple_of(channels) {
        return;
    }
    let job = Normalization {
        factors: factors.as_ptr(),
        to_end: to.wrapping_add(count << wide_out),
        wide_in,
        lines: if finish.silu {
            SIGMOID_Q17.as_ptr()
        } else {
            core::ptr::null()
        },
        mult_low: finish.mult as u32 & 0xFFFF,
        mult_high: finish.mult >> 16,
        round: finish.round,
        shift: finish.shift,
        zero,
        wide_out,
    };
    // SAFETY: input and output have as many elements, in whole positions of so many channels; where they are one memory, each
    // element is read before it is written.
    unsafe { normalize_elements(from, to, factors.as_ptr_range().end, &job) };
}

/// What [`normalize_elements`] reads, in this order.
#[repr(C)]
struct Normalization {
    factors: *const i32,
    to_end: *const u8,
    wide_in: u32,
    /// Null without SiLU.
    lines: *const u16,
    mult_low: u32,
    mult_high: i32,
    round: i32,
    shift: u32,
    zero: i32,
    wide_out: u32,
}

/// `(input, output, end of the factors, job)`. The number formats are looked at for every element.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn normalize_elements(from: *const u8, to: *mut u8, factors_end: *const i32, job: &Normalization) {
    // r7 job, r8 input, r9 output, r10 factors, r11 their end.
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "mov r8, r0",
        "mov r9, r1",
        "mov r11, r2",
        "mov r7, r3",
        "1:",
        "ldr r0, [r7]",
        "mov r10, r0",
        "2:",
        // q in r3.
        "mov r0, r8",
        "movs r1, #0",
        "ldr r2, [r7, #8]",
        "cmp r2, #0",
        "bne 3f",
        "ldrsb r3, [r0, r1]",
        "adds r0, #1",
        "b 4f",
        "3:",
        "ldrsh r3, [r0, r1]",
        "adds r0, #2",
        "4:",
        "mov r8, r0",
        // y in r0.
        "mov r6, r10",
        "ldmia r6!, {{r0-r2}}",
        "mov r10, r6",
        "lsrs r1, r1, #16",
        "uxth r4, r0",
        "muls r4, r3, r4",
        "adds r1, r1, r4",
        "asrs r1, r1, #16",
        "asrs r0, r0, #16",
        "muls r0, r3, r0",
        "adds r0, r0, r2",
        "adds r0, r0, r1",
        "ldr r5, [r7, #12]",
        "cmp r5, #0",
        "beq 6f",
        // SiLU, see `silu_q16`: r2 magnitude, r3 interval, r4 distance of the sigmoid from 1/2.
        "asrs r1, r0, #31",
        "movs r2, r0",
        "eors r2, r1",
        "subs r2, r2, r1",
        "lsrs r3, r2, #11",
        "lsrs r4, r3, #7",
        "cmp r4, #3",
        "bhs 5f",
        "lsls r4, r3, #1",
        "adds r5, r5, r4",
        "ldrh r4, [r5]",
        "ldrh r5, [r5, #2]",
        "subs r5, r5, r4",
        "lsls r2, r2, #21",
        "lsrs r2, r2, #21",
        "muls r5, r2, r5",
        "lsls r4, r4, #11",
        "adds r4, r4, r5",
        // Their product less 27 bits, as `product_q27` has it.
        "uxth r5, r4",
        "lsrs r4, r4, #16",
        "movs r6, r5",
        "muls r6, r3, r6",
        "muls r5, r2, r5",
        "lsrs r5, r5, #11",
        "adds r6, r6, r5",
        "muls r2, r4, r2",
        "lsls r2, r2, #5",
        "adds r6, r6, r2",
        "lsrs r6, r6, #16",
        "muls r3, r4, r3",
        "adds r6, r6, r3",
        "adds r0, r0, r6",
        "adds r0, #1",
        "asrs r0, r0, #1",
        "b 6f",
        "5:",
        "bics r0, r1",
        "6:",
        // The factor, see `high_product`.
        "ldr r1, [r7, #16]",
        "ldr r2, [r7, #20]",
        "uxth r3, r0",
        "asrs r0, r0, #16",
        "movs r4, r3",
        "muls r4, r1, r4",
        "lsrs r4, r4, #16",
        "muls r1, r0, r1",
        "adds r4, r4, r1",
        "muls r3, r2, r3",
        "uxth r5, r4",
        "adds r3, r3, r5",
        "asrs r3, r3, #16",
        "asrs r4, r4, #16",
        "muls r0, r2, r0",
        "adds r0, r0, r3",
        "adds r0, r0, r4",
        "ldr r1, [r7, #24]",
        "adds r0, r0, r1",
        "ldr r1, [r7, #28]",
        "asrs r0, r1",
        "ldr r1, [r7, #32]",
        "adds r0, r0, r1",
        "mov r1, r9",
        "ldr r2, [r7, #36]",
        "cmp r2, #0",
        "bne 8f",
        "sxtb r3, r0",
        "cmp r3, r0",
        "beq 7f",
        "asrs r0, r0, #31",
        "movs r3, #127",
        "eors r0, r3",
        "7:",
        "strb r0, [r1]",
        "adds r1, #1",
        "b 10f",
        "8:",
        "sxth r3, r0",
        "cmp r3, r0",
        "beq 9f",
        "asrs r0, r0, #31",
        "ldr r3, 11f",
        "eors r0, r3",
        "9:",
        "strh r0, [r1]",
        "adds r1, #2",
        "10:",
        "mov r9, r1",
        "cmp r10, r11",
        "bne 2b",
        "ldr r2, [r7, #4]",
        "cmp r1, r2",
        "bne 1b",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
        ".p2align 2",
        "11:",
        ".word 32767",
    )
}

/// Two activations of an int8 input fit one multiplication with a nibble: `n (a + 2^16 b) = n a + 2^16 n b`.

/// Makes the pairs of every block's word `a + 2^16 b` as a number, not as two halves: a negative `a` borrows from `b`.
fn pair_up(columns: &mut [i16]) {
    let (taps, _) = columns.as_chunks_mut::<{ 2 * COLUMNS }>();
    // SAFETY: there are as many times four words.
    unsafe { pair_words(taps.as_mut_ptr().cast(), taps.len()) };
}

/// `(words, how many times four)`.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn pair_words(words: *mut u32, count: usize) {
    macro_rules! word {
        ($word:literal) => {
            concat!(
                "lsls r6, ",
                $word,
                ", #16\n",
                "lsrs r6, r6, #31\n",
                "lsls r6, r6, #16\n",
                "subs ",
                $word,
                ", ",
                $word,
                ", r6\n",
            )
        };
    }
    naked_asm!(
        "push {{r4-r6, lr}}",
        "cmp r1, #0",
        "beq 3f",
        "2:",
        "ldmia r0!, {{r2-r5}}",
        "subs r0, #16",
        word!("r2"),
        word!("r3"),
        word!("r4"),
        word!("r5"),
        "stmia r0!, {{r2-r5}}",
        "subs r1, #1",
        "bne 2b",
        "3:",
        "pop {{r4-r6, pc}}",
    )
}

/// Outputs of int4 rows at the columns of a block that [`pair_up`] has seen; elements are at most 255 in magnitude.
fn rows4(rows: &Rows4<'_>, columns: &[i16], tile: &mut [[i32; COLUMNS]]) {
    assert!(rows.words > 0 && columns.len() >= rows.words * 8 * COLUMNS);
    for (channel, values) in tile.iter_mut().enumerate() {
        let words = &rows.weights[channel * rows.words..][..rows.words];
        // SAFETY: the block has as many taps as the words.
        unsafe { dot_pairs4(words.as_ptr(), columns.as_ptr(), 4 * rows.words, values) };
        let bias = rows.bias[channel];
        *values = values.map(|dot| bias + dot);
        rows.requant(channel).apply_all(values);
    }
}

/// `(row, block, its bytes, four sums)`. Sixteen taps keep a pair's halves within 16 bits: `16 * 8 * 255 < 2^15`. The lower
/// half starts at 2^15, so that it never borrows from the upper one.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn dot_pairs4(row: *const u32, columns: *const i16, bytes: usize, dots: &mut [i32; COLUMNS]) {
    // r0 row, r1 block, r2 words, r3 weight, r4 and r5 pairs, r6 word, r7 2^15, r8 and r9 sums of pairs, r10..r12 and lr sums.
    macro_rules! tap {
        // A nibble to the top, and down again with its sign.
        ($up:literal) => {
            tap!(@ concat!("lsls r3, r6, #", $up, "\nasrs r3, r3, #28\n"))
        };
        () => {
            tap!(@ "asrs r3, r6, #28\n")
        };
        (@ $nibble:expr) => {
            concat!(
                "ldmia r1!, {{r4, r5}}\n",
                $nibble,
                "muls r4, r3, r4\n",
                "add r8, r4\n",
                "muls r5, r3, r5\n",
                "add r9, r5\n",
            )
        };
    }
    macro_rules! word {
        () => {
            concat!(
                "ldmia r0!, {{r6}}\n",
                tap!(28),
                tap!(20),
                tap!(12),
                tap!(4),
                tap!(24),
                tap!(16),
                tap!(8),
                tap!(),
            )
        };
    }
    naked_asm!(
        enter!(),
        "movs r7, #1",
        "lsls r7, r7, #15",
        "mov r8, r7",
        "mov r9, r7",
        "mov lr, r4",
        // The lower halves' 2^15 of every sixteen taps.
        "lsrs r2, r2, #2",
        "adds r5, r2, #1",
        "lsrs r5, r5, #1",
        "lsls r5, r5, #15",
        "subs r4, r4, r5",
        "mov r10, r4",
        "mov r12, r4",
        "lsrs r4, r2, #1",
        "bcc 2f",
        "adds r2, #1",
        "b 3f",
        "2:",
        word!(),
        "3:",
        word!(),
        // The halves of the pairs to the sums.
        "mov r4, r8",
        "uxth r5, r4",
        "add r10, r5",
        "asrs r4, r4, #16",
        "add r11, r4",
        "mov r4, r9",
        "uxth r5, r4",
        "add r12, r5",
        "asrs r4, r4, #16",
        "add lr, r4",
        "mov r8, r7",
        "mov r9, r7",
        "subs r2, #2",
        "beq 5f",
        "b 2b",
        "5:",
        "ldr r0, [sp, #16]",
        "mov r4, r10",
        "mov r5, r11",
        "mov r6, r12",
        "mov r7, lr",
        // A nibble counts 16.
        "lsls r4, r4, #4",
        "lsls r5, r5, #4",
        "lsls r6, r6, #4",
        "lsls r7, r7, #4",
        "stmia r0!, {{r4-r7}}",
        leave!(),
    )
}

/// Rows of weights from dot products to stored outputs, four columns a row. The frame of all three functions: four dot
/// products, the job, the weights, the bytes from an output to that of the next column, and what [`store_values`] saves.
macro_rules! storing_rows {
    ($name:ident, $dot:ident) => {
        /// # Safety
        /// `weights` and the pointers in `job` are good for the rows, columns, factors and outputs that the job counts.
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(weights: *const u8, job: &mut Frame) -> *const u8 {
            naked_asm!(
                "push {{r4-r7, lr}}",
                "sub sp, #36",
                "str r1, [sp, #16]",
                "str r0, [sp, #20]",
                "ldr r2, [r1, #20]",
                "str r2, [sp, #24]",
                "2:",
                "ldr r4, [sp, #16]",
                "ldr r0, [sp, #20]",
                "ldr r1, [r4]",
                "ldr r2, [r4, #28]",
                "mov r3, sp",
                "bl {dot}",
                "ldr r0, [sp, #20]",
                "ldr r1, [r4, #28]",
                "adds r0, r0, r1",
                "str r0, [sp, #20]",
                "bl {values}",
                "ldr r2, [sp, #20]",
                "cmp r0, #0",
                "beq 3f",
                "ldr r0, [sp, #16]",
                "ldr r1, [r0, #32]",
                "cmp r1, r2",
                "bne 2b",
                "movs r2, #0",
                "3:",
                "mov r0, r2",
                "add sp, #36",
                "pop {{r4-r7, pc}}",
                dot = sym $dot,
                values = sym store_values,
            )
        }
    };
}

storing_rows!(store_rows8, dot_block8);
storing_rows!(store_rows4, dot_pairs4);

/// In a frame of [`storing_rows`], job in r4: biases, factor, rounding, zero point and store of a row. Gives 0 in r0 where it
/// cannot.
///
/// # Safety
/// Not called from Rust: kernels jump here, in a frame and with registers that both know.
#[unsafe(naked)]
unsafe extern "C" fn store_values() {
    // r3 and r7 halves of the multiplier, r5 shift, r6 output, r12 rounding, lr bias; see `high_product`.
    macro_rules! value {
        ($at:literal, $narrow:literal, $most:literal, $store:literal) => {
            concat!(
                "ldr r0, [sp, #",
                $at,
                "]\n",
                "add r0, lr\n",
                "uxth r1, r0\n",
                "asrs r0, r0, #16\n",
                "movs r2, r1\n",
                "muls r2, r3, r2\n",
                "lsrs r2, r2, #16\n",
                "movs r4, r0\n",
                "muls r4, r3, r4\n",
                "adds r2, r2, r4\n",
                "muls r1, r7, r1\n",
                "uxth r4, r2\n",
                "adds r1, r1, r4\n",
                "asrs r1, r1, #16\n",
                "asrs r2, r2, #16\n",
                "muls r0, r7, r0\n",
                "adds r0, r0, r1\n",
                "adds r0, r0, r2\n",
                "add r0, r12\n",
                "asrs r0, r5\n",
                $narrow,
                " r1, r0\n",
                "cmp r1, r0\n",
                "beq 20f\n",
                "asrs r0, r0, #31\n",
                $most,
                "eors r0, r1\n",
                "20:\n",
                $store,
                " r0, [r6]\n",
                "ldr r1, [sp, #24]\n",
                "adds r6, r6, r1\n",
            )
        };
    }
    macro_rules! biased {
        ($at:literal) => {
            concat!(
                "ldr r0, [sp, #",
                $at,
                "]\n",
                "add r0, lr\n",
                "str r0, [sp, #",
                $at,
                "]\n",
                "asrs r1, r0, #31\n",
                "eors r1, r0\n",
                "orrs r2, r1\n",
            )
        };
    }
    macro_rules! shifted {
        ($at:literal) => {
            concat!(
                "ldr r0, [sp, #",
                $at,
                "]\nlsls r0, r5\nstr r0, [sp, #",
                $at,
                "]\n"
            )
        };
    }
    naked_asm!(
        "mov r0, lr",
        "str r0, [sp, #28]",
        "ldr r0, [r4, #4]",
        "ldmia r0!, {{r1}}",
        "str r0, [r4, #4]",
        "mov lr, r1",
        "ldr r0, [r4, #8]",
        "ldmia r0!, {{r3}}",
        "str r0, [r4, #8]",
        "lsrs r7, r3, #16",
        "uxth r3, r3",
        "ldr r0, [r4, #12]",
        "ldrb r5, [r0]",
        "adds r0, #1",
        "str r0, [r4, #12]",
        "subs r5, #33",
        "bge 3f",
        // A left shift first, unless it overflows.
        "rsbs r5, r5, #0",
        "movs r2, #0",
        biased!(0),
        biased!(4),
        biased!(8),
        biased!(12),
        "movs r1, #31",
        "subs r1, r1, r5",
        "ble 2f",
        "lsrs r2, r1",
        "bne 2f",
        shifted!(0),
        shifted!(4),
        shifted!(8),
        shifted!(12),
        "movs r5, #0",
        "mov lr, r5",
        "b 4f",
        "2:",
        "movs r0, #0",
        "ldr r1, [sp, #28]",
        "bx r1",
        "3:",
        "cmp r5, #20",
        "bhi 2b",
        "4:",
        "ldr r0, [r4, #24]",
        "lsls r0, r5",
        "mov r12, r0",
        "adds r5, #1",
        "ldr r6, [r4, #16]",
        "ldr r0, [r4, #36]",
        "cmp r0, #0",
        "bne 5f",
        "adds r0, r6, #1",
        "str r0, [r4, #16]",
        value!(0, "sxtb", "movs r1, #127\n", "strb"),
        value!(4, "sxtb", "movs r1, #127\n", "strb"),
        value!(8, "sxtb", "movs r1, #127\n", "strb"),
        value!(12, "sxtb", "movs r1, #127\n", "strb"),
        "b 6f",
        "5:",
        "adds r0, r6, #2",
        "str r0, [r4, #16]",
        value!(0, "sxth", "ldr r1, 7f\n", "strh"),
        value!(4, "sxth", "ldr r1, 7f\n", "strh"),
        value!(8, "sxth", "ldr r1, 7f\n", "strh"),
        value!(12, "sxth", "ldr r1, 7f\n", "strh"),
        "6:",
        "movs r0, #1",
        "ldr r1, [sp, #28]",
        "bx r1",
        ".p2align 2",
        "7:",
        ".word 32767",
    )
}
