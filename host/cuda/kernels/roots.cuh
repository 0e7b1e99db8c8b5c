// Square roots: the floor of one, and the reciprocal of one as a 31-bit mantissa.
#pragma once
#include "tables.cuh"
#include "types.cuh"

// Floor of the square root of v < 2^62. The guess is off by one at most, whatever it was rounded to; integers decide.
INLINE u64 isqrt_u64(u64 v) {
    u64 r = (u64)__dsqrt_rn((double)v);
    while (r * r > v) r -= 1;
    while ((r + 1) * (r + 1) <= v) r += 1;
    return r;
}

INLINE u64 high_product(u64 n, u32 m) { return (n >> 32) * m + (((n & 0xFFFFFFFF) * m) >> 32); }

// 2^62 / sqrt(n), n in [2^62, 2^64).
INLINE u32 reciprocal_root_q31(u64 n) {
    u32 i = (u32)(n >> 57) - 32, within_q16 = (u32)(n >> 41) & 0xFFFF;
    u32 left = RSQRT_Q15[i], right = RSQRT_Q15[i + 1];
    u32 y_q15 = left - (((left - right) * within_q16) >> 16);
    i64 e_q62 = ((i64)1 << 62) - (i64)high_product(n, y_q15 * y_q15);
    i64 e_q42 = e_q62 >> 20;
    i64 correction_q42 = (e_q42 >> 1) + ((3 * ((e_q42 * e_q42) >> 42)) >> 3);
    i64 y_q57 = ((i64)y_q15 << 42) + (i64)y_q15 * correction_q42;
    return (u32)((y_q57 + (1 << 26)) >> 27);
}

// 1 / sqrt(v) = mant * 2^-31 * 2^-exp; 0 counts as 1.
struct Root {
    u32 mant_q31;
    i32 exp;
};

INLINE Root rsqrt_u64(u64 v) {
    if (v == 0) v = 1;
    i32 h = __clzll((i64)v) / 2;
    u32 m = reciprocal_root_q31(v << (2 * h));
    Root root;
    root.mant_q31 = m >> 31 ? 1u << 30 : m;
    root.exp = m >> 31 ? 30 - h : 31 - h;
    return root;
}
