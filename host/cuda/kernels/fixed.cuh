// The integer scheme's functions, as NUMERICS.md defines them: rounding, powers of two, sigmoid and SiLU.
#pragma once
#include "ops.cuh"
#include "tables.cuh"
#include "types.cuh"

INLINE i32 sat32(i64 v) { return v > 2147483647LL ? 2147483647 : v < -2147483648LL ? (i32)0x80000000 : (i32)v; }

// Rounded half up, saturated. Narrow factors take an i32, wide ones an accumulator below 2^40.
INLINE i32 scaled(Factor f, i64 v) { return sat32((v * f.mult + ((i64)1 << (f.shift - 1))) >> f.shift); }

// Both with 4 fraction bits more than the result.
INLINE i32 add_guarded(i32 a, i32 b) { return sat32((i64)sat32((i64)a + b) + 8) >> 4; }

// 2^-x in Q16.
INLINE u32 exp2_neg_q16(u32 x_q16) {
    u32 whole = x_q16 >> 16;
    if (whole > 17) return 0;
    u32 i = (x_q16 & 0xFFFF) >> 9, within_q9 = x_q16 & 0x1FF;
    u32 left = EXP2_NEG_Q30[i], right = EXP2_NEG_Q30[i + 1];
    u32 value_q30 = left - (((left - right) * within_q9) >> 9);
    u32 shift = 14 + whole;
    return (value_q30 + (1u << (shift - 1))) >> shift;
}

// sigmoid(x) - 1/2 for x >= 0, Q28.
INLINE i32 distance_q28(u32 x_q16) {
    if (x_q16 >= 12u << 16) return 1 << 27;
    u32 i = x_q16 >> 11;
    i32 within = (i32)(x_q16 & 0x7FF), left = SIGMOID_Q17[i], right = SIGMOID_Q17[i + 1];
    return (left << 11) + (right - left) * within;
}

INLINE i32 silu_q16(i32 x_q16) {
    u32 magnitude = x_q16 < 0 ? 0u - (u32)x_q16 : (u32)x_q16;
    i32 d = distance_q28(magnitude);
    i32 sigmoid_q28 = (1 << 27) + (x_q16 < 0 ? -d : d);
    return (i32)(((i64)x_q16 * sigmoid_q28 + (1 << 27)) >> 28);
}
