// Products of 16x32 and 32x8 bytes by a warp, sums of 32 bits modulo 2^32.
//
// Fragments are those of mma.m16n8k32, as PTX and CUTLASS (SM80_16x8x32_S32S8S8S32_TN) state them. Of lane l, with g = l / 4 and
// q = l % 4: a[0] holds row g, columns 4q..4q+3; a[1] row g + 8; a[2], a[3] the same rows, columns 16 further; b[0] holds rows
// 4q..4q+3 of column g, b[1] rows 16 further; d[0], d[1] are row g, columns 2q, 2q+1, d[2], d[3] those of row g + 8.
#pragma once
#include "types.cuh"

#ifndef MOTE_STANDIN
#define MOTE_MMA(TYPES)                                                                                                \
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32." TYPES ".s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "          \
                 "{%0,%1,%2,%3};"                                                                                      \
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])                                                      \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#endif

// d += a b, the bytes of a and of b with a sign or without.
template <bool A_SIGNED, bool B_SIGNED> INLINE void mma(u32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#ifdef MOTE_STANDIN
    standin_mma(d, a, b, A_SIGNED, B_SIGNED);
#else
    if (A_SIGNED && B_SIGNED) MOTE_MMA("s8.s8");
    if (A_SIGNED && !B_SIGNED) MOTE_MMA("s8.u8");
    if (!A_SIGNED && B_SIGNED) MOTE_MMA("u8.s8");
    if (!A_SIGNED && !B_SIGNED) MOTE_MMA("u8.u8");
#endif
}
