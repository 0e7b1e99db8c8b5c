// Convolutions of f16 inputs on tensor cores: products of f16, sums in f32. As network_conv.cuh cuts the work, but a warp makes 16 rows by 32
// columns by itself, gathering its inputs straight into the fragments.
//
// Fragments are those of mma.m16n8k16, as PTX states them: of lane l, with g = l / 4 and q = l % 4, a[0] holds row g, columns 2q, 2q+1;
// a[1] row g + 8; a[2], a[3] the same rows, columns 8 further; b[0] rows 2q, 2q+1 of column g, b[1] rows 8 further; d[0], d[1] are row g, columns
// 2q, 2q+1, d[2], d[3] those of row g + 8. A sum has no order, so lane q's four columns hold the taps 4q to 4q+3: four channels of
// one position, read at once.
//
// The record is NetworkConv: weights (column of 8, step of 16, lane) as fragments, taps a u32 a four.
#pragma once
#include "network_conv.cuh"

#define COLUMN_TILES 4u

// d += a b.
INLINE void product(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#ifdef MOTE_STANDIN
    standin_mma_half(d, a, b);
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Four channels at a tap.
INLINE uint2 gather(const NetworkOp &op, const ConvRow &row, u32 tap) {
    uint2 four;
    four.x = four.y = 0;
    i32 element = conv_element(op, row, tap);
    if (element < 0) return four;
    const u16 *from = (const u16 *)row.from + element;
    if (op.first.channels % 4 == 0) return *(const uint2 *)from;
    u32 left = op.first.channels - (tap & 0xFFFFFF);
    four.x = from[0] | (left > 1 ? (u32)from[1] << 16 : 0);
    four.y = (left > 2 ? from[2] : 0) | (left > 3 ? (u32)from[3] << 16 : 0);
    return four;
}

INLINE void tensor_conv(const NetworkRun &run, const NetworkOp &op) {
    const NetworkConv &f = fields_of<NetworkConv>(op);
    u32 lane = threadIdx.x % 32, group = lane / 4, quad = lane % 4, steps = f.steps;
    u32 columns = (op.out.channels + 7) / 8, blocks = (columns + COLUMN_TILES - 1) / COLUMN_TILES;
    u32 rows = (run.samples * positions(op.out) + 15) / 16;
    const u32 *taps = constants<u32>(run, f.taps);
    const uint2 *weights = constants<uint2>(run, f.weights);
    for (u32 item = grid_thread() / 32; item < rows * blocks; item += grid_threads() / 32) {
        u32 row = item / blocks * 16 + group, first = item % blocks * COLUMN_TILES;
        ConvRow upper = conv_row(run, op, row), lower = conv_row(run, op, row + 8);
        float sums[COLUMN_TILES][4] = {};
        for (u32 step = 0; step < steps; step++) {
            u32 tap = taps[step * 4 + quad];
            uint2 high = gather(op, upper, tap), low = gather(op, lower, tap);
            u32 a[4] = {high.x, low.x, high.y, low.y};
            // Lanes part ways at the edges; products need them all together.
            __syncwarp();
#pragma unroll
            for (u32 t = 0; t < COLUMN_TILES; t++) {
                if (first + t >= columns) break;
                uint2 w = weights[((first + t) * steps + step) * 32 + lane];
                u32 b[2] = {w.x, w.y};
                product(sums[t], a, b);
            }
        }
#pragma unroll
        for (u32 i = 0; i < COLUMN_TILES * 4; i++) {
            conv_finish(run, op, row + i % 4 / 2 * 8, (first + i / 4) * 8 + quad * 2 + i % 2, sums[i / 4][i % 4]);
        }
    }
}
