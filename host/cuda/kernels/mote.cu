// The kernels. Layered: one an operator, over all samples of a batch. Resident: one for everything, a block a sample.
//
// Every kernel but the tests' own takes the run, the operator's number and the number of the network's call (0, or 1 under
// guidance).
#include "attention.cuh"
#include "conv.cuh"
#include "conv_f16.cuh"
#include "group_norm.cuh"
#include "pointwise.cuh"
#include "probe.cuh"
#include "sampler.cuh"

#define KERNEL(NAME) extern "C" __global__ void NAME(const Run *at, u64 number, u64 call)

// All samples of the batch, shared by the threads of the grid.
INLINE Site batch_site(const Run &run, u64 call, u8 *shared) {
    Site site;
    site.arena = run.arenas;
    site.stride = run.arena_stride;
    site.states = run.states;
    site.scores = (i32 *)shared + (threadIdx.x / 32) * run.scores;
    site.samples = run.samples;
    site.sample_len = run.sample_len;
    site.thread = blockIdx.x * blockDim.x + threadIdx.x;
    site.threads = gridDim.x * blockDim.x;
    site.time_q16 = run.moves[*run.move].time_q16;
    site.input_q30 = run.moves[*run.move].input_q30;
    site.label = run.classes[call];
    return site;
}

#define LAYER(NAME, CALL)                                                                                              \
    KERNEL(NAME) {                                                                                                     \
        DYNAMIC_SHARED(shared);                                                                                        \
        const Run &run = *at;                                                                                          \
        const Op &op = run.ops[number];                                                                                \
        Site site = batch_site(run, call, shared);                                                                     \
        CALL;                                                                                                          \
    }

LAYER(input_layer, input(op, site))
LAYER(time_proj_layer, time_proj(run, op, site))
LAYER(class_embed_layer, class_embed(run, op, site))
LAYER(silu_layer, silu(op, site))
LAYER(conv_bytes_layer, (conv<false, false, 4>(run, op, site)))
LAYER(conv_words_layer, (conv<true, false, 4>(run, op, site)))
LAYER(conv_wide_layer, (conv<true, true, 2>(run, op, site)))
LAYER(conv_f16_layer, conv_f16(run, op, site))
LAYER(group_norm_layer, group_norm(run, op, site))
LAYER(group_norm_f16_layer, group_norm_f16(run, op, site))
LAYER(attention_layer, attention(op, site))
LAYER(attention_f16_layer, attention_f16(op, site))
LAYER(upsample_layer, upsample(op, site))
LAYER(avg_pool_layer, avg_pool(op, site))
LAYER(softmax_layer, softmax(op, site))
LAYER(join_layer, join(op, site))
LAYER(digest_layer, digest_output(run, op, site, ((u64)*run.move * run.calls + call) * run.op_count + number, 0))
LAYER(hold_layer, hold(run, site, run.held))
LAYER(advance_layer, advance(run, site, *run.move, run.states, run.held, run.cleans, 0))

// x_T from the seeds, known elements in it.
KERNEL(begin_layer) { begin(*at, blockIdx.x * blockDim.x + threadIdx.x, gridDim.x * blockDim.x); }

// A function of the contract at `call` arguments.
KERNEL(probe_function) {
    u64 *words = (u64 *)at;
    for (u64 i = blockIdx.x * blockDim.x + threadIdx.x; i < call; i += gridDim.x * blockDim.x) {
        words[call + i] = probe(number, words[i]);
    }
}

// The move is done.
KERNEL(next_layer) {
    if (threadIdx.x == 0) *at->move += 1;
}

// One operator of one sample.
INLINE void run_op(const Run &run, const Op &op, const Site &site) {
    switch (op.kind) {
    case INPUT: input(op, site); break;
    case TIME_PROJ: time_proj(run, op, site); break;
    case CLASS_EMBED: class_embed(run, op, site); break;
    case SILU: silu(op, site); break;
    case CONV:
        if (op.floats) conv_f16(run, op, site);
        else if (op.wide) conv<true, true, 2>(run, op, site);
        else if (op.parts == 2 || op.first.dtype != I8) conv<true, false, 4>(run, op, site);
        else conv<false, false, 4>(run, op, site);
        break;
    case GROUP_NORM: op.floats ? group_norm_f16(run, op, site) : group_norm(run, op, site); break;
    case ATTENTION: op.floats ? attention_f16(op, site) : attention(op, site); break;
    case UPSAMPLE: upsample(op, site); break;
    case AVG_POOL: avg_pool(op, site); break;
    case SOFTMAX: softmax(op, site); break;
    case JOIN: join(op, site); break;
    }
}

// All moves of a sample in a block: activations, state (and what is held beside it) and scores in shared memory, in this order.
KERNEL(resident) {
    DYNAMIC_SHARED(shared);
    const Run &run = *at;
    u32 sample = blockIdx.x;
    i32 *state = (i32 *)(shared + run.resident_state), *held = state + run.sample_len;
    i32 *cleans = (i32 *)(shared + run.resident_cleans);
    Site site;
    site.arena = shared;
    site.stride = 0;
    site.states = state;
    site.scores = (i32 *)(shared + run.resident_scores) + (threadIdx.x / 32) * run.scores;
    site.samples = 1;
    site.sample_len = run.sample_len;
    site.thread = threadIdx.x;
    site.threads = blockDim.x;
    i32 *whole = run.states + (u64)sample * run.sample_len;
    for (u32 i = threadIdx.x; i < run.sample_len; i += blockDim.x) state[i] = whole[i];
    __syncthreads();
    for (u32 move = 0; move < run.move_count; move++) {
        site.time_q16 = run.moves[move].time_q16;
        site.input_q30 = run.moves[move].input_q30;
        for (u32 turn = 0; turn < run.calls; turn++) {
            site.label = run.classes[turn];
            for (u32 i = 0; i < run.op_count; i++) {
                run_op(run, run.ops[i], site);
                __syncthreads();
                if (run.op_digests) {
                    digest_output(run, run.ops[i], site, ((u64)move * run.calls + turn) * run.op_count + i, sample);
                    __syncthreads();
                }
            }
            if (turn + 1 < run.calls) {
                hold(run, site, held);
                __syncthreads();
            }
        }
        advance(run, site, move, state, held, cleans, sample);
        __syncthreads();
    }
    for (u32 i = threadIdx.x; i < run.sample_len; i += blockDim.x) whole[i] = state[i];
}
