//! Philox4x32-10, the counter-based generator behind every random number of a sampling run.
//!
//! Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3. A block is a
//! pure function of a 128-bit counter and a 64-bit key, so any thread of any machine can make its own noise, in any
//! order, and a run that resumes after a reset needs no generator state.

/// Multiplier of word 0 (Random123, `PHILOX_M4x32_0`).
const MULTIPLIER_0: u32 = 0xD251_1F53;
/// Multiplier of word 2 (Random123, `PHILOX_M4x32_1`).
const MULTIPLIER_1: u32 = 0xCD9E_8D57;
/// Weyl increment of key word 0: the golden ratio, floor(2^32 * (sqrt(5) - 1) / 2).
const WEYL_0: u32 = 0x9E37_79B9;
/// Weyl increment of key word 1: floor(2^32 * (sqrt(3) - 1)).
const WEYL_1: u32 = 0xBB67_AE85;
/// Rounds of the generator; 7 pass BigCrush, 10 is the authors' recommendation.
const ROUNDS: u32 = 10;

/// One block of Philox4x32-10: four independent uniform 32-bit words.
///
/// Total over all inputs. Two 32x32->64 multiplies a round.
#[must_use]
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let (high_0, low_0) = wide_product(MULTIPLIER_0, c0);
        let (high_1, low_1) = wide_product(MULTIPLIER_1, c2);
        (c0, c1, c2, c3) = (high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0);
        k0 = k0.wrapping_add(WEYL_0);
        k1 = k1.wrapping_add(WEYL_1);
    }
    [c0, c1, c2, c3]
}

/// High and low word of a 32x32-bit product.
#[inline]
fn wide_product(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

#[cfg(test)]
mod tests {
    use super::philox4x32;

    /// Known-answer vectors of Random123 1.14 (`tests/kat_vectors`, lines `philox4x32 10`).
    #[test]
    fn known_answers() {
        let vectors = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in vectors {
            assert_eq!(philox4x32(counter, key), expected);
        }
    }
}
