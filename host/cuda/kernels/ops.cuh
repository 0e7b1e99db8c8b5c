// Operators as the host writes them: host/cuda/src/ops. A test writes this file:
// MOTE_UPDATE_TABLES=1 cargo test --release -p mote-tests --test cuda records
#pragma once
#include "types.cuh"

// A factor `mult * 2^-shift`.
struct Factor {
    i32 mult; // Multiplier.
    u32 shift; // Shift.
};

// An activation of shape (row, col, channel).
struct Tensor {
    u32 offset; // Byte in a sample's arena.
    u32 rows; // Extents.
    u32 cols; // Extents.
    u32 channels; // Extents.
    u32 dtype; // Number format.
    i32 zero; // The integer that stands for 0.
};

// An operator: what kernels of all kinds read alike, and a record of its own kind.
struct Op {
    u32 kernel; // Number of the kernel that runs it.
    u32 floats; // Whether the model is of the float scheme.
    Tensor out; // What it makes.
    Tensor first; // The input; queries of an attention.
    Tensor second; // Further channels of the input where 'parts' is 2; keys.
    Tensor third; // Where 'has_third': a convolution's addend, a normalization's scale and shift; values.
    u32 parts; // Activations of which the input is made.
    u32 has_third; // Whether there is a third activation.
    Factor join[2]; // The parts' factors to their common scale.
    u64 fields[8]; // The record of its kind.
};

// Of an input.
struct InputFields {
    Factor factor; // From Q24 to the output's unit.
    i32 offset; // Added after it.
    float scale; // Factor of f16 models.
    float shift; // Added after it in f16 models.
};

// Of timestep features.
struct TimeProjFields {
    u32 phases; // Turns a timestep: u32 of half as many as there are channels.
    u32 cos_first; // Whether cosines come first.
};

// Of a class embedding.
struct ClassEmbedFields {
    u32 table; // i16 or f16 (class, channel).
};

// Of SiLU.
struct SiluFields {
    Factor to_q16; // From the input's unit to Q16.
    Factor from_q16; // From Q16 to the output's unit.
};

// Of a convolution. Tables of a readout hold those of all groups of timesteps.
struct ConvFields {
    u32 weights; // Weights; of 16-bit ones the high bytes.
    u32 low_weights; // Low bytes of 16-bit weights.
    u32 bias; // i64 a column; f32 in f16 models.
    u32 factors; // A factor a column.
    u32 taps; // u32 a quad: kernel row, column and first channel.
    u32 starts; // u32 a group of timesteps: the first of them.
    u32 groups; // Groups of timesteps, each with weights of its own; 0 and 1 are all the same.
    u32 side; // The kernel's side.
    u32 stride; // Stride.
    u32 top; // Zeros at the top.
    u32 left; // Zeros at the left.
    u32 zoom; // 1 for an input that is read through x2.
    u32 steps; // Steps of 32 taps.
    Factor addend; // Factor of the addend.
    float addend_f16; // Factor of the addend in f16 models.
};

// Of a group normalization.
struct GroupNormFields {
    u64 eps_q; // Epsilon of integer models.
    u32 affine; // Gamma, then beta, a word a channel.
    u32 groups; // Groups.
    u32 silu; // Whether SiLU follows.
    u32 gamma_frac; // Fraction bits of gamma.
    Factor vector; // Factor of scale and shift to Q16.
    Factor factor; // From Q16 to the output's unit.
    float eps; // Epsilon of f16 models.
    u32 pad; // Nothing.
};

// Of an attention.
struct AttentionFields {
    u32 heads; // Heads.
    Factor score; // From the dot product to Q16 in units of log2.
    Factor factor; // From Q15 probabilities times values to the output's unit.
    float scale; // Factor of scores in f16 models.
};

// Of softmax.
struct SoftmaxFields {
    Factor factor; // From the input's unit to Q16 in units of log2.
};

// The record of an operator's kind.
template <typename T> INLINE const T &fields_of(const Op &op) {
    static_assert(sizeof(T) <= sizeof(op.fields), "a record that an operator has no room for");
    return *(const T *)op.fields;
}

// Number, name and call of every kernel of an operator.
#define KERNELS(KERNEL) \
    KERNEL(0, input_layer, input(op, site)) \
    KERNEL(1, time_proj_layer, time_proj(run, op, site)) \
    KERNEL(2, class_embed_layer, class_embed(run, op, site)) \
    KERNEL(3, silu_layer, silu(op, site)) \
    KERNEL(4, conv_bytes_layer, (conv<false, false, 4>(run, op, site))) \
    KERNEL(5, conv_words_layer, (conv<true, false, 4>(run, op, site))) \
    KERNEL(6, conv_wide_layer, (conv<true, true, 2>(run, op, site))) \
    KERNEL(7, conv_f16_layer, conv_f16(run, op, site)) \
    KERNEL(8, group_norm_layer, group_norm(run, op, site)) \
    KERNEL(9, group_norm_f16_layer, group_norm_f16(run, op, site)) \
    KERNEL(10, attention_layer, attention(op, site)) \
    KERNEL(11, attention_f16_layer, attention_f16(op, site)) \
    KERNEL(12, upsample_layer, upsample(op, site)) \
    KERNEL(13, avg_pool_layer, avg_pool(op, site)) \
    KERNEL(14, softmax_layer, softmax(op, site)) \
    KERNEL(15, join_layer, join(op, site))
