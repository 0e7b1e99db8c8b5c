// The sampler: noise to begin with, guidance, the moves of a state, known elements and the digests.
#pragma once
#include "chain.cuh"
#include "digest.cuh"
#include "warp.cuh"

// Element i of a known image where `level` says how noisy it is; the noise is that of x_T throughout.
INLINE i32 known_state(const Noising &level, i32 image, u64 seed, u32 i) {
    if (!level.noised) return image;
    return rounded_state(level.kept * saturated(image) + level.noise * saturated(normal_q24(seed, 0, i)), 30);
}

// x_T of the samples' seeds.
INLINE void begin(const Run &run, u32 thread, u32 threads) {
    for (u32 item = thread; item < run.samples * run.sample_len; item += threads) {
        u64 seed = run.seeds[item / run.sample_len];
        u32 i = item % run.sample_len;
        i32 x = run.rule == BITS ? bit_q24(uniform_word(seed, 0, i) < (u64)run.first_bit << 1) : normal_q24(seed, 0, i);
        if (run.known && run.known[i] != UNKNOWN) x = known_state(run.begin, run.known[i], seed, i);
        run.states[item] = x;
    }
}

// `uncond + w (cond - uncond)`.
INLINE i32 guided(const Run &run, i32 cond, i32 uncond) {
    i64 delta = (i64)cond - uncond;
    return sat32(uncond + ((delta * run.guidance_q16 + (1 << 15)) >> 16));
}

// The clean sample of an element, clamped where the run clips.
INLINE i32 predicted(const Run &run, const Move &move, i32 x, i32 out) {
    i32 x0 = rounded_state(move.sample[0] * saturated(x) + move.sample[1] * saturated(out), move.sample_shift);
    i32 range = most(run.clip_range, 0);
    return run.clips ? clamp(x0, -range, range) : x0;
}

// DDIM's next state of an element.
INLINE i32 by_output(const Run &run, const Move &move, i64 z, i32 x, i32 out) {
    i64 x0 = run.clips ? predicted(run, move, x, out) : 0;
    i64 sum = move.step[0] * x0 + move.step[1] * saturated(x) + move.step[2] * saturated(out) + move.step[3] * z;
    return rounded_state(sum, move.step_shift);
}

// That of the samplers that move a state by its clean sample. What was predicted before is not read where it does not count: there may
// have been nothing before.
INLINE i32 by_sample(const Run &run, const Move &move, i64 z, i32 x, i32 out, i32 *clean) {
    i32 x0 = predicted(run, move, x, out);
    i64 before = move.step[1] ? saturated(*clean) : 0;
    if (run.keeps) *clean = x0;
    i64 sum = move.step[0] * saturated(x0) + move.step[1] * before + move.step[2] * saturated(x) + move.step[3] * z;
    return rounded_state(sum, move.step_shift);
}

// The next state of element i, which is x; `outs` are its sample's outputs of the network.
INLINE i32 moved(const Run &run, const Move &move, u64 seed, u32 i, i32 x, i32 held, const i32 *outs, i32 *clean) {
    if (run.rule == KERNEL) {
        u32 at = i / run.channels * 2 * run.channels + i % run.channels;
        return kernel_state(move, x, outs[at], outs[at + run.channels], normal_q24(seed, move.stream, i));
    }
    i32 out = run.calls == 2 ? guided(run, held, outs[i]) : outs[i];
    if (run.rule == BITS) return bit_q24(next_bit(move, x > 0, out, uniform_word(seed, move.stream, i)));
    i64 z = run.noisy ? saturated(normal_q24(seed, move.stream, i)) : 0;
    return run.rule == BY_SAMPLE ? by_sample(run, move, z, x, out, clean) : by_output(run, move, z, x, out);
}

// Moves the states of `site`, and adds their digests to those of the step that ends here. `held` are the conditional outputs, `cleans` the
// clean samples predicted before.
INLINE void advance(const Run &run, const Site &site, u32 index, i32 *states, const i32 *held, i32 *cleans, u32 first_sample) {
    const Move &move = run.moves[index];
    u32 chunks = (run.sample_len + LANES - 1) / LANES;
    for (u32 item = site.warp(); item < site.samples * chunks; item += site.warps()) {
        u32 sample = item / chunks, i = item % chunks * LANES + site.lane();
        u64 term = 0;
        if (i < run.sample_len) {
            u32 at = sample * run.sample_len + i;
            u64 seed = run.seeds[first_sample + sample];
            const i32 *outs = (const i32 *)(site.arena + sample * site.stride + run.output);
            i32 x = moved(run, move, seed, i, states[at], run.calls == 2 ? held[at] : 0, outs, cleans + at);
            if (run.known && run.known[i] != UNKNOWN) x = known_state(move.known, run.known[i], seed, i);
            states[at] = x;
            term = digest_term(i, x);
        }
        if (move.digest == NO_STEP) continue;
        term = warp_sum(term);
        if (site.lane() == 0) atomicAdd(&run.digests[(u64)move.digest * run.samples + first_sample + sample], term);
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
