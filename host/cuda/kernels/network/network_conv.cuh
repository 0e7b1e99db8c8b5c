// Convolutions in f32 as an implicit product of matrices: a row is an output position of a sample, a column an output channel, the inner
// extent the taps in the order (row, col, channel). A block makes 64 rows by 32 columns, 16 taps at a time through shared memory; a thread 4 by 4.
//
// The record is NetworkConv: weights (tap, out), zeros for a bias that is not there, a multiple of 16 taps.
#pragma once
#include "network.cuh"

#define NO_TAP 0xFFFFFFFFu
#define TILE_ROWS 64u
#define TILE_COLS 32u
#define TILE_TAPS 16u
// Rows of the inputs in shared memory, which are read four at a time, begin in other banks.
#define TILE_PITCH (TILE_ROWS + 4)

enum Addend { NOTHING, A_MAP, A_VECTOR };

struct alignas(16) Four {
    float v[4];
};

// A row of the matrix: the input of its sample, and the first row and column that it reads.
struct ConvRow {
    const u8 *from;
    i32 y, x;
};

INLINE ConvRow conv_row(const NetworkRun &run, const NetworkOp &op, u32 row) {
    const NetworkConv &f = fields_of<NetworkConv>(op);
    u32 each = positions(op.out), position = row % each;
    ConvRow r;
    r.from = row < run.samples * each ? memory_of(run, row / each, op.first) : nullptr;
    r.y = (i32)(position / op.out.cols * f.stride) - (i32)f.top;
    r.x = (i32)(position % op.out.cols * f.stride) - (i32)f.left;
    return r;
}

// The element of the input at a tap, or -1 outside of it.
INLINE i32 conv_element(const NetworkOp &op, const ConvRow &row, u32 tap) {
    u32 zoom = fields_of<NetworkConv>(op).zoom;
    i32 y = row.y + (i32)(tap >> 28), x = row.x + (i32)(tap >> 24 & 15);
    bool inside = row.from && tap != NO_TAP && y >= 0 && x >= 0 && y < (i32)(op.first.rows << zoom) && x < (i32)(op.first.cols << zoom);
    return inside ? ((y >> zoom) * (i32)op.first.cols + (x >> zoom)) * (i32)op.first.channels + (i32)(tap & 0xFFFFFF) : -1;
}

// From a sum of products to an output.
INLINE void conv_finish(const NetworkRun &run, const NetworkOp &op, u32 row, u32 o, float sum) {
    u32 each = positions(op.out);
    if (row >= run.samples * each || o >= op.out.channels) return;
    const NetworkConv &f = fields_of<NetworkConv>(op);
    u32 sample = row / each, i = row % each * op.out.channels + o;
    float v = __fadd_rn(sum, constants<float>(run, f.bias)[o]);
    if (f.addend != NOTHING) {
        v = __fadd_rn(v, load(op.second, memory_of(run, sample, op.second), f.addend == A_VECTOR ? o : i));
        if (f.divisor != 1.0f) v = __fdiv_rn(v, f.divisor);
    }
    store(op.out, memory_of(run, sample, op.out), i, v);
}

INLINE void conv(const NetworkRun &run, const NetworkOp &op, u8 *shared) {
    const NetworkConv &f = fields_of<NetworkConv>(op);
    float *inputs = (float *)shared, *weights = inputs + TILE_TAPS * TILE_PITCH;
    ConvRow *rows = (ConvRow *)(weights + TILE_TAPS * TILE_COLS);
    const u32 *taps = constants<u32>(run, f.taps);
    const float *kept = constants<float>(run, f.weights);
    u32 outs = op.out.channels, columns = (outs + TILE_COLS - 1) / TILE_COLS;
    u32 tiles = (run.samples * positions(op.out) + TILE_ROWS - 1) / TILE_ROWS * columns;
    u32 mine = threadIdx.x / 8 * 4, own = threadIdx.x % 8 * 4;
    for (u32 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        u32 row = tile / columns * TILE_ROWS, column = tile % columns * TILE_COLS;
        for (u32 i = threadIdx.x; i < TILE_ROWS; i += blockDim.x) rows[i] = conv_row(run, op, row + i);
        __syncthreads();
        float sums[4][4] = {};
        for (u32 step = 0; step < f.steps; step++) {
            for (u32 i = threadIdx.x; i < TILE_TAPS * TILE_ROWS; i += blockDim.x) {
                u32 tap = i % TILE_TAPS, to = i / TILE_TAPS;
                i32 element = conv_element(op, rows[to], taps[step * TILE_TAPS + tap]);
                inputs[tap * TILE_PITCH + to] = element < 0 ? 0.0f : ((const float *)rows[to].from)[element];
            }
            for (u32 i = threadIdx.x; i < TILE_TAPS * TILE_COLS; i += blockDim.x) {
                u32 o = column + i % TILE_COLS;
                weights[i] = o < outs ? kept[(step * TILE_TAPS + i / TILE_COLS) * outs + o] : 0.0f;
            }
            __syncthreads();
#pragma unroll
            for (u32 tap = 0; tap < TILE_TAPS; tap++) {
                Four a = *(const Four *)&inputs[tap * TILE_PITCH + mine], b = *(const Four *)&weights[tap * TILE_COLS + own];
#pragma unroll
                for (u32 i = 0; i < 16; i++) sums[i / 4][i % 4] = fused(a.v[i / 4], b.v[i % 4], sums[i / 4][i % 4]);
            }
            // The next taps take the place of these.
            __syncthreads();
        }
#pragma unroll
        for (u32 i = 0; i < 16; i++) conv_finish(run, op, row + mine + i / 4, column + own + i % 4, sums[i / 4][i % 4]);
    }
}
