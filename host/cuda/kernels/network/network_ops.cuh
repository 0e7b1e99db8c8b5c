// Operators as the host writes them: host/cuda/src/network/ops. A test writes this file:
// MOTE_UPDATE_TABLES=1 cargo test --release -p mote-tests --test cuda records
#pragma once
#include "types.cuh"

// An activation of shape (row, col, channel).
struct NetworkTensor {
    u32 offset; // Byte in a sample's arena.
    u32 rows; // Extents.
    u32 cols; // Extents.
    u32 channels; // Extents.
    u32 half; // Whether it is stored in f16, else in f32.
};

// An operator: what kernels of all kinds read alike, and a record of its own kind.
struct NetworkOp {
    NetworkTensor out; // What it makes.
    NetworkTensor first; // The input.
    NetworkTensor second; // The second input, or what is added.
    u32 kind; // Kind of a pointwise operator.
    u32 fields[12]; // The record of its kind.
};

// Kinds of the pointwise kernel.
enum Pointwise { SAMPLE, FEATURES, LABEL, AFFINE, SILU, ADD, ADD_CHANNEL, SCALE_SHIFT, COPY, UPSAMPLE, AVG_POOL, OUTPUT };

// Of features and of the evaluation's outputs: where a sample's begin. Of a copy: the first channel that is written.
struct NetworkPlace {
    u32 first; // Its number.
};

// Of a row of the class table.
struct NetworkTable {
    u32 rows; // f32 (class, channel).
};

// Of a factor and an offset.
struct NetworkLine {
    float factor; // Multiplies first.
    float offset; // Added after it.
};

// Of a sum.
struct NetworkSum {
    float divisor; // What it is divided by.
};

// Of a group normalization.
struct NetworkNorm {
    u32 gamma; // f32 a channel.
    u32 beta; // f32 a channel.
    u32 groups; // Groups.
    u32 silu; // Whether SiLU follows.
    float eps; // Epsilon.
};

// Of an attention, whose first inputs are queries and keys.
struct NetworkAttention {
    NetworkTensor values; // The third input.
    u32 heads; // Heads.
    float divisor; // What scores are divided by.
};

// Of a convolution.
struct NetworkConv {
    u32 weights; // f32 (tap, out), or fragments of f16.
    u32 bias; // f32 a column.
    u32 taps; // u32 a tap, or four channels: kernel row, column and channel.
    u32 side; // The kernel's side.
    u32 stride; // Stride.
    u32 top; // Zeros at the top.
    u32 left; // Zeros at the left.
    u32 zoom; // 1 for an input that is read through x2.
    u32 steps; // Steps of 16 taps.
    u32 addend; // What 'second' is: nothing, of the output's shape, or a vector.
    float divisor; // What the sum with it is divided by.
};

// The record of an operator's kind.
template <typename T> INLINE const T &fields_of(const NetworkOp &op) {
    static_assert(sizeof(T) <= sizeof(op.fields), "a record that an operator has no room for");
    return *(const T *)op.fields;
}
