// What the host prepares: one evaluation of the float network. host/cuda/src/network/layout.rs has the same layout; those of operators are in
// network_ops.cuh.
//
// This is the checkpoint's own network in floats, held to the CPU's within a tolerance. It shares no arithmetic with the exact kernels, whose
// results are bits: every entry point here begins with `network_`. Sums are fused where the source says so (`fused`), nothing is approximate.
#pragma once
#include "network_ops.cuh"
#include "types.cuh"
#include "warp.cuh"

// One evaluation of a batch. Samples and outputs are (sample, channel, row, col).
struct NetworkRun {
    const NetworkOp *ops;
    const u8 *constants;
    u8 *arenas; // `stride` bytes a sample
    const float *x;
    const float *features; // of the timesteps, `feature_stride` a sample: 0 where all samples have one timestep
    const u32 *labels;
    float *outputs; // `output_len` a sample
    u64 stride;
    u32 samples, sample_len, output_len, feature_stride;
};

INLINE u32 positions(const NetworkTensor &t) { return t.rows * t.cols; }
INLINE u32 length(const NetworkTensor &t) { return t.rows * t.cols * t.channels; }
INLINE u8 *memory_of(const NetworkRun &run, u32 sample, const NetworkTensor &t) { return run.arenas + sample * run.stride + t.offset; }
template <typename T> INLINE const T *constants(const NetworkRun &run, u32 at) { return (const T *)(run.constants + at); }

INLINE u32 grid_thread() { return blockIdx.x * blockDim.x + threadIdx.x; }
INLINE u32 grid_threads() { return gridDim.x * blockDim.x; }

INLINE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }

#ifdef MOTE_STANDIN
INLINE float half_to_float(u16 bits) { return standin_half_to_float(bits); }
INLINE u16 float_to_half(float v) { return standin_float_to_half(v); }
#else
INLINE float half_to_float(u16 bits) {
    float v;
    asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(bits));
    return v;
}
// To nearest even; beyond 65519 it is infinite.
INLINE u16 float_to_half(float v) {
    u16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    return bits;
}
#endif

INLINE float load(const NetworkTensor &t, const u8 *data, u32 i) { return t.half ? half_to_float(((const u16 *)data)[i]) : ((const float *)data)[i]; }

INLINE void store(const NetworkTensor &t, u8 *data, u32 i, float v) {
    if (t.half) ((u16 *)data)[i] = float_to_half(v);
    else ((float *)data)[i] = v;
}

INLINE float warp_sum(float v) {
    for (int step = 16; step > 0; step >>= 1) v = __fadd_rn(v, __shfl_xor_sync(WHOLE_WARP, v, step));
    return v;
}

INLINE float warp_max(float v) {
    for (int step = 16; step > 0; step >>= 1) {
        float other = __shfl_xor_sync(WHOLE_WARP, v, step);
        v = other > v ? other : v;
    }
    return v;
}

// Within two units in the last place; 0 below the least normal number.
INLINE float natural_exp(float x) {
    if (x != x) return x;
    if (x > 88.72283f) return __uint_as_float(0x7F800000u);
    if (x < -87.3f) return 0.0f;
    float n = __fsub_rn(fused(x, 1.44269504f, 12582912.0f), 12582912.0f);
    float r = fused(n, 2.12194440e-4f, fused(n, -0.693359375f, x));
    float p = 1.0f / 5040.0f;
    p = fused(p, r, 1.0f / 720.0f);
    p = fused(p, r, 1.0f / 120.0f);
    p = fused(p, r, 1.0f / 24.0f);
    p = fused(p, r, 1.0f / 6.0f);
    p = fused(p, r, 0.5f);
    float v = __fadd_rn(fused(__fmul_rn(r, r), p, r), 1.0f);
    int k = (int)n;
    float power = __uint_as_float((u32)((k > 127 ? 127 : k) + 127) << 23);
    return k > 127 ? __fmul_rn(__fmul_rn(v, power), 2.0f) : __fmul_rn(v, power);
}

INLINE float silu(float x) { return __fdiv_rn(x, __fadd_rn(1.0f, natural_exp(-x))); }
