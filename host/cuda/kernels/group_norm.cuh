// Group normalization: a warp a group of a sample, whose channels and positions its lanes share.
//
// The record is GroupNormFields.
#pragma once
#include "float.cuh"
#include "program.cuh"
#include "roots.cuh"
#include "warp.cuh"

// A lane has one channel of every `width` and one position of every `height`.
struct Share {
    u32 channel, position, width, height;
    bool idle;
};

INLINE Share share_of(u32 lane, u32 size) {
    Share share;
    share.width = size < LANES ? size : LANES;
    share.height = LANES / share.width;
    share.channel = lane % share.width;
    share.position = lane / share.width;
    share.idle = share.position >= share.height;
    return share;
}

// What the channels of a group share.
struct Affine {
    i64 mean_q14, p;
    i32 s, t;
};

INLINE Affine affine_of(const GroupNormFields &f, u32 n, i64 sum, u64 squares) {
    u64 magnitude = sum < 0 ? (u64)-sum : (u64)sum;
    u64 spread = n * squares - magnitude * magnitude + f.eps_q;
    i64 doubled = 2 * (sum * 16384) + n, by = 2 * (i64)n;
    Root root = rsqrt_u64(spread);
    u64 product = (u64)root.mant_q31 * n;
    i32 k = most(64 - __clzll((i64)product) - 31, 0);
    Affine affine;
    affine.mean_q14 = doubled / by - (doubled % by < 0 ? 1 : 0);
    affine.p = k == 0 ? (i64)product : (i64)((product + ((u64)1 << (k - 1))) >> k);
    affine.s = 14 + root.exp - k + (i32)f.gamma_frac - 16;
    affine.t = clamp(affine.s, 1, 30);
    return affine;
}

INLINE i32 channel_factor(const Affine &f, i32 gamma) {
    i64 a = (f.p * gamma + (1 << 30)) >> 31;
    return sat32(f.s < 1 ? a * ((i64)1 << (1 - f.s)) : a >> (f.s - f.t));
}

INLINE void group_norm(const Run &run, const Op &op, const Site &site) {
    const GroupNormFields &f = fields_of<GroupNormFields>(op);
    u32 groups = f.groups, size = op.out.channels / groups, places = positions(op.out), n = places * size;
    const i32 *gamma = constants<i32>(run, f.affine), *beta_q16 = gamma + op.out.channels;
    Share share = share_of(site.lane(), size);
    for (u32 item = site.warp(); item < site.samples * groups; item += site.warps()) {
        u32 sample = item / groups, first = item % groups * size;
        i64 sum = 0;
        u64 squares = 0;
        for (u32 c = share.channel; c < size && !share.idle; c += share.width) {
            for (u32 position = share.position; position < places; position += share.height) {
                i64 q = load_joined(op, site, sample, position, first + c);
                sum += q;
                squares += (u64)(q * q);
            }
        }
        sum = (i64)warp_sum((u64)sum);
        squares = warp_sum(squares);
        Affine affine = affine_of(f, n, sum, squares);
        const u8 *vector = op.has_third ? site.at(sample, op.third) : 0;
        u8 *out = site.at(sample, op.out);
        for (u32 c = share.channel; c < size && !share.idle; c += share.width) {
            u32 channel = first + c;
            i64 a = channel_factor(affine, gamma[channel]);
            i64 offset = ((i64)beta_q16[channel] << affine.t) + ((i64)1 << (affine.t - 1));
            i64 scale = op.has_third ? scaled(f.vector, load(op.third, vector, channel)) : 0;
            i64 shift = op.has_third ? scaled(f.vector, load(op.third, vector, op.out.channels + channel)) : 0;
            for (u32 position = share.position; position < places; position += share.height) {
                i64 q = load_joined(op, site, sample, position, channel);
                i64 d = q * 16384 - affine.mean_q14;
                i32 y = sat32((d * a + offset) >> affine.t);
                if (op.has_third) y = sat32(y + ((y * scale + (1 << 15)) >> 16) + shift);
                if (f.silu) y = silu_q16(y);
                store(op.out, out, position * op.out.channels + channel, scaled(f.factor, y));
            }
        }
    }
}

// The sum over channels, in order, of a value that lane `c % LANES` holds for channel c, `LANES` of them at a time.
INLINE float sum_in_order(float total, float value, u32 count) {
    for (u32 lane = 0; lane < count; lane++) total = add(total, __shfl_sync(WHOLE_WARP, value, (int)lane));
    return total;
}

// A lane a channel, over positions in order; then over channels in order.
INLINE void group_norm_f16(const Run &run, const Op &op, const Site &site) {
    const GroupNormFields &f = fields_of<GroupNormFields>(op);
    u32 groups = f.groups, size = op.out.channels / groups, places = positions(op.out);
    const float *gamma = constants<float>(run, f.affine), *beta = gamma + op.out.channels;
    for (u32 item = site.warp(); item < site.samples * groups; item += site.warps()) {
        u32 sample = item / groups, first = item % groups * size;
        float n = __int2float_rn((i32)(places * size)), mean = 0.0f, root = 0.0f;
        for (int pass = 0; pass < 2; pass++) {
            float total = 0.0f;
            for (u32 block = 0; block < size; block += LANES) {
                u32 count = size - block < LANES ? size - block : LANES, lane = site.lane();
                float sum = 0.0f;
                for (u32 position = 0; position < places && lane < count; position++) {
                    float x = f16_to_f32((u32)load_joined(op, site, sample, position, first + block + lane));
                    float d = sub(x, mean);
                    sum = add(sum, pass == 0 ? x : mul(d, d));
                }
                total = sum_in_order(total, sum, count);
            }
            if (pass == 0) mean = __fdiv_rn(total, n);
            else root = __fdiv_rn(1.0f, __fsqrt_rn(add(__fdiv_rn(total, n), f.eps)));
        }
        const u8 *vector = op.has_third ? site.at(sample, op.third) : 0;
        u8 *out = site.at(sample, op.out);
        for (u32 i = site.lane(); i < places * size; i += LANES) {
            u32 position = i / size, channel = first + i % size;
            float x = f16_to_f32((u32)load_joined(op, site, sample, position, channel));
            float y = add(mul(mul(sub(x, mean), root), gamma[channel]), beta[channel]);
            if (op.has_third) {
                float scale = f16_to_f32((u32)load(op.third, vector, channel));
                float shift = f16_to_f32((u32)load(op.third, vector, op.out.channels + channel));
                y = add(mul(y, add(1.0f, scale)), shift);
            }
            if (f.silu) y = silu_f32(y);
            store(op.out, out, position * op.out.channels + channel, (i32)f32_to_f16_sat(y));
        }
    }
}
