// One function of the contract at a time, for the tests: `count` arguments at `words`, results behind them.
#pragma once
#include "chain.cuh"
#include "digest.cuh"
#include "group_norm.cuh"

INLINE u64 both(u32 low, u32 high) { return low | (u64)high << 32; }

// For how many of 2^32 words a bit is set, by bisection; the move's probabilities and the network's log odds come of the argument.
INLINE u64 words_that_set(u32 low, u32 high) {
    u64 next = ((u64)(high & 0xFFFF) + 1) << 46, now = (next >> 16) * (high >> 16);
    Move move = {};
    u64 prior = low >> 24 << 23, kept = to_q(quotient(from_q(now, 62), from_q(next, 62)), 31);
    u64 redrawn = product_q31(ONE_Q31 - kept, prior);
    move.bits[0] = (u32)prior;
    move.bits[1] = (u32)(next >> 31);
    move.bits[2] = (u32)redrawn;
    move.bits[3] = (u32)(redrawn + kept < ONE_Q31 ? redrawn + kept : ONE_Q31);
    u64 from = 0, to = (u64)1 << 32;
    while (from < to) {
        u64 middle = (from + to) / 2;
        if (next_bit(move, low & 1, (i32)(low << 8) >> 3, (u32)middle)) from = middle + 1;
        else to = middle;
    }
    return from;
}

// An argument is one word of 64 bits; what stands in which bits is the test's choice (tests/tests/cuda/scalar.rs).
INLINE u64 probe(u64 function, u64 v) {
    u32 low = (u32)v, high = (u32)(v >> 32);
    float real = __uint_as_float(low);
    GroupNormFields norm = {};
    norm.eps_q = 1;
    switch (function) {
    case 0: return (u32)normal_q24(v, high >> 16, low >> 4);
    case 1: return (u32)silu_q16((i32)low);
    case 2: return exp2_neg_q16(low);
    case 3: return both(rsqrt_u64(v).mant_q31, (u32)rsqrt_u64(v).exp);
    case 4: return both((u32)sin_cos_q30(low).sine, (u32)sin_cos_q30(low).cosine);
    case 5: return (u32)scaled(Factor{(i32)((high & 0x3FFFFFFF) | 0x40000000), 1 + (high >> 30) * 20}, (i32)low);
    case 6: return digest_term(low, (i32)high);
    case 7: return (u64)affine_of(norm, (high & 0xFFFF) + 1, (i32)low, (u64)1 << 32).mean_q14;
    case 8: return __float_as_uint(f16_to_f32(low & 0xFFFF));
    case 9: return f32_to_f16_sat(real);
    case 10: return __float_as_uint(exp_f32(real));
    case 11: return __float_as_uint(sigmoid_f32(real));
    case 12: return __float_as_uint(silu_f32(real));
    case 13: return (u32)f32_to_q24(real);
    case 14: return __float_as_uint(q24_to_f32((i32)low));
    case 15: return (u32)add_guarded((i32)low, (i32)high);
    case 16: return deviation_q30((i32)low);
    case 17: return words_that_set(low, high);
    case 18: return uniform_word(v, high >> 16, low >> 4);
    default: return 0;
    }
}
