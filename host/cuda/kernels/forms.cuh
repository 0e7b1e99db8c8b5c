// Linear forms over states: 64-bit sums of values clamped to +-64.0, one rounding.
#pragma once
#include "types.cuh"

#define STATE_MAX_Q24 (1 << 30)

INLINE i64 saturated(i32 v) { return clamp(v, -STATE_MAX_Q24, STATE_MAX_Q24); }

INLINE i32 rounded_state(i64 sum, u32 shift) {
    i64 v = (sum + ((i64)1 << (shift - 1))) >> shift;
    return v > STATE_MAX_Q24 ? STATE_MAX_Q24 : v < -STATE_MAX_Q24 ? -STATE_MAX_Q24 : (i32)v;
}
