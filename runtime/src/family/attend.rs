//! What the DSP extension does for a row of an attention of int8: scores, powers of two, shares in pairs of 16 bits, sums.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::Rescale;
use crate::numeric::table::EXP2_NEG_Q30;

/// See [`super::Family::scores8`].
pub fn scores8(q: &[i16], k: &[i8], step: usize, up: u32, factor: &Rescale, scores: &mut [i32]) -> i32 {
    let (depth, count) = (q.len(), scores.len());
    assert!(depth > 0 && depth.is_multiple_of(8) && count > 0 && step >= depth);
    assert!(k.len() >= (count - 1) * step + depth && k.as_ptr().cast::<i32>().is_aligned() && step.is_multiple_of(4));
    assert!(q.as_ptr().cast::<i32>().is_aligned());
    let range = q.as_ptr_range();
    let job = Scores {
        mult: factor.mult,
        half: factor.half,
        shift: factor.shift,
        skip: step - depth,
        end: scores.as_ptr_range().end,
        up,
        query: range.start,
        query_end: range.end,
    };
    // SAFETY: `count` keys of as many channels as the query, whole words, a step apart, and as many scores.
    unsafe { score_rows8(k.as_ptr(), scores.as_mut_ptr(), &job) }
}

/// See [`super::Family::powers`].
pub fn powers(scores: &mut [i32], top: i32) -> u32 {
    assert!(!scores.is_empty());
    let range = scores.as_mut_ptr_range();
    // SAFETY: at least one score; the table has every index and the one behind it.
    unsafe { powers_of(range.start, range.end, top, EXP2_NEG_Q30.as_ptr()) }
}

/// See [`super::Family::shares`].
pub fn shares(powers: &mut [i32], twice: i32) {
    assert!(!powers.is_empty() && powers.len().is_multiple_of(4));
    let range = powers.as_mut_ptr_range();
    // SAFETY: whole groups of four; what is written lies before what is read next.
    unsafe { share_powers(range.start, range.end, twice) };
}

/// See [`super::Family::weigh_pairs8`].
pub fn weigh_pairs8(pairs: &[i32], v: &[i8], step: usize, sums: &mut [i32; 4]) {
    let keys = 2 * pairs.len();
    assert!(!pairs.is_empty() && keys.is_multiple_of(4) && v.len() >= (keys - 1) * step + 4);
    let range = pairs.as_ptr_range();
    // SAFETY: two keys a pair, four channels each, a step apart.
    unsafe { weigh_pairs(range.start, range.end, v.as_ptr(), step, sums) };
}

/// What [`score_rows8`] loads, in this order.
#[repr(C)]
struct Scores {
    mult: i32,
    half: i32,
    shift: u32,
    skip: usize,
    end: *const i32,
    up: u32,
    query: *const i16,
    query_end: *const i16,
}

/// `(keys, scores, job)` to the largest score: the high word of dot product times factor.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the job says, at least one.
#[unsafe(naked)]
unsafe extern "C" fn score_rows8(keys: *const i8, scores: *mut i32, job: &Scores) -> i32 {
    /// Eight channels: r3 query, r5 to r8 its pairs, r9 and r10 a key's words, r4 sum.
    macro_rules! eight {
        () => {
            concat!(
                "ldrd r9, r10, [r0], #8\n",
                "ldmia r3!, {{r5-r8}}\n",
                "sxtb16 r11, r9\n",
                "sxtb16 r9, r9, ror #8\n",
                "smlad r4, r11, r5, r4\n",
                "sxtb16 r11, r10\n",
                "smlad r4, r9, r6, r4\n",
                "sxtb16 r10, r10, ror #8\n",
                "smlad r4, r11, r7, r4\n",
                "smlad r4, r10, r8, r4\n",
            )
        };
    }
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r11, lr}}",
        "mov lr, #0x80000000",
        "ldr r12, [r2, #28]",
        "2:",
        "ldr r3, [r2, #24]",
        "movs r4, #0",
        "sub r5, r12, r3",
        "lsls r5, r5, #27",
        "bne 4f",
        "3:",
        eight!(),
        "4:",
        eight!(),
        "cmp r3, r12",
        "bne 3b",
        "ldmia r2, {{r5-r10}}",
        "lsl r4, r4, r10",
        "smmla r4, r4, r5, r6",
        "add r0, r8",
        "asr r4, r4, r7",
        "cmp r4, lr",
        "it gt",
        "movgt lr, r4",
        "str r4, [r1], #4",
        "cmp r1, r9",
        "bne 2b",
        "mov r0, lr",
        "pop {{r4-r11, pc}}",
    )
}

/// `(scores, their end, the largest, table)` to the sum of the powers, as [`exp2_neg_q16`](crate::numeric::exp2::exp2_neg_q16).
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn powers_of(scores: *mut i32, end: *mut i32, top: i32, table: *const u32) -> u32 {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r9, lr}}",
        "movs r4, #0",
        "2:",
        "ldr r5, [r0]",
        "sub r5, r2, r5",
        "lsrs r6, r5, #16",
        "cmp r6, #17",
        "bhi 4f",
        "ubfx r7, r5, #9, #7",
        "ubfx r5, r5, #0, #9",
        "add r7, r3, r7, lsl #2",
        "ldrd r8, r9, [r7]",
        "adds r6, #13",
        "sub r9, r8, r9",
        "mul r9, r9, r5",
        "sub r8, r8, r9, lsr #9",
        "lsr r8, r8, r6",
        "add r8, r8, #1",
        "lsr r8, r8, #1",
        "add r4, r4, r8",
        "3:",
        "str r8, [r0], #4",
        "cmp r0, r1",
        "bne 2b",
        "mov r0, r4",
        "pop {{r4-r9, pc}}",
        "4:",
        "mov r8, #0",
        "b 3b",
    )
}

/// `(powers, their end, twice the reciprocal of their sum)`: to shares of 16 bits at the front.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn share_powers(powers: *mut i32, end: *mut i32, twice: i32) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r7, lr}}",
        "mov r3, r0",
        "2:",
        "ldmia r0!, {{r4-r7}}",
        "smmulr r4, r4, r2",
        "smmulr r5, r5, r2",
        "smmulr r6, r6, r2",
        "smmulr r7, r7, r2",
        "pkhbt r4, r4, r5, lsl #16",
        "pkhbt r6, r6, r7, lsl #16",
        "cmp r0, r1",
        "strd r4, r6, [r3], #8",
        "bne 2b",
        "pop {{r4-r7, pc}}",
    )
}

/// `(pairs of shares, their end, elements, bytes from a key to the next, four sums)`.
///
/// # Safety
/// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
/// written is in memory that the caller holds.
#[unsafe(naked)]
unsafe extern "C" fn weigh_pairs(pairs: *const i32, end: *const i32, v: *const i8, step: usize, sums: &mut [i32; 4]) {
    /// Two keys, four channels: r2 elements, r3 step, r4 to r7 sums, r10 to r12 elements.
    macro_rules! two {
        ($pair:literal) => {
            concat!(
                "ldr r10, [r2]\n",
                "ldr r11, [r2, r3]\n",
                "add r2, r2, r3, lsl #1\n",
                "pkhbt r12, r10, r11, lsl #16\n",
                "pkhtb r10, r11, r10, asr #16\n",
                "sxtb16 r11, r12\n",
                "sxtb16 r12, r12, ror #8\n",
                "smlad r4, r11, ",
                $pair,
                ", r4\n",
                "smlad r5, r12, ",
                $pair,
                ", r5\n",
                "sxtb16 r11, r10\n",
                "sxtb16 r10, r10, ror #8\n",
                "smlad r6, r11, ",
                $pair,
                ", r6\n",
                "smlad r7, r10, ",
                $pair,
                ", r7\n",
            )
        };
    }
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r12, lr}}",
        "ldr lr, [sp, #40]",
        "ldmia lr, {{r4-r7}}",
        "2:",
        "ldrd r8, r9, [r0], #8",
        two!("r8"),
        two!("r9"),
        "cmp r0, r1",
        "bne 2b",
        "stmia lr, {{r4-r7}}",
        "pop {{r4-r12, pc}}",
    )
}
