//! CRC-32 (IEEE 802.3, reflected, polynomial 0xEDB88320): every single-bit and every burst error up to 32 bits is caught.

use crate::features::Feature;

const POLYNOMIAL: u32 = 0xEDB8_8320;
const NIBBLE: [u32; 16] = nibble_table();

const fn nibble_table() -> [u32; 16] {
    let mut table = [0u32; 16];
    let mut i = 0;
    while i < 16 {
        let mut c = i as u32;
        let mut bit = 0;
        while bit < 4 {
            c = times_x(c);
            bit += 1;
        }
        table[i] = c;
        i += 1;
    }
    table
}

/// `c x` modulo the polynomial; the highest bit is the coefficient of 1.
const fn times_x(c: u32) -> u32 {
    if c & 1 == 1 { (c >> 1) ^ POLYNOMIAL } else { c >> 1 }
}

/// CRC-32 of `bytes`, with a table of 64 bytes: two look-ups a byte, eight a word where quick ways are built.
#[inline(never)]
pub fn crc32(bytes: &[u8]) -> u32 {
    let (words, rest) = if Feature::Fast.is_built() {
        bytes.as_chunks::<4>()
    } else {
        (&[][..], bytes)
    };
    let crc = words
        .iter()
        .fold(!0, |crc, word| nibbles(crc ^ u32::from_le_bytes(*word), 8));
    !rest.iter().fold(crc, |crc, byte| nibbles(crc ^ u32::from(*byte), 2))
}

#[inline(always)]
fn nibbles(mut crc: u32, count: u32) -> u32 {
    for _ in 0..count {
        crc = (crc >> 4) ^ NIBBLE[(crc & 15) as usize];
    }
    crc
}

/// CRC-32 of bytes of CRC-32 `first` with `len` bytes of CRC-32 `second` after them, without a look at any of them.
pub fn joined(first: u32, second: u32, len: usize) -> u32 {
    // Each byte multiplies what is before it by x^8; the ones that both begin with cancel.
    let (mut moved, mut power, mut left) = (first, 1 << 23, len);
    while left > 0 {
        if left & 1 == 1 {
            moved = product(moved, power);
        }
        power = product(power, power);
        left >>= 1;
    }
    moved ^ second
}

/// `a b` modulo the polynomial.
#[inline(never)]
fn product(a: u32, mut b: u32) -> u32 {
    let mut sum = 0;
    for bit in (0..32).rev() {
        if a >> bit & 1 == 1 {
            sum ^= b;
        }
        b = times_x(b);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn parts_join_to_the_whole() {
        let bytes: std::vec::Vec<u8> = (0..1000u32).map(|i| ((i * i) >> 3) as u8).collect();
        for cut in [0, 1, 2, 3, 15, 16, 500, 999, 1000] {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(
                joined(crc32(first), crc32(second), second.len()),
                crc32(&bytes),
                "{cut}"
            );
        }
    }
}
