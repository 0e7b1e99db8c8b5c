//! A 64-bit digest of integer data that does not depend on the order of work.
//!
//! `digest = sum over i of mix(word_i, i)` in wrapping 64-bit arithmetic, where the low and the high half are two murmur3
//! finalizers (Appleby) with different keys. A GPU may add the terms in any order.

/// Sum of mixed (index, word) terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(pub u64);

impl Digest {
    /// Adds element `index` with value `word`.
    #[inline]
    pub fn add(&mut self, index: u32, word: i32) {
        let w = word as u32;
        let low = fmix(w ^ index.wrapping_mul(0x9E37_79B9));
        let high = fmix(w.wrapping_add(0x85EB_CA6B) ^ index.wrapping_mul(0xC2B2_AE35));
        self.0 = self.0.wrapping_add(u64::from(low) | u64::from(high) << 32);
    }

    /// Digest of a slice, element `i` at index `i`.
    pub fn of(words: impl Iterator<Item = i32>) -> Self {
        let mut digest = Self::default();
        let mut index = 0u32;
        for word in words {
            digest.add(index, word);
            index = index.wrapping_add(1);
        }
        digest
    }
}

/// The 32-bit finalizer of murmur3: a bijection with full avalanche.
#[inline]
fn fmix(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_and_place_both_count() {
        let base = Digest::of([1, 2, 3].into_iter());
        assert_ne!(base, Digest::of([2, 1, 3].into_iter()));
        assert_ne!(base, Digest::of([1, 2, 4].into_iter()));
        assert_ne!(base, Digest::of([1, 2, 3, 0].into_iter()));
        assert_eq!(base, Digest::of([1, 2, 3].into_iter()));
    }
}
