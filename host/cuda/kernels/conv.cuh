// Integer convolutions as an implicit product of matrices: a row is an output position of a sample, a column an output channel,
// the inner extent the taps in the order (row, col, channel), channels padded to fours.
//
// A warp makes 16 rows by `TILES` times 8 columns. Inputs are gathered straight into the fragments of `mma`, four channels a
// register, whatever memory the arena is in; weights stand in the constants in the order of the fragments. int8 inputs are
// multiplied as stored, zero points being in the bias and padding reading as the zero point; all others as a signed high and an
// unsigned low byte; int16 weights alike.
//
// The record is ConvFields.
#pragma once
#include "mma.cuh"
#include "program.cuh"

#define NO_TAP 0xFFFFFFFFu
// Steps of 32 taps after which partial sums of int16 weights could leave 32 bits.
#define WIDE_STEPS 1024u

// A row of the matrix: an output position of a sample, by its first input row and column.
struct Place {
    u32 sample, position;
    i32 y, x;
    bool there;
};

INLINE Place place_of(const Op &op, const Site &site, u32 row) {
    const ConvFields &f = fields_of<ConvFields>(op);
    u32 each = positions(op.out);
    Place place;
    place.there = row < site.samples * each;
    place.sample = place.there ? row / each : 0;
    place.position = place.there ? row % each : 0;
    place.y = (i32)(place.position / op.out.cols * f.stride) - (i32)f.top;
    place.x = (i32)(place.position % op.out.cols * f.stride) - (i32)f.left;
    return place;
}

// The group of timesteps that this call belongs to: the last whose first timestep is not after it.
INLINE u32 group_of(const Run &run, const Op &op, const Site &site) {
    const ConvFields &f = fields_of<ConvFields>(op);
    u32 low = 0, high = f.groups;
    while (low + 1 < high) {
        u32 middle = (low + high) / 2;
        if (constants<u32>(run, f.starts)[middle] <= site.time_q16 >> 16) low = middle;
        else high = middle;
    }
    return low;
}

// The position of the input that a tap reads, or -1 outside of it.
INLINE i32 tap_position(const Op &op, const Place &place, u32 tap) {
    u32 zoom = fields_of<ConvFields>(op).zoom;
    i32 y = place.y + (i32)(tap >> 28), x = place.x + (i32)(tap >> 24 & 15);
    bool inside = place.there && tap != NO_TAP && y >= 0 && x >= 0 && y < (i32)(op.first.rows << zoom) &&
                  x < (i32)(op.first.cols << zoom);
    return inside ? (y >> zoom) * (i32)op.first.cols + (x >> zoom) : -1;
}

// Four channels of one int8 activation, as they are stored.
INLINE u32 gather_bytes(const Op &op, const Site &site, const Place &place, u32 tap) {
    i32 position = tap_position(op, place, tap);
    u32 zero = (u32)(op.first.zero & 0xFF);
    if (position < 0) return zero * 0x01010101u;
    u32 channels = op.first.channels, c = tap & 0xFFFFFF;
    const u8 *from = site.at(place.sample, op.first) + (u32)position * channels + c;
    if (channels % 4 == 0) return *(const u32 *)from;
    u32 quad = 0;
    for (u32 i = 0; i < 4 && c + i < channels; i++) quad |= (u32)from[i] << (8 * i);
    return quad;
}

// Four channels of any input as high and low bytes.
INLINE void gather_words(const Op &op, const Site &site, const Place &place, u32 tap, u32 &high, u32 &low) {
    i32 position = tap_position(op, place, tap);
    high = low = 0;
    if (position < 0) return;
    u32 c = tap & 0xFFFFFF;
    if (op.parts == 1 && op.first.dtype == I16 && op.first.channels % 4 == 0) {
        const u32 *from = (const u32 *)(site.at(place.sample, op.first) + 2 * ((u32)position * op.first.channels + c));
        low = __byte_perm(from[0], from[1], 0x6420);
        high = __byte_perm(from[0], from[1], 0x7531);
        return;
    }
    u32 channels = op.first.channels + (op.parts == 2 ? op.second.channels : 0);
    for (u32 i = 0; i < 4 && c + i < channels; i++) {
        u32 q = (u32)load_joined(op, site, place.sample, (u32)position, c + i);
        low |= (q & 0xFF) << (8 * i);
        high |= (q >> 8 & 0xFF) << (8 * i);
    }
}

// From a sum to an output; `row` is where the group's biases and factors begin.
template <bool WIDE> INLINE void finish(const Run &run, const Op &op, const Site &site, const Place &place, u32 o, u32 row, i64 sum) {
    if (!place.there || o >= op.out.channels) return;
    const ConvFields &f = fields_of<ConvFields>(op);
    i64 acc = sum + constants<i64>(run, f.bias)[row + o];
    if (!WIDE) acc = (i32)(u32)acc;
    u32 i = place.position * op.out.channels + o;
    i32 v = scaled(constants<Factor>(run, f.factors)[row + o], acc);
    if (op.has_third) {
        u32 from = positions(op.third) == 1 ? o : i;
        v = add_guarded(v, scaled(f.addend, load(op.third, site.at(place.sample, op.third), from)));
    }
    store(op.out, site.at(place.sample, op.out), i, v);
}

// Sums of the products of bytes of 16-bit numbers, by what they count: 2^16 (or 2^8 where weights have 8 bits), 2^8, 1.
template <bool WIDE> INLINE i64 joined_sum(const u32 *high, const u32 *mixed, const u32 *low, u32 i) {
    if (WIDE) return (i64)(i32)high[i] * 65536 + (i64)(i32)mixed[i] * 256 + (i32)low[i];
    return (i32)(high[i] * 256 + low[i]);
}

// WORDS: inputs of 16 bits. WIDE: weights of 16 bits, which go with WORDS.
template <bool WORDS, bool WIDE, u32 TILES> INLINE void conv(const Run &run, const Op &op, const Site &site) {
    const u32 SETS = WIDE ? 3 : WORDS ? 2 : 1, MIXED = SETS / 2, LOW = SETS - 1;
    const ConvFields &f = fields_of<ConvFields>(op);
    u32 lane = site.lane(), group = lane / 4, quad = lane % 4;
    u32 steps = f.steps, columns = (op.out.channels + 7) / 8, blocks = (columns + TILES - 1) / TILES;
    u32 rows = (site.samples * positions(op.out) + 15) / 16;
    const u32 *taps = constants<u32>(run, f.taps);
    u32 timesteps = group_of(run, op, site), skipped = timesteps * columns * steps * 32;
    const uint2 *weights = constants<uint2>(run, f.weights), *low_weights = constants<uint2>(run, f.low_weights);
    for (u32 item = site.warp(); item < rows * blocks; item += site.warps()) {
        u32 row = item / blocks * 16 + group, first = item % blocks * TILES;
        Place places[2] = {place_of(op, site, row), place_of(op, site, row + 8)};
        u32 sums[TILES][SETS][4] = {};
        i64 whole[TILES][4] = {};
        for (u32 step = 0; step < steps; step++) {
            u32 high[4], low[4];
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                u32 tap = taps[step * 8 + quad + i / 2 * 4];
                if (WORDS) gather_words(op, site, places[i % 2], tap, high[i], low[i]);
                else high[i] = gather_bytes(op, site, places[i % 2], tap);
            }
            // Lanes part ways at the edges; products need them all together.
            __syncwarp();
#pragma unroll
            for (u32 t = 0; t < TILES; t++) {
                if (first + t >= columns) break;
                u32 at = skipped + ((first + t) * steps + step) * 32 + lane;
                u32 b[2] = {weights[at].x, weights[at].y};
                mma<true, true>(sums[t][0], high, b);
                if (WORDS) mma<false, true>(sums[t][MIXED], low, b);
                if (WIDE) {
                    u32 b_low[2] = {low_weights[at].x, low_weights[at].y};
                    mma<true, false>(sums[t][MIXED], high, b_low);
                    mma<false, false>(sums[t][LOW], low, b_low);
                }
            }
            if (WIDE && step % WIDE_STEPS == WIDE_STEPS - 1) {
#pragma unroll
                for (u32 i = 0; i < TILES * 4; i++) {
                    u32(&s)[SETS][4] = sums[i / 4];
                    whole[i / 4][i % 4] += joined_sum<WIDE>(s[0], s[MIXED], s[LOW], i % 4);
                    for (u32 set = 0; set < SETS; set++) s[set][i % 4] = 0;
                }
            }
        }
#pragma unroll
        for (u32 i = 0; i < TILES * 4; i++) {
            u32(&s)[SETS][4] = sums[i / 4];
            i64 sum = WORDS ? whole[i / 4][i % 4] + joined_sum<WIDE>(s[0], s[MIXED], s[LOW], i % 4) : (i32)s[0][i % 4];
            finish<WIDE>(run, op, site, places[i % 4 / 2], (first + i / 4) * 8 + quad * 2 + i % 2,
                         timesteps * op.out.channels, sum);
        }
    }
}
