//! Typed reading of the weights section, little-endian, by value.

use super::File;
use super::reader::{At, Factor};

/// Reads `count` values of N bytes at an offset; `None` past the end of the section.
fn read<const N: usize, T>(file: &File<'_>, at: At, count: usize, f: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let bytes = file.weights(at)?.get(..count.checked_mul(N)?)?;
    Some(bytes.as_chunks::<N>().0.iter().map(|b| f(*b)).collect())
}

/// int8 values.
pub fn int8(file: &File<'_>, at: At, count: usize) -> Option<Vec<i64>> {
    read(file, at, count, |b: [u8; 1]| i8::from_le_bytes(b).into())
}

/// The weights `16 n` of `rows` rows of int4 nibbles n, each row padded to four bytes: of every eight taps, the first four are the
/// low halves of four bytes and the others the high halves.
pub fn int4(file: &File<'_>, at: At, rows: usize, taps: usize) -> Option<Vec<i64>> {
    let row_bytes = taps.div_ceil(8) * 4;
    let bytes = read(file, at, rows.checked_mul(row_bytes)?, |[b]: [u8; 1]| i64::from(b))?;
    let weight = |row: usize, tap: usize| {
        let byte = bytes[row * row_bytes + tap / 8 * 4 + tap % 4];
        let nibble = if tap % 8 < 4 { byte % 16 } else { byte / 16 };
        16 * if nibble < 8 { nibble } else { nibble - 16 }
    };
    Some(
        (0..rows)
            .flat_map(|row| (0..taps).map(move |tap| weight(row, tap)))
            .collect(),
    )
}

/// int16 values.
pub fn int16(file: &File<'_>, at: At, count: usize) -> Option<Vec<i64>> {
    read(file, at, count, |b: [u8; 2]| i16::from_le_bytes(b).into())
}

/// int32 values.
pub fn int32(file: &File<'_>, at: At, count: usize) -> Option<Vec<i64>> {
    read(file, at, count, |b: [u8; 4]| i32::from_le_bytes(b).into())
}

/// int64 values.
pub fn int64(file: &File<'_>, at: At, count: usize) -> Option<Vec<i64>> {
    read(file, at, count, |b: [u8; 8]| i64::from_le_bytes(b))
}

/// uint32 values.
pub fn uint32(file: &File<'_>, at: At, count: usize) -> Option<Vec<u32>> {
    read(file, at, count, u32::from_le_bytes)
}

/// f16 bits.
pub fn f16_bits(file: &File<'_>, at: At, count: usize) -> Option<Vec<i64>> {
    read(file, at, count, |b: [u8; 2]| u16::from_le_bytes(b).into())
}

/// f32 values.
pub fn f32s(file: &File<'_>, at: At, count: usize) -> Option<Vec<f32>> {
    read(file, at, count, f32::from_le_bytes)
}

/// Multipliers (int32), then shifts (one byte each); `None` for shifts beyond those of a [`Factor`].
pub fn factors(file: &File<'_>, at: At, count: usize) -> Option<Vec<Factor>> {
    let mult = read(file, at, count, i32::from_le_bytes)?;
    let shift = read(file, At(at.0.checked_add(4 * count)?), count, |[b]: [u8; 1]| b)?;
    let factor = |(mult, shift)| (1..=62).contains(&shift).then_some(Factor { mult, shift });
    mult.into_iter().zip(shift).map(factor).collect()
}
