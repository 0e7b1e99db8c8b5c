// Group normalization, and SiLU behind it where it is asked for: a warp a group of a sample, three passes over it.
//
// The record is NetworkNorm.
#pragma once
#include "network.cuh"

INLINE void norm(const NetworkRun &run, const NetworkOp &op) {
    const NetworkNorm &f = fields_of<NetworkNorm>(op);
    u32 lane = threadIdx.x % 32, groups = f.groups, channels = op.first.channels, width = channels / groups;
    u32 n = width * positions(op.first);
    const float *gamma = constants<float>(run, f.gamma), *beta = constants<float>(run, f.beta);
    for (u32 item = grid_thread() / 32; item < run.samples * groups; item += grid_threads() / 32) {
        u32 sample = item / groups, group = item % groups * width;
        const u8 *from = memory_of(run, sample, op.first);
        u8 *to = memory_of(run, sample, op.out);
        float sum = 0.0f;
        for (u32 e = lane; e < n; e += LANES) sum = __fadd_rn(sum, load(op.first, from, e / width * channels + group + e % width));
        float mean = __fdiv_rn(warp_sum(sum), (float)n), squares = 0.0f;
        for (u32 e = lane; e < n; e += LANES) {
            float d = __fsub_rn(load(op.first, from, e / width * channels + group + e % width), mean);
            squares = fused(d, d, squares);
        }
        float deviation = __fsqrt_rn(__fadd_rn(__fdiv_rn(warp_sum(squares), (float)n), f.eps));
        for (u32 e = lane; e < n; e += LANES) {
            u32 channel = group + e % width, i = e / width * channels + channel;
            float v = __fdiv_rn(__fsub_rn(load(op.first, from, i), mean), deviation);
            v = fused(v, gamma[channel], beta[channel]);
            store(op.out, to, i, f.silu ? silu(v) : v);
        }
    }
}
