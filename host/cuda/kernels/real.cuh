// The contract's `Scaled`, as far as the chains need it: mant * 2^exp with a mantissa of 32 bits whose top one is set, or zero.
//
// Exponents never come near the 16 bits at which the contract's saturate.
#pragma once
#include "roots.cuh"

struct Real {
    u32 mant;
    i32 exp;
};

// v * 2^exp, rounded half up to 32 bits.
INLINE Real normalized(u64 v, i32 exp) {
    if (v == 0) return Real{0, 0};
    i32 zeros = __clzll((i64)v);
    u64 n = v << zeros, mant = (n >> 32) + (n >> 31 & 1);
    u32 carried = (u32)(mant >> 32);
    return Real{(u32)(mant >> carried), exp + 32 - zeros + (i32)carried};
}

INLINE Real from_q(u64 v, u32 frac) { return normalized(v, -(i32)frac); }

// 1 + r for r from 0 to 1.
INLINE Real one_plus(Real r) {
    u32 distance = (u32)(-31 - r.exp);
    u64 below = r.mant == 0 || distance >= 64 ? 0 : ((u64)r.mant << 31) >> distance;
    return normalized(((u64)1 << 62) + below, -62);
}

// a / b for a b that is not zero.
INLINE Real quotient(Real a, Real b) {
    if (a.mant == 0) return Real{0, 0};
    u32 shift = a.mant >= b.mant ? 31 : 32;
    u64 numerator = (u64)a.mant << shift, q = numerator / b.mant, rest = numerator - q * b.mant;
    return normalized(q + (2 * rest >= b.mant ? 1 : 0), a.exp - b.exp - (i32)shift);
}

INLINE Real root_of(Real r) {
    i32 shift = r.exp & 1 ? 31 : 32;
    u64 n = (u64)r.mant << shift, root = isqrt_u64(n);
    return normalized(root + (n - root * root > root ? 1 : 0), (r.exp - shift) >> 1);
}

// value * 2^frac as an integer, half up.
INLINE u64 to_q(Real r, u32 frac) {
    i32 shift = r.exp + (i32)frac;
    if (r.mant == 0 || shift < -32) return 0;
    if (shift > 32) return ~(u64)0;
    return shift >= 0 ? (u64)r.mant << shift : (r.mant + ((u64)1 << (-shift - 1))) >> -shift;
}
