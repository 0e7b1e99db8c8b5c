// The sampler: noise to begin with, guidance, the DDIM step and the digests.
#pragma once
#include "digest.cuh"
#include "noise.cuh"
#include "program.cuh"
#include "warp.cuh"

#define STATE_MAX_Q24 (1 << 30)

INLINE i64 saturated(i32 v) { return clamp(v, -STATE_MAX_Q24, STATE_MAX_Q24); }

INLINE i32 rounded_state(i64 sum, u32 shift) {
    i64 v = (sum + ((i64)1 << (shift - 1))) >> shift;
    return v > STATE_MAX_Q24 ? STATE_MAX_Q24 : v < -STATE_MAX_Q24 ? -STATE_MAX_Q24 : (i32)v;
}

// x_T of the samples' seeds.
INLINE void begin(const Run &run, u32 thread, u32 threads) {
    for (u32 item = thread; item < run.samples * run.sample_len; item += threads) {
        run.states[item] = normal_q24(run.seeds[item / run.sample_len], 0, item % run.sample_len);
    }
}

// `uncond + w (cond - uncond)`.
INLINE i32 guided(const Run &run, i32 cond, i32 uncond) {
    i64 delta = (i64)cond - uncond;
    return sat32(uncond + ((delta * run.guidance_q16 + (1 << 15)) >> 16));
}

// The next state of an element.
INLINE i32 advanced(const Run &run, const Step &step, u64 seed, u32 i, i32 x, i32 out) {
    i64 z = run.noisy ? saturated(normal_q24(seed, step.stream, i)) : 0, x0 = 0;
    if (run.clips) {
        i32 predicted = rounded_state(step.sample[0] * saturated(x) + step.sample[1] * saturated(out), step.sample_shift);
        i32 range = most(run.clip_range, 0);
        x0 = clamp(predicted, -range, range);
    }
    i64 sum = step.step[0] * x0 + step.step[1] * saturated(x) + step.step[2] * saturated(out) + step.step[3] * z;
    return rounded_state(sum, step.step_shift);
}

// Moves the states of `site` one step, and adds their digests to those of the step. `held` are the conditional outputs.
INLINE void advance(const Run &run, const Site &site, u32 index, i32 *states, const i32 *held, u32 first_sample) {
    u32 chunks = (run.sample_len + LANES - 1) / LANES;
    for (u32 item = site.warp(); item < site.samples * chunks; item += site.warps()) {
        u32 sample = item / chunks, i = item % chunks * LANES + site.lane();
        u64 term = 0;
        if (i < run.sample_len) {
            u32 at = sample * run.sample_len + i;
            i32 out = ((const i32 *)(site.arena + sample * site.stride + run.output))[i];
            if (run.calls == 2) out = guided(run, held[at], out);
            states[at] = advanced(run, run.steps[index], run.seeds[first_sample + sample], i, states[at], out);
            term = digest_term(i, states[at]);
        }
        term = warp_sum(term);
        if (site.lane() == 0) atomicAdd(&run.digests[(u64)index * run.samples + first_sample + sample], term);
    }
}

// Keeps the network's outputs while it is called again.
INLINE void hold(const Run &run, const Site &site, i32 *held) {
    for (u32 item = site.thread; item < site.samples * run.sample_len; item += site.threads) {
        u32 sample = item / run.sample_len, i = item % run.sample_len;
        held[item] = ((const i32 *)(site.arena + sample * site.stride + run.output))[i];
    }
}

// Adds an operator's outputs to its digests.
INLINE void digest_output(const Run &run, const Op &op, const Site &site, u64 slot, u32 first_sample) {
    u32 each = length(op.out), chunks = (each + LANES - 1) / LANES;
    for (u32 item = site.warp(); item < site.samples * chunks; item += site.warps()) {
        u32 sample = item / chunks, i = item % chunks * LANES + site.lane();
        u64 term = warp_sum(i < each ? digest_term(i, load(op.out, site.at(sample, op.out), i)) : 0);
        if (site.lane() == 0) atomicAdd(&run.op_digests[slot * run.samples + first_sample + sample], term);
    }
}
