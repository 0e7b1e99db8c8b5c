// The digest of integers: a sum of terms, so that any order of work gives the same.
#pragma once
#include "types.cuh"

INLINE u32 fmix(u32 h) {
    h ^= h >> 16;
    h *= 0x85EBCA6B;
    h ^= h >> 13;
    h *= 0xC2B2AE35;
    return h ^ h >> 16;
}

INLINE u64 digest_term(u32 i, i32 word) {
    u32 w = (u32)word;
    u32 low = fmix(w ^ i * 0x9E3779B9u), high = fmix((w + 0x85EBCA6Bu) ^ i * 0xC2B2AE35u);
    return low | (u64)high << 32;
}
