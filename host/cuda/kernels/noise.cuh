// Standard normal noise from counters (Philox4x32-10, Box and Muller), and the sine and cosine that it and timesteps need.
#pragma once
#include "roots.cuh"

struct Words {
    u32 w[4];
};

// Salmon et al., SC 2011.
INLINE Words philox4x32(u32 c0, u32 c1, u32 k0, u32 k1) {
    Words c = {{c0, c1, 0, 0}};
    for (int round = 0; round < 10; round++) {
        u64 p = (u64)0xD2511F53 * c.w[0], q = (u64)0xCD9E8D57 * c.w[2];
        c = Words{{(u32)(q >> 32) ^ c.w[1] ^ k0, (u32)q, (u32)(p >> 32) ^ c.w[3] ^ k1, (u32)p}};
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    return c;
}

struct Turn {
    i32 sine, cosine;
};

// 2^32 is one turn.
INLINE Turn sin_cos_q30(u32 phase_q32) {
    u32 quadrant = phase_q32 >> 30;
    i32 within = (i32)(phase_q32 & 0x3FFFFFFF);
    i32 nearest = (within + (1 << 23)) >> 24;
    i32 residual_q32 = within - (nearest << 24);
    i64 d_q36 = ((i64)residual_q32 * (i64)TWO_PI_Q29) >> 25;
    i64 square_q36 = (d_q36 * d_q36) >> 36;
    i64 half_square_q36 = square_q36 >> 1;
    i64 sixth_square_q36 = (square_q36 * 43691) >> 18;
    i64 sine_d_q36 = d_q36 - ((d_q36 * sixth_square_q36) >> 36);
    i64 s_q30 = SINE_Q30[nearest], c_q30 = SINE_Q30[64 - nearest];
    i64 half = (i64)1 << 35;
    i32 sine = (i32)(s_q30 + ((c_q30 * sine_d_q36 - s_q30 * half_square_q36 + half) >> 36));
    i32 cosine = (i32)(c_q30 + ((-s_q30 * sine_d_q36 - c_q30 * half_square_q36 + half) >> 36));
    Turn turn;
    turn.sine = quadrant == 0 ? sine : quadrant == 1 ? cosine : quadrant == 2 ? -sine : -cosine;
    turn.cosine = quadrant == 0 ? cosine : quadrant == 1 ? -sine : quadrant == 2 ? -cosine : sine;
    return turn;
}

INLINE i32 q30_to_q15(i32 v_q30) { return least((v_q30 + (1 << 14)) >> 15, 32767); }

// -ln((word + 1/2) / 2^32).
INLINE u64 neg_ln_q57(u32 word) {
    u64 odd_q33 = 2 * (u64)word + 1;
    u32 k = (u32)__clzll((i64)odd_q33) - 31;
    u64 y_q33 = odd_q33 << k;
    u32 i = (u32)(y_q33 >> 26) & 63;
    i64 d_q41 = (i64)(y_q33 * RECIPROCAL_Q8[i]) - ((i64)1 << 41);
    i64 d_q37 = d_q41 >> 4;
    i64 inner_q31 = ONE_THIRD_Q31 - (d_q37 >> 8);
    i64 outer_q31 = ((i64)1 << 30) - ((d_q37 * inner_q31) >> 37);
    i64 square_q44 = (d_q37 * d_q37) >> 30;
    i64 ln_1p_q57 = (d_q41 * 65536) - ((square_q44 * outer_q31) >> 18);
    return k * LN_2_Q57 + LN_RECIPROCAL_Q57[i] - (u64)ln_1p_q57;
}

// Word `index` of `stream`, of which noise is made.
INLINE u32 uniform_word(u64 seed, u32 stream, u32 index) {
    Words words = philox4x32(index / 4, stream, (u32)seed, (u32)(seed >> 32));
    u32 low = index & 1 ? words.w[1] : words.w[0], high = index & 1 ? words.w[3] : words.w[2];
    return index & 2 ? high : low;
}

// Element `index` of `stream`: 0 is x_T, k the noise of step k.
INLINE i32 normal_q24(u64 seed, u32 stream, u32 index) {
    Words words = philox4x32(index / 4, stream, (u32)seed, (u32)(seed >> 32));
    u32 radius = index & 2 ? words.w[2] : words.w[0], angle = index & 2 ? words.w[3] : words.w[1];
    i64 r_q28 = (i64)isqrt_u64(neg_ln_q57(radius));
    Turn turn = sin_cos_q30(angle);
    return (i32)((r_q28 * (index & 1 ? turn.sine : turn.cosine) + ((i64)1 << 33)) >> 34);
}
