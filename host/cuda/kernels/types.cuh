// Types and words that a GPU's compiler and the CPU stand-in (tests/standin) share.
#pragma once

typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#define INLINE static __device__ __forceinline__
#ifndef MOTE_STANDIN
#define DYNAMIC_SHARED(NAME) extern __shared__ __align__(16) u8 NAME[]
#endif

// Number formats of activations, as `mote_runtime::blob::tensor::Dtype` numbers them.
enum Dtype { I8 = 0, I16 = 1, F16 = 2, Q24 = 3 };

INLINE i32 least(i32 a, i32 b) { return a < b ? a : b; }
INLINE i32 most(i32 a, i32 b) { return a > b ? a : b; }
INLINE i32 clamp(i32 v, i32 low, i32 high) { return least(most(v, low), high); }
