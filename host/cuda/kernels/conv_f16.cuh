// Convolutions of the float scheme: a thread an output element, the taps in order, padding added as zeros.
//
// at: weights f16 (row, col, in, out), bias f32. count: as in conv.cuh.
#pragma once
#include "conv.cuh"
#include "float.cuh"

INLINE void conv_f16(const Run &run, const Op &op, const Site &site) {
    u32 outs = op.out.channels, channels = op.first.channels + (op.parts == 2 ? op.second.channels : 0);
    u32 group = group_of(run, op, site);
    const u16 *weights = constants<u16>(run, op.at[0]) + group * op.count[0] * op.count[0] * channels * outs;
    u32 rows = site.samples * positions(op.out);
    for (u32 item = site.thread; item < rows * outs; item += site.threads) {
        Place place = place_of(op, site, item / outs);
        u32 o = item % outs;
        float acc = constants<float>(run, op.at[1])[group * outs + o];
        const u16 *weight = weights + o;
        for (u32 ky = 0; ky < op.count[0]; ky++) {
            for (u32 kx = 0; kx < op.count[0]; kx++) {
                i32 position = tap_position(op, place, ky << 28 | kx << 24);
                for (u32 c = 0; c < channels; c++, weight += outs) {
                    float x = position < 0 ? 0.0f : f16_to_f32((u32)load_joined(op, site, place.sample, (u32)position, c));
                    acc = add(acc, mul(x, f16_to_f32(*weight)));
                }
            }
        }
        u32 i = place.position * outs + o;
        if (op.has_third) {
            u32 from = positions(op.third) == 1 ? o : i;
            float other = f16_to_f32((u32)load(op.third, site.at(place.sample, op.third), from));
            acc = add(acc, mul(other, op.real[0]));
        }
        i32 v = op.out.dtype == Q24 ? f32_to_q24(acc) : (i32)f32_to_f16_sat(acc);
        store(op.out, site.at(place.sample, op.out), i, v);
    }
}
