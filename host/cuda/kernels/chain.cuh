// Reverse kernels of the chains of Sohl-Dickstein et al. 2015: a bit drawn by its probability, a point by its mean and variance.
#pragma once
#include "fixed.cuh"
#include "forms.cuh"
#include "noise.cuh"
#include "program.cuh"
#include "real.cuh"

#define ONE_Q31 ((u64)1 << 31)
#define LOG2_E_Q30 1549082005ULL

INLINE i32 bit_q24(bool set) { return set ? 1 << 24 : -(1 << 24); }

INLINE Real logistic(i32 v_q24) {
    i64 v = saturated(v_q24);
    u32 w = (u32)(((u64)(v < 0 ? -v : v) * LOG2_E_Q30 + ((u64)1 << 37)) >> 38);
    Real e = from_q(exp2_neg_q16(w & 0xFFFF), 16 + (w >> 16));
    return quotient(v < 0 ? e : Real{0x80000000u, -31}, one_plus(e));
}

// a b of probabilities in Q31, half up.
INLINE u64 product_q31(u64 a, u64 b) { return (a * b + (1 << 30)) >> 31; }

// A bit before the move, from that after it, the network's log odds and a uniform word.
INLINE bool next_bit(const Move &move, bool set, i32 out_q24, u32 word) {
    u64 prior = move.bits[0], next = move.bits[1], s = to_q(logistic(out_q24), 31);
    if (s > ONE_Q31) s = ONE_Q31;
    u64 b1 = product_q31(s, prior), b0 = product_q31(ONE_Q31 - s, ONE_Q31 - prior), norm = b0 + b1;
    u64 c1 = product_q31(next, b1) + product_q31(ONE_Q31 - next, product_q31(prior, norm));
    u64 c0 = product_q31(next, b0) + product_q31(ONE_Q31 - next, product_q31(ONE_Q31 - prior, norm));
    u64 q0 = move.bits[2], q1 = move.bits[3];
    u64 n1 = c1 * (set ? q1 : ONE_Q31 - q1), n0 = c0 * (set ? q0 : ONE_Q31 - q0), sum = n0 + n1;
    i32 above = most(32 - __clzll((i64)sum), 0);
    return word * (sum >> above) < (n1 >> above) << 32;
}

// sqrt(sigmoid(v)).
INLINE u32 deviation_q30(i32 v_q24) {
    u64 deviation = to_q(root_of(logistic(v_q24)), 30);
    return deviation > 1 << 30 ? 1u << 30 : (u32)deviation;
}

// A point's coordinate before the move, from that after it, the network's mean and variance, and a standard normal.
INLINE i32 kernel_state(const Move &move, i32 x, i32 m, i32 v, i32 z) {
    i64 mean = rounded_state(move.sample[0] * saturated(x) + move.sample[1] * saturated(m), move.sample_shift);
    return (i32)saturated(sat32(mean + ((deviation_q30(v) * saturated(z) + (1 << 29)) >> 30)));
}
