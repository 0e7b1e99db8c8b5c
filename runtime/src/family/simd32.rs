//! What the DSP extension does for activations, for the families that have it: `SMLALD`, `SMMLA`, `SMMULR` and saturation.
//! Sums, scales, normalization; and the calls of a family's kernels for the channels of a tile.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ops::Range;

use super::{CHUNK, InputPart};
use super::{Elements, Finish, Normalized, portable};
use crate::numeric::requant::{SmallRequant, high_product, saturate_i8, saturate_i16};
use crate::numeric::sigmoid_lines::{LINES_AT_12, SIGMOID_LINES};
use crate::tensor::view::{View, ViewMut};

/// A factor for 16-bit values as kernels load it, in this order: `((q - zero) * mult >> 16) + round >> shift`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Scale {
    mult: i32,
    round: i32,
    shift: u32,
    /// Minus the zero point, twice.
    zeros: u32,
}

impl Scale {
    /// `None` where only the definition will do.
    pub fn new(requant: &SmallRequant, zero: i32) -> Option<Self> {
        let (up, mult, round, shift) = requant.parts()?;
        let shift = shift + 16 - up;
        (shift < 32).then_some(Self {
            mult,
            round: round << (16 - up),
            shift,
            zeros: (zero.wrapping_neg() as u32 & 0xFFFF) * 0x1_0001,
        })
    }
}

/// See [`portable::join8`].
pub fn join8(from: &[i8], zero: i32, requant: &SmallRequant, to: &mut [i16]) {
    match Scale::new(requant, zero) {
        Some(factor) => join(scale_8, from, &factor, to),
        None => portable::join8(from, zero, requant, to),
    }
}

/// See [`portable::join8`].
pub fn join16(from: &[i16], requant: &SmallRequant, to: &mut [i16]) {
    match Scale::new(requant, 0) {
        Some(factor) => join(scale_16, from, &factor, to),
        None => portable::join16(from, requant, to),
    }
}

type Scaler<I> = unsafe extern "C" fn(*const I, *mut i16, usize, &Scale);

fn join<I>(kernel: Scaler<I>, from: &[I], factor: &Scale, to: &mut [i16]) {
    let count = to.len().min(from.len());
    // SAFETY: both have `count` elements.
    unsafe { kernel(from.as_ptr(), to.as_mut_ptr(), count, factor) };
}

/// Four int8 elements, in `$word`, times the factor in r3 to r6: the first and the third to `$a` and `$c`, the others to `$b` and
/// `$word`.
macro_rules! scaled_word {
    ($word:literal, $a:literal, $b:literal, $c:literal) => {
        concat!(
            "sxtab16 ",
            $c,
            ", r6, ",
            $word,
            "\n",
            "sxtab16 ",
            $word,
            ", r6, ",
            $word,
            ", ror #8\n",
            "smlawb ",
            $a,
            ", r3, ",
            $c,
            ", r4\n",
            "smlawt ",
            $c,
            ", r3, ",
            $c,
            ", r4\n",
            "smlawb ",
            $b,
            ", r3, ",
            $word,
            ", r4\n",
            "smlawt ",
            $word,
            ", r3, ",
            $word,
            ", r4\n",
            "asr ",
            $a,
            ", ",
            $a,
            ", r5\n",
            "asr ",
            $c,
            ", ",
            $c,
            ", r5\n",
            "asr ",
            $b,
            ", ",
            $b,
            ", r5\n",
            "asr ",
            $word,
            ", ",
            $word,
            ", r5\n",
            "ssat ",
            $a,
            ", #16, ",
            $a,
            "\n",
            "ssat ",
            $c,
            ", #16, ",
            $c,
            "\n",
            "ssat ",
            $b,
            ", #16, ",
            $b,
            "\n",
            "ssat ",
            $word,
            ", #16, ",
            $word,
            "\n",
        )
    };
}
#[cfg(mote_family = "dsp")]
pub(super) use scaled_word;

/// `(input, output, elements, factor)`.
macro_rules! scaling {
    ($name:ident, $in:ty, $load:literal, $words:expr) => {
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(from: *const $in, to: *mut i16, count: usize, job: &Scale) {
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r11, lr}}",
                "ldmia r3, {{r3-r6}}",
                $words,
                "cmp r2, #0",
                "beq 3f",
                "2:",
                $load,
                "add r8, r6",
                "smlawb r8, r3, r8, r4",
                "subs r2, #1",
                "asr r8, r8, r5",
                "ssat r8, #16, r8",
                "strh r8, [r1], #2",
                "bne 2b",
                "3:",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

scaling!(
    scale_8,
    i8,
    "ldrsb r8, [r0], #1",
    concat!(
        "subs r2, #4\n",
        "blt 5f\n",
        "4:\n",
        "ldr r8, [r0], #4\n",
        scaled_word!("r8", "r9", "r10", "r11"),
        "pkhbt r9, r9, r10, lsl #16\n",
        "pkhbt r11, r11, r8, lsl #16\n",
        "subs r2, #4\n",
        "str r9, [r1], #4\n",
        "str r11, [r1], #4\n",
        "bge 4b\n",
        "5:\n",
        "add r2, #4",
    )
);
scaling!(scale_16, i16, "ldrsh r8, [r0], #2", "");

/// See [`portable::dot8`].
#[inline]
pub fn dot8(a: &[i8], b: &[i8]) -> i32 {
    let count = a.len().min(b.len());
    // SAFETY: both have `count` elements.
    unsafe { dot_plain8(a.as_ptr(), b.as_ptr(), count) }
}

/// `(elements, elements, count)` to the sum of products.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn dot_plain8(a: *const i8, b: *const i8, count: usize) -> i32 {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4, r5, lr}}",
        "movs r3, #0",
        "subs r2, #4",
        "blt 3f",
        "2:",
        "ldr r4, [r0], #4",
        "ldr r5, [r1], #4",
        "sxtb16 r12, r4",
        "sxtb16 lr, r5",
        "smlad r3, r12, lr, r3",
        "sxtb16 r12, r4, ror #8",
        "sxtb16 lr, r5, ror #8",
        "subs r2, #4",
        "smlad r3, r12, lr, r3",
        "bge 2b",
        "3:",
        "adds r2, #4",
        "beq 5f",
        "4:",
        "ldrsb r4, [r0], #1",
        "ldrsb r5, [r1], #1",
        "subs r2, #1",
        "mla r3, r4, r5, r3",
        "bne 4b",
        "5:",
        "mov r0, r3",
        "pop {{r4, r5, pc}}",
    )
}

/// See [`portable::dot8`].
#[inline]
pub fn dot16(a: &[i16], b: &[i16]) -> i64 {
    let count = a.len().min(b.len());
    // SAFETY: both have `count` elements.
    unsafe { dot_plain16(a.as_ptr(), b.as_ptr(), count) }
}

/// `(elements, elements, count)` to the sum of products.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn dot_plain16(a: *const i16, b: *const i16, count: usize) -> i64 {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4, r5, lr}}",
        "movs r4, #0",
        "movs r5, #0",
        "subs r2, #2",
        "blt 3f",
        "2:",
        "ldr r3, [r0], #4",
        "ldr r12, [r1], #4",
        "subs r2, #2",
        "smlald r4, r5, r3, r12",
        "bge 2b",
        "3:",
        "adds r2, #1",
        "bne 4f",
        "ldrsh r3, [r0]",
        "ldrsh r12, [r1]",
        "smlal r4, r5, r3, r12",
        "4:",
        "mov r0, r4",
        "mov r1, r5",
        "pop {{r4, r5, pc}}",
    )
}

/// Whether [`normalize`] can do it, on pieces of `channels`: it takes two at a time, adds the zero point to the rounding, and has lines
/// for SiLU, which are off at 12.
pub fn normalizes(finish: &Finish, channels: usize, out: &ViewMut<'_>) -> bool {
    let zero = match out {
        ViewMut::I8(_, zero) => *zero,
        _ => 0,
    };
    let end = |silu| {
        let v = (high_product(silu, finish.mult) + finish.round) >> finish.shift;
        match out {
            ViewMut::I8(..) => saturate_i8(v + zero).into(),
            _ => saturate_i16(v),
        }
    };
    let fits = zero == 0 || finish.shift <= 22;
    channels.is_multiple_of(2) && fits && (!finish.silu || end(12 << 16) == end(LINES_AT_12))
}

/// See [`portable::normalize`]; only what [`normalizes`] agrees to.
pub fn normalize(from: Elements<'_>, to: &mut Normalized<'_>, factors: &[i32], finish: &Finish) {
    let job = Normalization::new(to, factors, finish);
    match (from, to) {
        (Elements::I8(from), Normalized::I8(to, _)) => {
            run([affine_8_8, silu_8_8], finish.silu, from, to, factors, &job)
        }
        (Elements::I16(from), Normalized::I8(to, _)) => {
            run([affine_16_8, silu_16_8], finish.silu, from, to, factors, &job)
        }
        (Elements::I8(from), Normalized::I16(to)) => {
            run([affine_8_16, silu_8_16], finish.silu, from, to, factors, &job)
        }
        (Elements::I16(from), Normalized::I16(to)) => {
            run([affine_16_16, silu_16_16], finish.silu, from, to, factors, &job)
        }
        (Elements::InPlace, Normalized::I8(to, _)) => {
            run_in_place([affine_8_8, silu_8_8], finish.silu, to, factors, &job)
        }
        (Elements::InPlace, Normalized::I16(to)) => {
            run_in_place([affine_16_16, silu_16_16], finish.silu, to, factors, &job)
        }
    }
}

/// Normalizes positions of a concatenation, a position at a time; whether there is a kernel for it.
pub fn normalize_two(
    parts: &[InputPart<'_>; 2],
    positions: Range<usize>,
    to: &mut Normalized<'_>,
    factors: &[i32],
    finish: &Finish,
) -> bool {
    let part = |part: &InputPart<'_>| match (part.view, &part.requant) {
        (View::I8(data, zero), Some(requant)) => {
            let data = data.get(positions.start * part.channels..positions.end * part.channels)?;
            Some((data.as_ptr(), part.channels, Scale::new(requant, zero)?))
        }
        _ => None,
    };
    let (Some((mut a, first, by)), Some((mut b, second, and))) = (part(&parts[0]), part(&parts[1])) else {
        return false;
    };
    let (mut joined, channels) = ([0; CHUNK], first + second);
    if channels > CHUNK {
        return false;
    }
    let mut job = Normalization::new(to, factors, finish);
    let (kernel, mut at, size): (Normalizer<i16>, *mut u8, usize) = match to {
        Normalized::I8(to, _) => (
            if finish.silu { silu_16_8 } else { affine_16_8 },
            to.as_mut_ptr().cast(),
            1,
        ),
        Normalized::I16(to) => (
            if finish.silu { silu_16_16 } else { affine_16_16 },
            to.as_mut_ptr().cast(),
            2,
        ),
    };
    let whole = (job.to_end as usize).wrapping_sub(at as usize) == positions.len() * channels * size;
    assert!(whole && channels > 0 && factors.len() == 3 * channels);
    for _ in positions {
        let next = at.wrapping_add(channels * size);
        job.to_end = next;
        // SAFETY: a position of each part, a place for both, as many factors, and as many outputs.
        unsafe {
            scale_8(a, joined.as_mut_ptr(), first, &by);
            scale_8(b, joined.as_mut_ptr().add(first), second, &and);
            kernel(joined.as_ptr(), at, factors.as_ptr(), &job);
        }
        (a, b, at) = (a.wrapping_add(first), b.wrapping_add(second), next);
    }
    true
}

type Normalizer<I> = unsafe extern "C" fn(*const I, *mut u8, *const i32, &Normalization);

/// The kernel without or with SiLU over whole positions.
fn run<I, O>(kernels: [Normalizer<I>; 2], silu: bool, from: &[I], to: &mut [O], factors: &[i32], job: &Normalization) {
    assert!(from.len() == to.len() && positions_are_whole(to.len(), factors));
    // SAFETY: input and output have as many elements, in whole positions of `factors.len() / 3` channels.
    unsafe { kernels[usize::from(silu)](from.as_ptr(), to.as_mut_ptr().cast(), factors.as_ptr(), job) }
}

/// As [`run`], over the output's own memory.
fn run_in_place<T>(kernels: [Normalizer<T>; 2], silu: bool, to: &mut [T], factors: &[i32], job: &Normalization) {
    assert!(positions_are_whole(to.len(), factors));
    let to_start = to.as_mut_ptr();
    // SAFETY: as in `run`; each element is read before it is written.
    unsafe { kernels[usize::from(silu)](to_start, to_start.cast(), factors.as_ptr(), job) }
}

fn positions_are_whole(elements: usize, factors: &[i32]) -> bool {
    elements > 0 && factors.len() >= 6 && elements.is_multiple_of(factors.len() / 3)
}

/// What the kernels below load once, in this order.
#[repr(C)]
struct Normalization {
    factors_end: *const i32,
    /// The line at 0.
    lines: *const u32,
    mult: i32,
    round: i32,
    shift: u32,
    to_end: *const u8,
}

impl Normalization {
    fn new(to: &Normalized<'_>, factors: &[i32], finish: &Finish) -> Self {
        let (zero, to_end) = match to {
            Normalized::I8(to, zero) => (*zero, to.as_ptr_range().end.cast()),
            Normalized::I16(to) => (0, to.as_ptr_range().end.cast()),
        };
        assert!(factors.len().is_multiple_of(6));
        Self {
            factors_end: factors.as_ptr_range().end,
            lines: &SIGMOID_LINES[512],
            mult: finish.mult,
            round: finish.round.wrapping_add(zero << (finish.shift & 31)),
            shift: finish.shift,
            to_end,
        }
    }
}

/// `(input, output, factors, job)`. An element: `SMLAL` for the affine; the sigmoid's line by a saturated index; `SMMULR`
/// for the product with it; `SMMLA` for the factor.
macro_rules! normalization {
    ($name:ident, $in:ty, $load:literal, $store:literal, $silu:tt) => {
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(from: *const $in, to: *mut u8, factors: *const i32, job: &Normalization) {
            naked_asm!(
env!("MOTE_ASSEMBLER"),
                "push {{r2, r4-r11, lr}}",
                "ldr r4, [r3, #20]",
                "push {{r2, r4}}",
                "ldmia r3, {{r3-r7}}",
                "2:",
                "ldmia r2!, {{r9-r11}}",
                $load,
                "lsl r8, r8, #16",
                "smlal r10, r11, r8, r9",
                normalization!(@silu $silu),
                "asr r11, r11, r7",
                $store,
                "ldmia r2!, {{r9-r11}}",
                $load,
                "lsl r8, r8, #16",
                "smlal r10, r11, r8, r9",
                normalization!(@silu $silu),
                "asr r11, r11, r7",
                $store,
                "cmp r2, r3",
                "bne 2b",
                "ldrd r2, r8, [sp]",
                "cmp r1, r8",
                "bne 2b",
                "add sp, #12",
                "pop {{r4-r11, pc}}",
            )
        }
    };
    (@silu yes) => {
        concat!(
            "sub r9, r11, #1\n",
            "ssat r8, #10, r9, asr #11\n",
            "ldr r8, [r4, r8, lsl #2]\n",
            "lsl r11, r11, #4\n",
            "ubfx r10, r8, #0, #11\n",
            "smlabb r8, r9, r10, r8\n",
            "smmulr r11, r11, r8\n",
            "smmla r11, r11, r5, r6",
        )
    };
    (@silu no) => {
        "smmla r11, r11, r5, r6"
    };
}

normalization!(
    silu_8_8,
    i8,
    "ldrsb r8, [r0], #1",
    "ssat r11, #8, r11\nstrb r11, [r1], #1",
    yes
);
normalization!(
    silu_16_8,
    i16,
    "ldrsh r8, [r0], #2",
    "ssat r11, #8, r11\nstrb r11, [r1], #1",
    yes
);
normalization!(
    silu_8_16,
    i8,
    "ldrsb r8, [r0], #1",
    "ssat r11, #16, r11\nstrh r11, [r1], #2",
    yes
);
normalization!(
    silu_16_16,
    i16,
    "ldrsh r8, [r0], #2",
    "ssat r11, #16, r11\nstrh r11, [r1], #2",
    yes
);
normalization!(
    affine_8_8,
    i8,
    "ldrsb r8, [r0], #1",
    "ssat r11, #8, r11\nstrb r11, [r1], #1",
    no
);
normalization!(
    affine_16_8,
    i16,
    "ldrsh r8, [r0], #2",
    "ssat r11, #8, r11\nstrb r11, [r1], #1",
    no
);
normalization!(
    affine_8_16,
    i8,
    "ldrsb r8, [r0], #1",
    "ssat r11, #16, r11\nstrh r11, [r1], #2",
    no
);
normalization!(
    affine_16_16,
    i16,
    "ldrsh r8, [r0], #2",
    "ssat r11, #16, r11\nstrh r11, [r1], #2",
    no
);

/// See [`portable::moments8`].
pub fn moments8(data: &[i8], channels: usize, first: usize, size: usize) -> (i64, u64) {
    moments([each_8, sums_8], data, channels, first, size)
}

/// See [`portable::moments8`].
pub fn moments16(data: &[i16], channels: usize, first: usize, size: usize) -> (i64, u64) {
    moments([each_16, sums_16], data, channels, first, size)
}

type Summer<I> = unsafe extern "C" fn(*const I, usize, &[usize; 2], &mut [i32; 3]);

/// By the kernel for any number of channels, or that for a multiple of four.
fn moments<I>(kernels: [Summer<I>; 2], data: &[I], channels: usize, first: usize, size: usize) -> (i64, u64) {
    let positions = data.len() / channels.max(1);
    if positions == 0 || size == 0 || first + size > channels {
        return (0, 0);
    }
    let mut sums = [0; 3];
    let steps = [size_of::<I>() * (channels - size), size];
    let kernel = kernels[usize::from(size.is_multiple_of(4))];
    // SAFETY: `first + size` channels are in each of the positions.
    unsafe { kernel(data.as_ptr().add(first), positions, &steps, &mut sums) };
    // A group has at most 2^16 elements of at most 2^15: their sum is a word.
    let [sum, low, high] = sums;
    (sum.into(), u64::from(high as u32) << 32 | u64::from(low as u32))
}

/// `(first element, positions, [bytes to skip, channels], [sum, squares low, squares high])`, of any number of channels.
macro_rules! summing {
    ($name:ident, $in:ty, $load:literal) => {
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(data: *const $in, positions: usize, steps: &[usize; 2], sums: &mut [i32; 3]) {
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r8, lr}}",
                "ldrd r2, lr, [r2]",
                "movs r6, #0",
                "movs r7, #0",
                "mov r8, #0",
                "2:",
                "mov r12, lr",
                "3:",
                $load,
                "subs r12, #1",
                "add r6, r4",
                "smlal r7, r8, r4, r4",
                "bne 3b",
                "subs r1, #1",
                "add r0, r2",
                "bne 2b",
                "stmia r3!, {{r6-r8}}",
                "pop {{r4-r8, pc}}",
            )
        }
    };
}

summing!(each_8, i8, "ldrsb r4, [r0], #1");
summing!(each_16, i16, "ldrsh r4, [r0], #2");

/// See [`portable::joined_sums8`].
pub fn joined_sums8(data: &[i8], zero: i32, requant: &SmallRequant, channels: usize, sums: &mut [i32]) {
    match Scale::new(requant, zero) {
        Some(factor) => joined_sums(scaled_sums_8, data, &factor, channels, sums),
        None => portable::joined_sums8(data, zero, requant, channels, sums),
    }
}

/// See [`portable::joined_sums8`].
pub fn joined_sums16(data: &[i16], requant: &SmallRequant, channels: usize, sums: &mut [i32]) {
    match Scale::new(requant, 0) {
        Some(factor) => joined_sums(scaled_sums_16, data, &factor, channels, sums),
        None => portable::joined_sums16(data, requant, channels, sums),
    }
}

type ScaledSummer<I> = unsafe extern "C" fn(*const I, usize, usize, &Scale, *mut i32);

fn joined_sums<I>(kernel: ScaledSummer<I>, data: &[I], factor: &Scale, channels: usize, sums: &mut [i32]) {
    let positions = data.len() / channels.max(1);
    if positions > 0 && channels > 0 && sums.len() >= 3 * channels {
        // SAFETY: whole positions of so many channels, and as many sums.
        unsafe { kernel(data.as_ptr(), positions, channels, factor, sums.as_mut_ptr()) };
    }
}

/// `(elements, positions, channels, factor, sums of three words)`: a channel at a time, two positions at a time.
macro_rules! scaled_sums {
    ($name:ident, $in:ty, $size:literal, $load:literal) => {
        /// # Safety
        /// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            data: *const $in,
            positions: usize,
            channels: usize,
            factor: &Scale,
            sums: *mut i32,
        ) {
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r1, r2, r4-r11, lr}}",
                "ldr lr, [sp, #44]",
                "ldmia r3, {{r3-r6}}",
                concat!("lsls r2, r2, #", $size),
                "2:",
                "ldr r1, [sp]",
                "ldmia lr, {{r9-r11}}",
                "mov r12, r0",
                "lsls r7, r1, #31",
                "beq 3f",
                concat!($load, " r8, [r12]"),
                "add r12, r2",
                "add r8, r6",
                "smlawb r8, r3, r8, r4",
                "asr r8, r8, r5",
                "ssat r8, #16, r8",
                "add r9, r8",
                "smlal r10, r11, r8, r8",
                "subs r1, #1",
                "beq 4f",
                "3:",
                concat!($load, " r7, [r12]"),
                concat!($load, " r8, [r12, r2]"),
                "add r12, r12, r2, lsl #1",
                "add r7, r6",
                "add r8, r6",
                "smlawb r7, r3, r7, r4",
                "smlawb r8, r3, r8, r4",
                "asr r7, r7, r5",
                "asr r8, r8, r5",
                "ssat r7, #16, r7",
                "ssat r8, #16, r8",
                "add r9, r7",
                "add r9, r8",
                "smlal r10, r11, r7, r7",
                "subs r1, #2",
                "smlal r10, r11, r8, r8",
                "bne 3b",
                "4:",
                "ldr r1, [sp, #4]",
                "stmia lr!, {{r9-r11}}",
                concat!("add r0, #1 << ", $size),
                "subs r1, #1",
                "str r1, [sp, #4]",
                "bne 2b",
                "pop {{r1, r2, r4-r11, pc}}",
            )
        }
    };
}

scaled_sums!(scaled_sums_8, i8, 0, "ldrsb");
scaled_sums!(scaled_sums_16, i16, 1, "ldrsh");

/// See [`portable::weigh8`].
pub fn weigh8(scores: &[i32], v: &[i8], channels: usize, sums: &mut [i32; 4]) {
    weigh(weigh_8, scores, v, channels, sums);
}

/// See [`portable::weigh8`].
pub fn weigh16(scores: &[i32], v: &[i16], channels: usize, sums: &mut [i32; 4]) {
    weigh(weigh_16, scores, v, channels, sums);
}

type Weigher<I> = unsafe extern "C" fn(*const i32, *const i32, *const I, usize, &mut [i32; 4]);

fn weigh<I>(kernel: Weigher<I>, scores: &[i32], v: &[I], channels: usize, sums: &mut [i32; 4]) {
    assert!(scores.is_empty() || v.len() >= (scores.len() - 1) * channels + 4);
    let Range { start, end } = scores.as_ptr_range();
    // SAFETY: every score has four elements, `channels` apart.
    unsafe { kernel(start, end, v.as_ptr(), size_of::<I>() * channels, sums) };
}

/// `(scores, their end, elements, bytes between them, four sums)`.
macro_rules! weigher {
    ($name:ident, $in:ty, $loads:literal) => {
        /// # Safety
        /// What is read goes from the first pointer to its end, in whole steps of the loop and at least one; every place that is
        /// written is in memory that the caller holds.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            scores: *const i32,
            end: *const i32,
            v: *const $in,
            step: usize,
            sums: &mut [i32; 4],
        ) {
            naked_asm!(
                env!("MOTE_ASSEMBLER"),
                "push {{r4-r11, lr}}",
                "ldr r12, [sp, #36]",
                "ldmia r12, {{r4-r7}}",
                "cmp r0, r1",
                "beq 3f",
                "2:",
                "ldr r8, [r0], #4",
                $loads,
                "cmp r0, r1",
                "mla r4, r8, r9, r4",
                "mla r5, r8, r10, r5",
                "mla r6, r8, r11, r6",
                "mla r7, r8, lr, r7",
                "add r2, r3",
                "bne 2b",
                "3:",
                "stmia r12, {{r4-r7}}",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

weigher!(
    weigh_8,
    i8,
    "ldrsb r9, [r2]; ldrsb r10, [r2, #1]; ldrsb r11, [r2, #2]; ldrsb lr, [r2, #3]"
);
weigher!(
    weigh_16,
    i16,
    "ldrsh r9, [r2]; ldrsh r10, [r2, #2]; ldrsh r11, [r2, #4]; ldrsh lr, [r2, #6]"
);

/// As [`each_8`], of a multiple of four channels; squares of int8 fit a word.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn sums_8(data: *const i8, positions: usize, steps: &[usize; 2], sums: &mut [i32; 3]) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r9, lr}}",
        "ldrd r2, lr, [r2]",
        "mov r9, #0x00010001",
        "movs r6, #0",
        "movs r7, #0",
        "2:",
        "mov r12, lr",
        "3:",
        "ldr r4, [r0], #4",
        "subs r12, #4",
        "sxtb16 r5, r4",
        "sxtb16 r4, r4, ror #8",
        "smlad r7, r5, r5, r7",
        "sadd16 r5, r5, r4",
        "smlad r7, r4, r4, r7",
        "smlad r6, r5, r9, r6",
        "bne 3b",
        "subs r1, #1",
        "add r0, r2",
        "bne 2b",
        "strd r6, r7, [r3]",
        "pop {{r4-r9, pc}}",
    )
}

/// As [`each_16`], of a multiple of four channels.
///
/// # Safety
/// Every pointer is aligned, and good for as many elements as the other arguments say, at least one.
#[unsafe(naked)]
unsafe extern "C" fn sums_16(data: *const i16, positions: usize, steps: &[usize; 2], sums: &mut [i32; 3]) {
    naked_asm!(
        env!("MOTE_ASSEMBLER"),
        "push {{r4-r9, lr}}",
        "ldrd r2, lr, [r2]",
        "mov r9, #0x00010001",
        "movs r6, #0",
        "movs r7, #0",
        "mov r8, #0",
        "2:",
        "mov r12, lr",
        "3:",
        "ldr r4, [r0], #4",
        "ldr r5, [r0], #4",
        "subs r12, #4",
        "smlad r6, r4, r9, r6",
        "smlald r7, r8, r4, r4",
        "smlad r6, r5, r9, r6",
        "smlald r7, r8, r5, r5",
        "bne 3b",
        "subs r1, #1",
        "add r0, r2",
        "bne 2b",
        "stmia r3!, {{r6-r8}}",
        "pop {{r4-r9, pc}}",
    )
}
