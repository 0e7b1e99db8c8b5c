// Operators of a thread an element: what enters the network, SiLU, changes of size; and softmax.
#pragma once
#include "float.cuh"
#include "noise.cuh"
#include "program.cuh"

INLINE void input(const Op &op, const Site &site) {
    const InputFields &f = fields_of<InputFields>(op);
    u32 each = site.sample_len;
    for (u32 item = site.thread; item < site.samples * each; item += site.threads) {
        u32 sample = item / each, i = item % each;
        i32 x = (i32)(((i64)site.states[item] * site.input_q30 + (1 << 29)) >> 30);
        i32 v = op.floats ? (i32)f32_to_f16_sat(add(mul(q24_to_f32(x), f.scale), f.shift))
                          : sat32((i64)scaled(f.factor, x) + f.offset);
        store(op.out, site.at(sample, op.out), i, v);
    }
}

INLINE i32 feature(const Op &op, i32 v_q15) {
    return op.floats ? (i32)f32_to_f16_sat(mul(__int2float_rn(v_q15), 0.000030517578125f)) : v_q15;
}

INLINE void time_proj(const Run &run, const Op &op, const Site &site) {
    const TimeProjFields &f = fields_of<TimeProjFields>(op);
    u32 half = op.out.channels / 2;
    for (u32 item = site.thread; item < site.samples * half; item += site.threads) {
        u32 sample = item / half, i = item % half;
        u64 turns_q48 = (u64)constants<u32>(run, f.phases)[i] * site.time_q16;
        Turn turn = sin_cos_q30((u32)((turns_q48 + (1 << 15)) >> 16));
        u8 *out = site.at(sample, op.out);
        store(op.out, out, f.cos_first ? half + i : i, feature(op, q30_to_q15(turn.sine)));
        store(op.out, out, f.cos_first ? i : half + i, feature(op, q30_to_q15(turn.cosine)));
    }
}

INLINE void class_embed(const Run &run, const Op &op, const Site &site) {
    u32 dim = op.out.channels;
    const u16 *row = constants<u16>(run, fields_of<ClassEmbedFields>(op).table) + site.label * dim;
    for (u32 item = site.thread; item < site.samples * dim; item += site.threads) {
        u32 v = row[item % dim];
        store(op.out, site.at(item / dim, op.out), item % dim, op.floats ? (i32)v : (i32)(i16)v);
    }
}

INLINE void silu(const Op &op, const Site &site) {
    const SiluFields &f = fields_of<SiluFields>(op);
    u32 each = length(op.out);
    for (u32 item = site.thread; item < site.samples * each; item += site.threads) {
        u32 sample = item / each, i = item % each;
        i32 q = load(op.first, site.at(sample, op.first), i);
        i32 v = op.floats ? (i32)f32_to_f16_sat(silu_f32(f16_to_f32((u32)q)))
                          : scaled(f.from_q16, silu_q16(scaled(f.to_q16, q)));
        store(op.out, site.at(sample, op.out), i, v);
    }
}

INLINE void upsample(const Op &op, const Site &site) {
    u32 each = length(op.out), channels = op.out.channels;
    for (u32 item = site.thread; item < site.samples * each; item += site.threads) {
        u32 sample = item / each, i = item % each, position = i / channels;
        u32 y = position / op.out.cols / 2, x = position % op.out.cols / 2;
        u32 from = (y * op.first.cols + x) * channels + i % channels;
        store(op.out, site.at(sample, op.out), i, load(op.first, site.at(sample, op.first), from));
    }
}

INLINE void avg_pool(const Op &op, const Site &site) {
    u32 each = length(op.out), channels = op.out.channels;
    for (u32 item = site.thread; item < site.samples * each; item += site.threads) {
        u32 sample = item / each, i = item % each, position = i / channels;
        u32 y = position / op.out.cols * 2, x = position % op.out.cols * 2, row = op.first.cols * channels;
        u32 from = (y * op.first.cols + x) * channels + i % channels;
        const u8 *data = site.at(sample, op.first);
        i32 a = load(op.first, data, from), b = load(op.first, data, from + channels);
        i32 c = load(op.first, data, from + row), d = load(op.first, data, from + row + channels);
        i32 v = (a + b + c + d + 2) >> 2;
        if (op.floats) {
            float sum = add(add(f16_to_f32((u32)a), f16_to_f32((u32)b)), f16_to_f32((u32)c));
            v = (i32)f32_to_f16_sat(mul(add(sum, f16_to_f32((u32)d)), 0.25f));
        }
        store(op.out, site.at(sample, op.out), i, v);
    }
}

// Two activations on their common scale, for a convolution that reads each element many times.
INLINE void join(const Op &op, const Site &site) {
    u32 each = length(op.out), channels = op.out.channels;
    for (u32 item = site.thread; item < site.samples * each; item += site.threads) {
        u32 sample = item / each, i = item % each;
        store(op.out, site.at(sample, op.out), i, load_joined(op, site, sample, i / channels, i % channels));
    }
}

// Over the channels of a position, a thread a position; powers are computed again instead of being held.
INLINE void softmax(const Op &op, const Site &site) {
    Factor factor = fields_of<SoftmaxFields>(op).factor;
    u32 each = positions(op.out), channels = op.out.channels;
    for (u32 item = site.thread; item < site.samples * each; item += site.threads) {
        u32 sample = item / each, first = item % each * channels;
        const u8 *from = site.at(sample, op.first);
        u8 *out = site.at(sample, op.out);
        if (op.floats) {
            float top = __uint_as_float(0xFF800000u), total = 0.0f;
            for (u32 c = 0; c < channels; c++) {
                float x = f16_to_f32((u32)load(op.first, from, first + c));
                top = x > top ? x : top;
            }
            for (u32 c = 0; c < channels; c++) {
                total = add(total, exp_f32(sub(f16_to_f32((u32)load(op.first, from, first + c)), top)));
            }
            for (u32 c = 0; c < channels; c++) {
                float power = exp_f32(sub(f16_to_f32((u32)load(op.first, from, first + c)), top));
                store(op.out, out, first + c, (i32)f32_to_f16_sat(__fdiv_rn(power, total)));
            }
            continue;
        }
        i32 top = (i32)0x80000000;
        for (u32 c = 0; c < channels; c++) top = most(top, scaled(factor, load(op.first, from, first + c)));
        u64 total = 0;
        for (u32 c = 0; c < channels; c++) {
            total += exp2_neg_q16((u32)top - (u32)scaled(factor, load(op.first, from, first + c)));
        }
        u64 reciprocal = ((u64)1 << 46) / total;
        for (u32 c = 0; c < channels; c++) {
            u64 power = exp2_neg_q16((u32)top - (u32)scaled(factor, load(op.first, from, first + c)));
            store(op.out, out, first + c, (i32)((power * reciprocal + (1 << 30)) >> 31));
        }
    }
}
