//! Generators of the contract's tables: integer-only `const fn`s that the compiler runs.
//!
//! Nothing here exists on a device except the finished tables, so 128-bit arithmetic is free. Every table is its
//! formula, rounded half up; the tests compare each one with `f64`.

/// Fraction bits of the working precision of the series below.
const WORK: u32 = 60;
const ONE_WORK: i128 = 1 << WORK;
/// Fraction bits of the logarithms' working precision, whose tables have 57.
const LN_WORK: u32 = 100;

/// Intervals of a quarter turn in [`SINE_Q30`].
pub const SINE_INTERVALS: usize = 64;
/// Intervals of `[0.5, 1)` in [`LN_RECIPROCAL_Q57`].
pub const LN_INTERVALS: usize = 64;
/// Intervals of `[0, 1]` in [`EXP2_NEG_Q30`].
pub const EXP2_INTERVALS: usize = 128;
/// Intervals in each unit of [`SIGMOID_Q17`].
pub const SIGMOID_INTERVALS_PER_UNIT: usize = 32;
/// End of [`SIGMOID_Q17`]: at 12 the sigmoid is within 6.2e-6 of one, less than half a unit of Q16.
pub const SIGMOID_END: usize = 12;
/// Intervals of `[1/4, 1]` in [`RSQRT_Q15`].
pub const RSQRT_INTERVALS: usize = 96;

/// `sin(pi/2 * i/64)` in Q30, i = 0..=64 (260 bytes).
pub static SINE_Q30: [i32; SINE_INTERVALS + 1] = sine_table();
/// `c_i = round(256 / y)` at the middle y = (129 + 2i)/256 of interval i of `[0.5, 1)`; 256 in the last one, so that
/// arguments next to 1 keep their relative precision.
pub const RECIPROCAL_Q8: [u16; LN_INTERVALS] = reciprocal_table();
/// What [`RECIPROCAL_Q8`] has above 256 (64 bytes).
pub static RECIPROCAL_ABOVE_ONE_Q8: [u8; LN_INTERVALS] = reciprocal_above_one_table();
/// `ln(c_i / 256)` in Q57 (512 bytes).
pub static LN_RECIPROCAL_Q57: [u64; LN_INTERVALS] = ln_table();
/// `ln 2` in Q57.
pub const LN_2_Q57: u64 = ln_q57(2, 1);
/// `2^(-i/128)` in Q30, i = 0..=128 (516 bytes).
pub static EXP2_NEG_Q30: [u32; EXP2_INTERVALS + 1] = exp2_table();
/// `sigmoid(i/32) - 1/2` in Q17, i = 0..=384 (770 bytes).
pub static SIGMOID_Q17: [u16; SIGMOID_END * SIGMOID_INTERVALS_PER_UNIT + 1] = sigmoid_table();
/// Intervals in a [`SigmoidBlock`].
pub const SIGMOID_BLOCK: usize = 8;
/// [`SIGMOID_Q17`] by its second differences (384 bytes).
pub static SIGMOID_BLOCKS: [SigmoidBlock; SIGMOID_END * SIGMOID_INTERVALS_PER_UNIT / SIGMOID_BLOCK] = sigmoid_blocks();
/// `1/sqrt((32 + i)/128)` in Q15, i = 0..=96, the first one (exactly 2) lowered to 65535 to fit (194 bytes).
pub static RSQRT_Q15: [u16; RSQRT_INTERVALS + 1] = rsqrt_table();
/// `2 pi` in Q29, for phases in turns.
pub const TWO_PI_Q29: u32 = rounded(2 * pi_work(), WORK - 29) as u32;

/// [`SIGMOID_BLOCK`] intervals of [`SIGMOID_Q17`].
#[derive(Debug, Clone, Copy)]
pub struct SigmoidBlock {
    /// Four bits an interval, the first one lowest: 1 more than what its rise is above that of the next.
    pub bends: u32,
    /// The entry at the left end.
    pub left: u16,
    /// To the next entry.
    pub rise: u16,
}

/// Half-up rounding of `v * 2^-shift`.
const fn rounded(v: i128, shift: u32) -> i128 {
    (v + (1 << (shift - 1))) >> shift
}

/// `ln(a/b) = 2 atanh((a - b)/(a + b))` in Q57, for 1 <= a/b <= 2.
const fn ln_q57(a: i128, b: i128) -> u64 {
    let (p, q) = (a - b, a + b);
    let mut power = (1 << LN_WORK) * p / q;
    let mut sum = 0;
    let mut n = 1;
    while power != 0 {
        sum += power / n;
        power = power * p * p / (q * q);
        n += 2;
    }
    rounded(2 * sum, LN_WORK - 57) as u64
}

/// `atan(1/q)` by Gregory's series.
const fn atan_reciprocal_work(q: i128) -> i128 {
    let mut power = ONE_WORK / q;
    let mut sum = 0;
    let mut n = 1;
    while power != 0 {
        sum += if n % 4 == 1 { power / n } else { -power / n };
        power /= q * q;
        n += 2;
    }
    sum
}

/// pi by Machin's formula, 16 atan(1/5) - 4 atan(1/239).
const fn pi_work() -> i128 {
    16 * atan_reciprocal_work(5) - 4 * atan_reciprocal_work(239)
}

/// `sin(x)` by Taylor's series, 0 <= x <= pi/2.
const fn sin_work(x_work: i128) -> i128 {
    let mut term = x_work;
    let mut sum = 0;
    let mut n = 1;
    while term != 0 {
        sum += term;
        term = -(term * x_work / ONE_WORK * x_work / ONE_WORK) / ((n + 1) * (n + 2));
        n += 2;
    }
    sum
}

const fn sine_table() -> [i32; SINE_INTERVALS + 1] {
    let mut table = [0; SINE_INTERVALS + 1];
    let mut i = 0;
    while i <= SINE_INTERVALS {
        let x_work = pi_work() * i as i128 / (2 * SINE_INTERVALS as i128);
        table[i] = rounded(sin_work(x_work), WORK - 30) as i32;
        i += 1;
    }
    table
}

const fn reciprocal_table() -> [u16; LN_INTERVALS] {
    let mut table = [256; LN_INTERVALS];
    let mut i = 0;
    while i < LN_INTERVALS - 1 {
        let middle_q8 = 129 + 2 * i as u32;
        table[i] = ((65_536 + middle_q8 / 2) / middle_q8) as u16;
        i += 1;
    }
    table
}

const fn reciprocal_above_one_table() -> [u8; LN_INTERVALS] {
    let mut table = [0; LN_INTERVALS];
    let mut i = 0;
    while i < LN_INTERVALS {
        let above = RECIPROCAL_Q8[i] - 256;
        assert!(above < 256);
        table[i] = above as u8;
        i += 1;
    }
    table
}

const fn ln_table() -> [u64; LN_INTERVALS] {
    let reciprocals = reciprocal_table();
    let mut table = [0; LN_INTERVALS];
    let mut i = 0;
    while i < LN_INTERVALS {
        table[i] = ln_q57(reciprocals[i] as i128, 256);
        i += 1;
    }
    table
}

/// Floor of the square root, one bit at a time.
const fn isqrt_u128(v: u128) -> u128 {
    let mut root = 0;
    let mut bit = 1u128 << 63;
    while bit != 0 {
        if (root + bit) * (root + bit) <= v {
            root += bit;
        }
        bit >>= 1;
    }
    root
}

const fn exp2_table() -> [u32; EXP2_INTERVALS + 1] {
    // 2^(-1/128) is the square root of 1/2, taken seven times.
    let mut factor_work = ONE_WORK / 2;
    let mut intervals = 1;
    while intervals < EXP2_INTERVALS {
        factor_work = isqrt_u128((factor_work as u128) << WORK) as i128;
        intervals *= 2;
    }
    let mut table = [0; EXP2_INTERVALS + 1];
    let mut value_work = ONE_WORK;
    let mut i = 0;
    while i <= EXP2_INTERVALS {
        table[i] = rounded(value_work, WORK - 30) as u32;
        value_work = (value_work * factor_work) >> WORK;
        i += 1;
    }
    table
}

const fn sigmoid_table() -> [u16; SIGMOID_END * SIGMOID_INTERVALS_PER_UNIT + 1] {
    // e^(-1/32) by Taylor's series.
    let step = SIGMOID_INTERVALS_PER_UNIT as i128;
    let mut term = ONE_WORK;
    let mut factor_work = 0;
    let mut n = 1;
    while term != 0 {
        factor_work += term;
        term = -term / (step * n);
        n += 1;
    }
    let mut table = [0; SIGMOID_END * SIGMOID_INTERVALS_PER_UNIT + 1];
    let mut e_work = ONE_WORK;
    let mut i = 0;
    while i < table.len() {
        // sigmoid(x) - 1/2 = (1 - e^-x) / (2 (1 + e^-x))
        let (numerator, denominator) = (ONE_WORK - e_work, ONE_WORK + e_work);
        table[i] = (((numerator << 17) + denominator) / (2 * denominator)) as u16;
        e_work = (e_work * factor_work) >> WORK;
        i += 1;
    }
    table
}

const fn sigmoid_blocks() -> [SigmoidBlock; SIGMOID_END * SIGMOID_INTERVALS_PER_UNIT / SIGMOID_BLOCK] {
    const TABLE: [u16; SIGMOID_END * SIGMOID_INTERVALS_PER_UNIT + 1] = sigmoid_table();
    let mut blocks = [SigmoidBlock {
        bends: 0,
        left: 0,
        rise: 0,
    }; SIGMOID_END * SIGMOID_INTERVALS_PER_UNIT / SIGMOID_BLOCK];
    let mut at = 0;
    while at < TABLE.len() - 1 {
        let block = &mut blocks[at / SIGMOID_BLOCK];
        let (within, rise) = (at % SIGMOID_BLOCK, TABLE[at + 1] - TABLE[at]);
        if within == 0 {
            (block.left, block.rise) = (TABLE[at], rise);
        }
        if within < SIGMOID_BLOCK - 1 {
            let bend = 1 + rise - (TABLE[at + 2] - TABLE[at + 1]);
            assert!(bend < 16);
            block.bends |= (bend as u32) << (4 * within);
        }
        at += 1;
    }
    blocks
}

const fn rsqrt_table() -> [u16; RSQRT_INTERVALS + 1] {
    let mut table = [0; RSQRT_INTERVALS + 1];
    let mut i = 0;
    while i <= RSQRT_INTERVALS {
        // 2^15 / sqrt((32 + i)/128) = sqrt(2^37 / (32 + i)); one more bit for the rounding.
        let root = isqrt_u128((1 << 39) / (32 + i as u128)).div_ceil(2);
        table[i] = if root > 65_535 { 65_535 } else { root as u16 };
        i += 1;
    }
    table
}
