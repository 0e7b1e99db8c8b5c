// Convolutions of the float scheme: a thread an output element, the taps in order, padding added as zeros.
//
// The record is ConvFields: weights f16 (row, col, in, out), bias f32.
#pragma once
#include "conv.cuh"
#include "float.cuh"

INLINE void conv_f16(const Run &run, const Op &op, const Site &site) {
    u32 outs = op.out.channels, channels = op.first.channels + (op.parts == 2 ? op.second.channels : 0);
    const ConvFields &f = fields_of<ConvFields>(op);
    u32 group = group_of(run, op, site), side = f.side;
    const u16 *weights = constants<u16>(run, f.weights) + group * side * side * channels * outs;
    u32 rows = site.samples * positions(op.out);
    for (u32 item = site.thread; item < rows * outs; item += site.threads) {
        Place place = place_of(op, site, item / outs);
        u32 o = item % outs;
        float acc = constants<float>(run, f.bias)[group * outs + o];
        const u16 *weight = weights + o;
        for (u32 ky = 0; ky < side; ky++) {
            for (u32 kx = 0; kx < side; kx++) {
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
            acc = add(acc, mul(other, f.addend_f16));
        }
        i32 v = op.out.dtype == Q24 ? f32_to_q24(acc) : (i32)f32_to_f16_sat(acc);
        store(op.out, site.at(place.sample, op.out), i, v);
    }
}
