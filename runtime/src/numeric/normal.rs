//! Standard normal noise, a pure function of seed, stream and element.
//!
//! Box and Muller, "A note on the generation of random normal deviates", Ann. Math. Statist. 29 (1958): from two
//! uniform words, `r = sqrt(-2 ln u)` and the angle of the second give two independent normals `r cos`, `r sin`.
//! Logarithm, root, sine and cosine are integer functions, so the bits are the same everywhere.

use super::{log::neg_ln_of, philox::philox4x32, product::product, rsqrt::isqrt_u64, sine::sin_cos_q30};
use crate::features::Feature;

/// Standard normal number `index` of `stream` in Q24, within +-6.77 (u >= 2^-33).
///
/// Stream 0 is the initial x_T; stream k is the noise of sampler step k. The Philox counter is
/// `[index / 4, stream, 0, 0]`, the key `[seed low, seed high]`; words (0, 1) of the block make elements 0 (cosine) and
/// 1 (sine) of the four, words (2, 3) elements 2 and 3. Error against the exact transform of the same words:
/// 3.7e-8 (0.62 units of Q24, of which 0.5 is the rounding; measured).
#[must_use]
pub fn normal_q24(seed: u64, stream: u32, index: u32) -> i32 {
    let [w0, w1, w2, w3] = words(seed, stream, index / 4);
    let (radius, angle) = if index & 2 == 0 { (w0, w1) } else { (w2, w3) };
    let pair = box_muller_q24(radius, angle);
    if index & 1 == 0 { pair.0 } else { pair.1 }
}

/// Fills `out` with elements 0, 1, ... of `stream`: the values of [`normal_q24`], four to a Philox block.
pub fn fill_normal_q24(seed: u64, stream: u32, out: &mut [i32]) {
    if !Feature::Fast.is_built() {
        // The same numbers, each with a block of its own.
        for (i, slot) in (0..).zip(out) {
            *slot = normal_q24(seed, stream, i);
        }
        return;
    }
    for (block, chunk) in out.chunks_mut(4).enumerate() {
        let [w0, w1, w2, w3] = words(seed, stream, block as u32);
        let ((a, b), (c, d)) = (box_muller_q24(w0, w1), box_muller_q24(w2, w3));
        for (slot, value) in chunk.iter_mut().zip([a, b, c, d]) {
            *slot = value;
        }
    }
}

/// Uniform word number `index` of `stream`: the words that [`normal_q24`] is made of, in their order.
#[must_use]
pub fn uniform_word(seed: u64, stream: u32, index: u32) -> u32 {
    words(seed, stream, index / 4)[(index % 4) as usize]
}

fn words(seed: u64, stream: u32, block: u32) -> [u32; 4] {
    philox4x32([block, stream, 0, 0], [seed as u32, (seed >> 32) as u32])
}

/// `(r cos t, r sin t)` in Q24 with `r = sqrt(-2 ln((radius_word + 1/2) / 2^32))`, `t = angle_word / 2^32` turns.
#[must_use]
pub fn box_muller_q24(radius_word: u32, angle_word: u32) -> (i32, i32) {
    // -2 ln u = X * 2^-56 where X * 2^-57 = -ln u, so r = sqrt(X) * 2^-28.
    let r_q28 = isqrt_u64(neg_ln_q57(radius_word)) as i32;
    let (sine_q30, cosine_q30) = sin_cos_q30(angle_word);
    let times_r_q24 = |v_q30| ((product(r_q28, v_q30) + (1 << 33)) >> 34) as i32;
    (times_r_q24(cosine_q30), times_r_q24(sine_q30))
}

/// `-ln((word + 1/2) / 2^32)` in Q57, 2^-33..22.9.
#[must_use]
pub fn neg_ln_q57(word: u32) -> u64 {
    let odd_q33 = 2 * u64::from(word) + 1;
    if Feature::Fast.is_built() {
        let k = odd_q33.leading_zeros() - 31;
        return neg_ln_of(k, odd_q33 << k, 0);
    }
    let (mut y_q33, mut k) = (odd_q33, 0);
    while y_q33 >> 32 == 0 {
        y_q33 <<= 1;
        k += 1;
    }
    neg_ln_of(k, y_q33, 0)
}
