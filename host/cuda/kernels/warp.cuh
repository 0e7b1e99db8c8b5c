// Sums and maxima over the 32 lanes of a warp; every lane gets the result.
#pragma once
#include "types.cuh"

#define LANES 32u
#define WHOLE_WARP 0xFFFFFFFFu

INLINE u64 warp_sum(u64 v) {
    for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(WHOLE_WARP, v, step);
    return v;
}

INLINE i32 warp_max(i32 v) {
    for (int step = 16; step > 0; step >>= 1) v = most(v, __shfl_xor_sync(WHOLE_WARP, v, step));
    return v;
}
