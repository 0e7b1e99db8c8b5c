// Attention in f32: a warp a query of a head, its scores in shared memory.
//
// The record is NetworkAttention; first, second: q, k.
#pragma once
#include "network.cuh"

INLINE void attention(const NetworkRun &run, const NetworkOp &op, u8 *shared) {
    const NetworkAttention &f = fields_of<NetworkAttention>(op);
    u32 lane = threadIdx.x % 32, heads = f.heads, channels = op.out.channels, depth = channels / heads, n = positions(op.out);
    const NetworkTensor &values = f.values;
    float *scores = (float *)shared + threadIdx.x / 32 * n;
    for (u32 item = grid_thread() / 32; item < run.samples * n * heads; item += grid_threads() / 32) {
        u32 sample = item / (n * heads), row = item / heads % n, first = item % heads * depth;
        const u8 *q = memory_of(run, sample, op.first), *k = memory_of(run, sample, op.second), *v = memory_of(run, sample, values);
        float top = __uint_as_float(0xFF800000u);
        for (u32 j = lane; j < n; j += LANES) {
            float dot = 0.0f;
            for (u32 c = first; c < first + depth; c++) dot = fused(load(op.first, q, row * channels + c), load(op.second, k, j * channels + c), dot);
            scores[j] = __fdiv_rn(dot, f.divisor);
            top = scores[j] > top ? scores[j] : top;
        }
        top = warp_max(top);
        float total = 0.0f;
        for (u32 j = lane; j < n; j += LANES) {
            scores[j] = natural_exp(__fsub_rn(scores[j], top));
            total = __fadd_rn(total, scores[j]);
        }
        total = warp_sum(total);
        __syncwarp();
        for (u32 c = first + lane; c < first + depth; c += LANES) {
            float sum = 0.0f;
            for (u32 j = 0; j < n; j++) sum = fused(scores[j], load(values, v, j * channels + c), sum);
            store(op.out, memory_of(run, sample, op.out), row * channels + c, __fdiv_rn(sum, total));
        }
        // The next query's scores take the place of these.
        __syncwarp();
    }
}
