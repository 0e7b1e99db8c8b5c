// What a GPU's compiler supplies, for a compiler of the CPU: the kernels' source becomes plain C++ by this header.
//
// A thread of a block is a fiber (fibers.h); it runs until it has to wait for others.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#define MOTE_STANDIN
#define __device__
#define __global__
#define __forceinline__ inline

struct Dim {
    unsigned x;
};
struct uint2 {
    unsigned x, y;
};

extern Dim threadIdx, blockIdx, blockDim, gridDim;
extern unsigned char *standin_shared;
#define DYNAMIC_SHARED(NAME) unsigned char *NAME = standin_shared

void __syncthreads();
void __syncwarp();
// The value of another lane.
unsigned long long standin_shuffle(unsigned long long value, unsigned from);
void standin_mma(unsigned (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], bool a_signed, bool b_signed);
void standin_mma_half(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]);

template <typename T> inline T __shfl_xor_sync(unsigned, T value, int mask) {
    return (T)standin_shuffle((unsigned long long)value, (threadIdx.x % 32) ^ (unsigned)mask);
}
inline float __shfl_xor_sync(unsigned, float value, int mask) {
    return std::bit_cast<float>((unsigned)standin_shuffle(std::bit_cast<unsigned>(value), (threadIdx.x % 32) ^ (unsigned)mask));
}
inline float __shfl_sync(unsigned, float value, int from) {
    return std::bit_cast<float>((unsigned)standin_shuffle(std::bit_cast<unsigned>(value), (unsigned)from));
}

// One thread runs at a time.
inline void atomicAdd(unsigned long long *to, unsigned long long value) { *to += value; }

inline int __clzll(long long v) { return std::countl_zero((unsigned long long)v); }
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned select) {
    unsigned long long both = (unsigned long long)y << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) result |= (unsigned)(both >> (8 * (select >> (4 * i) & 7)) & 0xFF) << (8 * i);
    return result;
}
inline double __dsqrt_rn(double v) { return std::sqrt(v); }
// Compiled with -ffp-contract=off for a processor whose floats are IEEE 754's: each is rounded to nearest even, none fused.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float v) { return std::sqrt(v); }
inline float __int2float_rn(int v) { return (float)v; }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
// f16 as its bits: to nearest even, infinite beyond its range, subnormal below.
inline float standin_half_to_float(unsigned short bits) {
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    float v = exponent == 31 ? (mantissa ? NAN : INFINITY) : std::ldexp((float)(exponent ? mantissa + 1024 : mantissa), (exponent ? exponent : 1) - 25);
    return bits >> 15 ? -v : v;
}
inline unsigned short standin_float_to_half(float v) {
    unsigned short sign = std::signbit(v) ? 0x8000 : 0;
    if (v != v) return 0x7FFF;
    v = std::fabs(v);
    if (v >= 65520.0f) return sign | 0x7C00;
    int exponent = std::max(v == 0.0f ? -14 : std::ilogb(v), -14);
    // In units of the last place; a carry goes into the exponent by itself.
    int units = (int)std::nearbyint(std::ldexp(v, 10 - exponent));
    return sign | (unsigned short)(((exponent + 14) << 10) + units);
}
