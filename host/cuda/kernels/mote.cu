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

#define OPERATOR_LAYER(NUMBER, NAME, CALL) LAYER(NAME, CALL)
KERNELS(OPERATOR_LAYER)
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
#define CASE(NUMBER, NAME, CALL)                                                                                       \
    case NUMBER:                                                                                                       \
        CALL;                                                                                                          \
        break;
    switch (op.kernel) { KERNELS(CASE) }
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
