// The kernels on a CPU: a block at a time, each of its threads a fiber.
//
// A fiber runs until a barrier, a shuffle or a product of matrices, which it can pass when all that it must wait for are there.
// Which fiber runs next is the schedule's choice, and no kernel may depend on it:
//
// 0: all threads in order, up to their next wait. 1: the same in reverse order.
// 2: the first warp as far as it comes, then the second. 3: the same in reverse order.
//
// Shared memory is filled with a pattern before a block begins, and stands between guards.
#ifndef STANDIN_WITHOUT_MOTE
#include "mote.cu"
#else
#include "program.cuh"
#endif
#ifndef STANDIN_WITHOUT_NETWORK
#include "warp.cuh"
namespace network {
#include "network.cu"
}
#endif

#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <string>
#include <ucontext.h>
#include <vector>

Dim threadIdx, blockIdx, blockDim, gridDim;
unsigned char *standin_shared;

namespace {

const size_t STACK = 64 << 10, GUARD = 256;
const unsigned char GUARD_BYTE = 0xC7;

enum Wait { READY, BLOCK, SYNC, SHUFFLE, MMA, MMA_HALF, DONE };

// What a fiber waits for, and what it brings along.
struct Fiber {
    Wait wait;
    jmp_buf place;
    u64 value;
    u32 from;
    u32 *d;
    const u32 *a, *b;
    bool a_signed, b_signed;
    float *sums;
};

const u32 MOST_THREADS = 1024;
Fiber fibers[MOST_THREADS];
u32 created;
// Untouched pages take no memory.
unsigned char *stacks = (unsigned char *)malloc(MOST_THREADS * STACK);
std::vector<unsigned char> memory;
jmp_buf scheduler;
void (*kernel)(const Run *, u64, u64);
u64 arguments[3];
std::string problem;

// A fiber runs one kernel after the other.
void fiber_main() {
    for (;;) {
        if (_setjmp(fibers[threadIdx.x].place) == 0) _longjmp(scheduler, 1);
        kernel((const Run *)arguments[0], arguments[1], arguments[2]);
        fibers[threadIdx.x].wait = DONE;
    }
}

void wait_for(Wait what) {
    Fiber &fiber = fibers[threadIdx.x];
    fiber.wait = what;
    if (_setjmp(fiber.place) == 0) _longjmp(scheduler, 1);
}

// Its first switch goes through a context of its own; all later ones are jumps.
void create(u32 index) {
    threadIdx.x = index;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + index * STACK;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, fiber_main, 0);
    if (_setjmp(scheduler) == 0) setcontext(&context);
}

void run(u32 index) {
    threadIdx.x = index;
    if (_setjmp(scheduler) == 0) _longjmp(fibers[index].place, 1);
}

i32 byte_of(u32 word, u32 i, bool is_signed) {
    u32 byte = word >> (8 * i) & 0xFF;
    return is_signed ? (i32)(i8)byte : (i32)byte;
}

// m16n8k32 over the registers of 32 fibers.
void multiply(Fiber *lanes) {
    i32 a[16][32], b[32][8], d[16][8] = {};
    for (u32 lane = 0; lane < 32; lane++) {
        u32 group = lane / 4, quad = lane % 4;
        for (u32 i = 0; i < 4; i++) {
            for (u32 j = 0; j < 4; j++) a[group + i % 2 * 8][quad * 4 + j + i / 2 * 16] = byte_of(lanes[lane].a[i], j, lanes[lane].a_signed);
        }
        for (u32 i = 0; i < 2; i++) {
            for (u32 j = 0; j < 4; j++) b[quad * 4 + j + i * 16][group] = byte_of(lanes[lane].b[i], j, lanes[lane].b_signed);
        }
    }
    for (u32 row = 0; row < 16; row++) {
        for (u32 k = 0; k < 32; k++) {
            for (u32 col = 0; col < 8; col++) d[row][col] += a[row][k] * b[k][col];
        }
    }
    for (u32 lane = 0; lane < 32; lane++) {
        for (u32 i = 0; i < 4; i++) lanes[lane].d[i] += (u32)d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
    }
}

// m16n8k16 over the registers of 32 fibers: products of f16, exact in f32, summed in f64. How a tensor core rounds its sums is not stated anywhere.
void multiply_half(Fiber *lanes) {
    float a[16][16], b[16][8];
    for (u32 lane = 0; lane < 32; lane++) {
        u32 group = lane / 4, quad = lane % 4;
        for (u32 j = 0; j < 2; j++) {
            for (u32 i = 0; i < 4; i++) a[group + i % 2 * 8][quad * 2 + j + i / 2 * 8] = standin_half_to_float((u16)(lanes[lane].a[i] >> 16 * j));
            for (u32 i = 0; i < 2; i++) b[quad * 2 + j + i * 8][group] = standin_half_to_float((u16)(lanes[lane].b[i] >> 16 * j));
        }
    }
    for (u32 lane = 0; lane < 32; lane++) {
        for (u32 i = 0; i < 4; i++) {
            double sum = lanes[lane].sums[i];
            for (u32 k = 0; k < 16; k++) sum += a[lane / 4 + i / 2 * 8][k] * b[k][lane % 4 * 2 + i % 2];
            lanes[lane].sums[i] = (float)sum;
        }
    }
}

// Lets a warp go on whose lanes all wait for the same.
bool release_warp(u32 warp) {
    Fiber *lanes = &fibers[warp * 32];
    Wait what = lanes[0].wait;
    if (what != SYNC && what != SHUFFLE && what != MMA && what != MMA_HALF) return false;
    for (u32 lane = 1; lane < 32; lane++) {
        if (lanes[lane].wait != what) return false;
    }
    if (what == MMA) multiply(lanes);
    if (what == MMA_HALF) multiply_half(lanes);
    if (what == SHUFFLE) {
        u64 values[32];
        for (u32 lane = 0; lane < 32; lane++) values[lane] = lanes[lane].value;
        for (u32 lane = 0; lane < 32; lane++) lanes[lane].value = values[lanes[lane].from % 32];
    }
    for (u32 lane = 0; lane < 32; lane++) lanes[lane].wait = READY;
    return true;
}

bool all(Wait what) {
    for (u32 i = 0; i < blockDim.x; i++) {
        if (fibers[i].wait != what) return false;
    }
    return true;
}

// Runs a warp's ready lanes once; whether any was.
bool advance_warp(u32 warp, bool reverse) {
    bool any = false;
    for (u32 i = 0; i < 32; i++) {
        u32 index = warp * 32 + (reverse ? 31 - i : i);
        if (fibers[index].wait != READY) continue;
        run(index);
        any = true;
    }
    return any;
}

void run_block(u32 schedule) {
    bool reverse = schedule & 1, greedy = schedule & 2;
    u32 warps = blockDim.x / 32;
    for (; created < blockDim.x; created++) create(created);
    for (u32 i = 0; i < blockDim.x; i++) fibers[i].wait = READY;
    while (!all(DONE)) {
        bool any = false;
        for (u32 i = 0; i < warps; i++) {
            u32 warp = reverse ? warps - 1 - i : i;
            do {
                bool moved = advance_warp(warp, reverse);
                moved |= release_warp(warp);
                any |= moved;
                if (!moved) break;
            } while (greedy);
        }
        if (all(BLOCK)) {
            for (u32 i = 0; i < blockDim.x; i++) fibers[i].wait = READY;
            any = true;
        }
        if (!any) {
            problem = "threads wait for what will not come: a barrier, a shuffle or a product that not all of them reach";
            // What they left on their stacks is given up with them.
            created = 0;
            return;
        }
    }
}

} // namespace

void __syncthreads() { wait_for(BLOCK); }
void __syncwarp() { wait_for(SYNC); }

unsigned long long standin_shuffle(unsigned long long value, unsigned from) {
    fibers[threadIdx.x].value = value;
    fibers[threadIdx.x].from = from;
    wait_for(SHUFFLE);
    return fibers[threadIdx.x].value;
}

void standin_mma(unsigned (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], bool a_signed, bool b_signed) {
    Fiber &fiber = fibers[threadIdx.x];
    fiber.d = d;
    fiber.a = a;
    fiber.b = b;
    fiber.a_signed = a_signed;
    fiber.b_signed = b_signed;
    wait_for(MMA);
}

void standin_mma_half(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    Fiber &fiber = fibers[threadIdx.x];
    fiber.sums = d;
    fiber.a = a;
    fiber.b = b;
    wait_for(MMA_HALF);
}

#define NAMED(NAME) {#NAME, NAME}
static const struct {
    const char *name;
    void (*kernel)(const Run *, u64, u64);
} KERNELS[] = {
#ifndef STANDIN_WITHOUT_NETWORK
#define NETWORK(NAME) {#NAME, (void (*)(const Run *, u64, u64))network::NAME}
    NETWORK(network_pointwise),
    NETWORK(network_conv),
    NETWORK(network_tensor_conv),
    NETWORK(network_norm),
    NETWORK(network_attention),
#endif
#ifndef STANDIN_WITHOUT_MOTE
    NAMED(input_layer),       NAMED(time_proj_layer),  NAMED(class_embed_layer),    NAMED(silu_layer),
    NAMED(conv_bytes_layer),  NAMED(conv_words_layer), NAMED(conv_wide_layer),      NAMED(conv_f16_layer),
    NAMED(group_norm_layer),  NAMED(group_norm_f16_layer), NAMED(attention_layer),  NAMED(attention_f16_layer),
    NAMED(upsample_layer),    NAMED(avg_pool_layer),   NAMED(softmax_layer),        NAMED(digest_layer),
    NAMED(join_layer),        NAMED(hold_layer),
    NAMED(advance_layer),     NAMED(begin_layer),      NAMED(next_layer),           NAMED(resident),
    NAMED(probe_function),
#endif
};

// Runs a kernel; what went wrong, or null.
extern "C" const char *standin_launch(const char *name, u32 grid, u32 block, u32 shared, const u64 *given, u32 schedule) {
    kernel = nullptr;
    for (const auto &entry : KERNELS) {
        if (strcmp(entry.name, name) == 0) kernel = entry.kernel;
    }
    if (!kernel) return "there is no kernel of that name";
    if (block == 0 || block % 32 != 0 || block > MOST_THREADS) return "a block is 1 to 32 whole warps";
    memcpy(arguments, given, sizeof arguments);
    problem.clear();
    gridDim.x = grid;
    blockDim.x = block;
    memory.assign(shared + 2 * GUARD, GUARD_BYTE);
    standin_shared = memory.data() + GUARD;
    for (u32 i = 0; i < grid && problem.empty(); i++) {
        blockIdx.x = i;
        memset(standin_shared, 0x5A + (int)schedule, shared);
        run_block(schedule);
        for (size_t j = 0; j < GUARD && problem.empty(); j++) {
            if (memory[j] != GUARD_BYTE || memory[GUARD + shared + j] != GUARD_BYTE) problem = "shared memory was written outside of what was asked for";
        }
    }
    return problem.empty() ? nullptr : problem.c_str();
}

// Bytes of the structures, which the host must agree with.
extern "C" void standin_sizes(u32 *sizes) {
    sizes[0] = sizeof(Op);
    sizes[1] = sizeof(Move);
    sizes[2] = sizeof(Run);
    sizes[3] = sizes[4] = 0;
#ifndef STANDIN_WITHOUT_NETWORK
    sizes[3] = sizeof(network::NetworkOp);
    sizes[4] = sizeof(network::NetworkRun);
#endif
}
