//! The digest of a sequence of 32-bit integers.

/// Digest of elements 0, 1, 2, ...
pub fn digest(words: impl Iterator<Item = i32>) -> u64 {
    let mut total = 0u128;
    for (index, word) in words.enumerate() {
        let (i, w) = (index as u64, u64::from(word as u32));
        let low = fmix(w ^ (i * 0x9E37_79B9) & MASK);
        let high = fmix((w + 0x85EB_CA6B) & MASK ^ (i * 0xC2B2_AE35) & MASK);
        total += u128::from(high) << 32 | u128::from(low);
    }
    total as u64
}

const MASK: u64 = 0xFFFF_FFFF;

/// murmur3's 32-bit finalizer.
fn fmix(h: u64) -> u64 {
    let h = ((h ^ h >> 16) * 0x85EB_CA6B) & MASK;
    let h = ((h ^ h >> 13) * 0xC2B2_AE35) & MASK;
    h ^ h >> 16
}
