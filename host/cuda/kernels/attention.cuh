// Attention: a warp a query of a head, its scores in shared memory.
// The record is AttentionFields.
#pragma once
#include "float.cuh"
#include "program.cuh"
#include "warp.cuh"

INLINE void attention(const Op &op, const Site &site) {
    const AttentionFields &f = fields_of<AttentionFields>(op);
    u32 heads = f.heads, channels = op.out.channels, depth = channels / heads, n = positions(op.out), lane = site.lane();
    for (u32 item = site.warp(); item < site.samples * n * heads; item += site.warps()) {
        u32 sample = item / (n * heads), row = item / heads % n, first = item % heads * depth;
        const u8 *q = site.at(sample, op.first), *k = site.at(sample, op.second), *v = site.at(sample, op.third);
        i32 top = (i32)0x80000000;
        for (u32 j = lane; j < n; j += LANES) {
            i64 dot = 0;
            for (u32 c = first; c < first + depth; c++) {
                dot += (i64)load(op.first, q, row * channels + c) * load(op.second, k, j * channels + c);
            }
            i32 score = scaled(f.score, dot);
            site.scores[j] = score;
            top = most(top, score);
        }
        top = warp_max(top);
        u64 total = 0;
        for (u32 j = lane; j < n; j += LANES) {
            u32 power = exp2_neg_q16((u32)top - (u32)site.scores[j]);
            site.scores[j] = (i32)power;
            total += power;
        }
        u64 reciprocal = ((u64)1 << 46) / warp_sum(total);
        for (u32 j = lane; j < n; j += LANES) {
            site.scores[j] = (i32)(((u64)(u32)site.scores[j] * reciprocal + (1 << 30)) >> 31);
        }
        __syncwarp();
        for (u32 c = first + lane; c < first + depth; c += LANES) {
            i32 sum = 0;
            for (u32 j = 0; j < n; j++) sum += site.scores[j] * load(op.third, v, j * channels + c);
            store(op.out, site.at(sample, op.out), row * channels + c, scaled(f.factor, sum));
        }
        // The next query's scores take the place of these.
        __syncwarp();
    }
}

// Sums over positions in order, by every lane for itself.
INLINE void attention_f16(const Op &op, const Site &site) {
    const AttentionFields &f = fields_of<AttentionFields>(op);
    u32 heads = f.heads, channels = op.out.channels, depth = channels / heads, n = positions(op.out), lane = site.lane();
    float *scores = (float *)site.scores;
    for (u32 item = site.warp(); item < site.samples * n * heads; item += site.warps()) {
        u32 sample = item / (n * heads), row = item / heads % n, first = item % heads * depth;
        const u8 *q = site.at(sample, op.first), *k = site.at(sample, op.second), *v = site.at(sample, op.third);
        for (u32 j = lane; j < n; j += LANES) {
            float dot = 0.0f;
            for (u32 c = first; c < first + depth; c++) {
                float query = f16_to_f32((u32)load(op.first, q, row * channels + c));
                dot = add(dot, mul(query, f16_to_f32((u32)load(op.second, k, j * channels + c))));
            }
            scores[j] = mul(dot, f.scale);
        }
        __syncwarp();
        float top = __uint_as_float(0xFF800000u);
        for (u32 j = 0; j < n; j++) top = scores[j] > top ? scores[j] : top;
        __syncwarp();
        for (u32 j = lane; j < n; j += LANES) scores[j] = exp_f32(sub(scores[j], top));
        __syncwarp();
        float total = 0.0f;
        for (u32 j = 0; j < n; j++) total = add(total, scores[j]);
        for (u32 c = first + lane; c < first + depth; c += LANES) {
            float sum = 0.0f;
            for (u32 j = 0; j < n; j++) sum = add(sum, mul(scores[j], f16_to_f32((u32)load(op.third, v, j * channels + c))));
            store(op.out, site.at(sample, op.out), row * channels + c, (i32)f32_to_f16_sat(__fdiv_rn(sum, total)));
        }
        __syncwarp();
    }
}
