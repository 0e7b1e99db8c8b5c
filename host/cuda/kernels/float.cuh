// The float scheme's functions: f32 in a stated order, every operation rounded to nearest even and none fused, storage in f16.
#pragma once
#include "fixed.cuh"

#define NAN_7FC00000 __uint_as_float(0x7FC00000u)

INLINE float add(float a, float b) { return __fadd_rn(a, b); }
INLINE float sub(float a, float b) { return __fsub_rn(a, b); }
INLINE float mul(float a, float b) { return __fmul_rn(a, b); }

// M * 2^-24 for E = 0, else (1024 + M) * 2^(E - 25), whatever E.
INLINE float f16_to_f32(u32 bits) {
    u32 exponent = (bits >> 10) & 31, mantissa = bits & 1023;
    float magnitude = exponent == 0 ? mul((float)mantissa, 5.9604644775390625e-8f)
                                    : __uint_as_float(((exponent + 112) << 23) | (mantissa << 13));
    return bits >> 15 ? -magnitude : magnitude;
}

// Clamped to +-65504, rounded to nearest even, subnormals included; NaN gives 0x7E00.
INLINE u32 f32_to_f16_sat(float v) {
    u32 bits = __float_as_uint(v), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) return 0x7E00;
    if (magnitude > 0x477FE000) magnitude = 0x477FE000;
    u32 exponent = magnitude >> 23;
    // Bits below the last place of the result: 13, and more where it is subnormal.
    u32 drop = exponent >= 113 ? 13 : 126 - exponent;
    if (drop > 25) return sign;
    u32 whole = exponent >= 113 ? magnitude - (112u << 23) : (magnitude & 0x7FFFFF) | 0x800000;
    u32 kept = whole >> drop, rest = whole & ((1u << drop) - 1), half = 1u << (drop - 1);
    kept += rest > half || (rest == half && (kept & 1)) ? 1 : 0;
    return sign | kept;
}

INLINE float exp_f32(float x) {
    if (x != x) return NAN_7FC00000;
    if (x > 88.72283f) return __uint_as_float(0x7F800000u);
    if (x < -87.3f) return 0.0f;
    float n = sub(add(mul(x, 1.44269504f), 12582912.0f), 12582912.0f);
    float r = sub(sub(x, mul(n, 0.693359375f)), mul(n, -2.1219444e-4f));
    float p = 1.0f / 5040.0f;
    p = add(mul(p, r), 1.0f / 720.0f);
    p = add(mul(p, r), 1.0f / 120.0f);
    p = add(mul(p, r), 1.0f / 24.0f);
    p = add(mul(p, r), 1.0f / 6.0f);
    p = add(mul(p, r), 0.5f);
    float tail = add(mul(mul(p, r), r), r);
    float v = add(1.0f, tail);
    int k = (int)n;
    return k > 127 ? mul(mul(v, __uint_as_float(254u << 23)), 2.0f) : mul(v, __uint_as_float((u32)(k + 127) << 23));
}

INLINE float sigmoid_f32(float x) {
    if (x != x) return NAN_7FC00000;
    float e = exp_f32(x < 0.0f ? x : -x);
    return __fdiv_rn(x < 0.0f ? e : 1.0f, add(1.0f, e));
}

INLINE float silu_f32(float x) {
    if (x != x) return NAN_7FC00000;
    return x < -87.3f ? 0.0f : mul(x, sigmoid_f32(x));
}

INLINE float q24_to_f32(i32 v) { return mul(__int2float_rn(v), 5.9604644775390625e-8f); }

// trunc(v * 2^32) as i64, saturated, 0 for NaN; then rounded to Q24.
INLINE i32 f32_to_q24(float v) {
    float w = mul(v, 4294967296.0f);
    if (w != w) return 0;
    i64 wide = w >= 9223372036854775808.0f    ? 0x7FFFFFFFFFFFFFFFLL
               : w <= -9223372036854775808.0f ? -0x7FFFFFFFFFFFFFFFLL - 1
                                              : (i64)w;
    if (wide > 0x7FFFFFFFFFFFFFFFLL - 128) wide = 0x7FFFFFFFFFFFFFFFLL - 128;
    return sat32((wide + 128) >> 8);
}
