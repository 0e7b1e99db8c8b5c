//! int4 weights as they stand in the file.
//!
//! A nibble n, -8 to 7, is the weight `16 n`: it stands where an int8 weight of that value could stand, so accumulator, bias,
//! factor and proof are those of int8. A row of taps `(row, col, in)` of one output channel is padded with zero nibbles to whole
//! words of eight taps. Byte j (0 to 3) of a word, the lowest address first, holds tap j in its low nibble and tap `4 + j` in
//! its high one.

/// Taps in a word.
pub const TAPS: usize = 8;
/// What a nibble of 1 counts.
pub const UNIT: i32 = 16;

/// Words of a row of `taps` weights.
pub const fn row_words(taps: usize) -> usize {
    taps.div_ceil(TAPS)
}

/// The weights of a word in tap order, -128 to 112 in steps of 16.
#[inline(always)]
pub fn unpack(word: u32) -> [i8; TAPS] {
    let [a, b, c, d] = word.to_le_bytes();
    let low = |byte: u8| (byte << 4) as i8;
    let high = |byte: u8| (byte & 0xF0) as i8;
    [low(a), low(b), low(c), low(d), high(a), high(b), high(c), high(d)]
}

/// The words of a row of nibbles, each -8 to 7.
pub fn pack(nibbles: &[i8]) -> impl Iterator<Item = u32> + '_ {
    nibbles.chunks(TAPS).map(|group| {
        let at = |tap: usize| group.get(tap).map_or(0, |n| n.cast_unsigned() & 0xF);
        u32::from_le_bytes(core::array::from_fn(|j| at(j) | at(4 + j) << 4))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_length_come_back_with_zeros_after_them() {
        for taps in 1..=25 {
            let nibbles: std::vec::Vec<i8> = (0..taps).map(|i| (i * 7 % 16) as i8 - 8).collect();
            let words: std::vec::Vec<u32> = pack(&nibbles).collect();
            assert_eq!(words.len(), row_words(taps));
            let weights: std::vec::Vec<i8> = words.into_iter().flat_map(unpack).collect();
            for (i, weight) in weights.into_iter().enumerate() {
                let nibble = nibbles.get(i).copied().unwrap_or(0);
                assert_eq!(i32::from(weight), UNIT * i32::from(nibble), "tap {i} of {taps}");
            }
        }
    }

    #[test]
    fn a_word_is_what_the_contract_says() {
        assert_eq!(pack(&[1, 2, 3, 4, 5, 6, 7, -8]).next(), Some(0x8473_6251));
    }
}
