// What the host prepares: one run of the sampler. host/cuda/src/program.rs has the same layouts; those of operators are in ops.cuh.
#pragma once
#include "fixed.cuh"
#include "ops.cuh"

// How a state moves: by the network's output (DDIM), by the clean sample that it predicts, or by a kernel of the chains of 2015.
enum Rule { BY_OUTPUT, BY_SAMPLE, BITS, KERNEL };

// No step ends with a move.
#define NO_STEP 0xFFFFFFFFu
// An element that is not known.
#define UNKNOWN ((i32)0x80000000)

// What a known element is at a level of noise: 'kept' and 'noise' Q30 of q(x_t | x_0), or itself where there is no noise any more.
struct Noising {
    u32 noised;
    i32 kept, noise;
};

// The network is asked once (twice under guidance), and the state moves by what it says. A step has one; Heun's method has two.
struct Move {
    i32 sample[2]; // x0 from (x, out); a Gaussian chain's mean from (x, m)
    i32 step[4];   // the next state from (x0, x, out, z), or from (x0, the x0 before, x, z)
    u32 sample_shift, step_shift;
    u32 time_q16;  // the training timestep
    i32 input_q30; // the network sees the state times this
    u32 stream;    // of its noise
    u32 digest;    // the step that ends with it, or NO_STEP
    Noising known; // what known elements are after it
    u32 bits[4];   // a binomial chain's, Q31: the prior, what no bit was redrawn of, q of a 1 after a 0 and after a 1
};

// One batch of samples through all moves. Arrays over samples are contiguous.
struct Run {
    const Op *ops;
    const u8 *constants;
    u8 *arenas;         // `arena_stride` bytes a sample
    i32 *states;        // Q24, `sample_len` a sample
    i32 *held;          // the conditional outputs, under guidance
    i32 *cleans;        // the clean samples predicted before, where `keeps`
    const i32 *known;   // the elements that are known in every sample, or UNKNOWN; null where nothing is
    const u64 *seeds;   // a sample
    const Move *moves;
    u32 *move;          // the number of the next move
    u64 *digests;       // (step, sample)
    u64 *op_digests;    // (move, call, operator, sample); null where nobody asks
    u64 arena_stride;
    u32 samples, sample_len, op_count, move_count, calls;
    u32 classes[2];     // of the first and of the second call
    u32 output;         // byte offset of the network's output
    u32 rule, keeps;
    u32 clips, noisy;
    i32 clip_range, guidance_q16;
    u32 channels;       // of the sample
    u32 first_bit;      // q(x_T = 1) of a binomial chain, Q31
    Noising begin;      // what known elements are in x_T
    u32 scores;         // positions of the largest attention
    u32 resident_scores, resident_state, resident_cleans; // bytes from the start of shared memory
};

// Where operators run: some samples' arenas, and the threads that share the work.
struct Site {
    u8 *arena;
    u64 stride;
    const i32 *states;
    i32 *scores; // shared memory of this warp, a word a position
    u32 samples, sample_len;
    u32 thread, threads;
    u32 time_q16, label;
    i32 input_q30;

    __device__ u8 *at(u32 sample, const Tensor &t) const { return arena + sample * stride + t.offset; }
    __device__ u32 warp() const { return thread / 32; }
    __device__ u32 warps() const { return threads / 32; }
    __device__ u32 lane() const { return thread % 32; }
};

INLINE u32 positions(const Tensor &t) { return t.rows * t.cols; }
INLINE u32 length(const Tensor &t) { return t.rows * t.cols * t.channels; }

// Element i as an integer: zero point removed, f16 as its bits.
INLINE i32 load(const Tensor &t, const u8 *data, u32 i) {
    switch (t.dtype) {
    case I8: return ((const i8 *)data)[i] - t.zero;
    case I16: return ((const i16 *)data)[i];
    case F16: return ((const u16 *)data)[i];
    default: return ((const i32 *)data)[i];
    }
}

// Element i in units of the tensor; bits for f16.
INLINE void store(const Tensor &t, u8 *data, u32 i, i32 v) {
    switch (t.dtype) {
    case I8: ((i8 *)data)[i] = (i8)clamp(sat32((i64)v + t.zero), -128, 127); break;
    case I16: ((i16 *)data)[i] = (i16)clamp(v, -32768, 32767); break;
    case F16: ((u16 *)data)[i] = (u16)v; break;
    default: ((i32 *)data)[i] = v;
    }
}

// Channel `channel` at `position` of one activation, or of two whose channels follow each other, on their common scale.
INLINE i32 load_joined(const Op &op, const Site &site, u32 sample, u32 position, u32 channel) {
    bool second = op.parts == 2 && channel >= op.first.channels;
    const Tensor &t = second ? op.second : op.first;
    u32 c = second ? channel - op.first.channels : channel;
    i32 q = load(t, site.at(sample, t), position * t.channels + c);
    if (op.parts == 1 || op.floats) return q;
    return clamp(scaled(op.join[second], q), -32768, 32767);
}

template <typename T> INLINE const T *constants(const Run &run, u32 at) { return (const T *)(run.constants + at); }
