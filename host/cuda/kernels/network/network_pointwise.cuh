// Operators whose outputs each come from a few inputs: a thread an element of the output.
//
// Kinds and records are in network_ops.cuh.
#pragma once
#include "network.cuh"

INLINE void pointwise(const NetworkRun &run, const NetworkOp &op) {
    // A copy goes over what is copied: its output is wider.
    const NetworkTensor &shape = op.kind == COPY || op.kind == OUTPUT ? op.first : op.out;
    u32 each = length(shape), channels = shape.channels;
    for (u32 item = grid_thread(); item < run.samples * each; item += grid_threads()) {
        u32 sample = item / each, i = item % each, position = i / channels, c = i % channels;
        u32 planar = c * positions(shape) + position;
        const u8 *a = memory_of(run, sample, op.first), *b = memory_of(run, sample, op.second);
        u32 to = i;
        float v = 0.0f;
        switch (op.kind) {
        case SAMPLE: v = run.x[(u64)sample * run.sample_len + planar]; break;
        case FEATURES: v = run.features[(u64)sample * run.feature_stride + fields_of<NetworkPlace>(op).first + i]; break;
        case LABEL: v = constants<float>(run, fields_of<NetworkTable>(op).rows)[run.labels[sample] * channels + i]; break;
        case AFFINE: v = __fadd_rn(__fmul_rn(load(op.first, a, i), fields_of<NetworkLine>(op).factor), fields_of<NetworkLine>(op).offset); break;
        case SILU: v = silu(load(op.first, a, i)); break;
        case ADD:
            v = __fadd_rn(load(op.first, a, i), load(op.second, b, i));
            if (fields_of<NetworkSum>(op).divisor != 1.0f) v = __fdiv_rn(v, fields_of<NetworkSum>(op).divisor);
            break;
        case ADD_CHANNEL: v = __fadd_rn(load(op.first, a, i), load(op.second, b, c)); break;
        case SCALE_SHIFT:
            v = __fadd_rn(__fmul_rn(load(op.first, a, i), __fadd_rn(load(op.second, b, c), 1.0f)), load(op.second, b, channels + c));
            break;
        case COPY:
            v = load(op.first, a, i);
            to = position * op.out.channels + fields_of<NetworkPlace>(op).first + c;
            break;
        case UPSAMPLE: v = load(op.first, a, (position / shape.cols / 2 * op.first.cols + position % shape.cols / 2) * channels + c); break;
        case AVG_POOL: {
            u32 corner = (position / shape.cols * 2 * op.first.cols + position % shape.cols * 2) * channels + c, down = op.first.cols * channels;
            float upper = __fadd_rn(load(op.first, a, corner), load(op.first, a, corner + channels));
            float lower = __fadd_rn(load(op.first, a, corner + down), load(op.first, a, corner + down + channels));
            v = __fmul_rn(__fadd_rn(upper, lower), 0.25f);
            break;
        }
        case OUTPUT: run.outputs[(u64)sample * run.output_len + fields_of<NetworkPlace>(op).first + planar] = load(op.first, a, i); continue;
        }
        store(op.out, memory_of(run, sample, op.out), to, v);
    }
}
