//! Rows of int4 weights for families that have kernels for int8: a row is unpacked, then serves a whole block of columns.

use core::ops::Range;

use super::{COLUMNS, Layout, Rows, rows8, single8};
use crate::blob::int4;
use crate::numeric::requant::Requant;

/// A few output channels of a convolution with int4 weights.
#[derive(Debug, Clone, Copy)]
pub struct Rows4<'a> {
    /// Rows of `words` words.
    pub weights: &'a [u32],
    /// Words of a row.
    pub words: usize,
    /// A channel.
    pub bias: &'a [i32],
    /// A channel.
    pub mult: &'a [i32],
    /// A channel.
    pub shift: &'a [u8],
}

/// Words that are unpacked on the stack: of a whole row where a block is served, of a piece of it where a column is.
const WORDS: usize = 128;
const PIECE: usize = 4;

impl Rows4<'_> {
    /// Outputs at a single column, in the first place of each channel.
    #[inline(never)]
    pub fn single(&self, column: &[i16], tile: &mut [[i32; COLUMNS]]) {
        for (channel, values) in tile.iter_mut().enumerate() {
            let mut sum = self.bias[channel];
            let row = &self.weights[channel * self.words..][..self.words];
            for (words, taps) in row.chunks(PIECE).zip(column.chunks(PIECE * int4::TAPS)) {
                let mut unpacked = [[0; 2]; PIECE];
                sum += single8(&unpack(words, &mut unpacked)[..taps.len()], taps);
            }
            values[0] = self.requant(channel).apply(sum);
        }
    }

    /// Outputs at the columns of a block, which hold `taps`. A row has at most `WORDS` words.
    #[inline(never)]
    pub fn unpacked(&self, block: &Layout, taps: &Range<usize>, columns: &[i16], tile: &mut [[i32; COLUMNS]]) {
        let mut unpacked = [[0; 2]; WORDS];
        for (channel, values) in tile.iter_mut().enumerate() {
            let words = &self.weights[channel * self.words..][..self.words.min(WORDS)];
            let rows = Rows {
                first: channel,
                weights: &unpack(words, &mut unpacked)[taps.clone()],
                row: taps.len(),
                bias: &self.bias[channel..=channel],
                mult: &self.mult[channel..=channel],
                shift: &self.shift[channel..=channel],
            };
            rows8(&rows, columns, block, core::slice::from_mut(values));
        }
    }

    /// The factor of a channel.
    #[inline(always)]
    pub fn requant(&self, channel: usize) -> Requant {
        Requant {
            mult: self.mult[channel],
            shift: self.shift[channel],
        }
    }
}

/// As words, so that the bytes are aligned as the weights of the file are.
fn unpack<'t>(words: &[u32], to: &'t mut [[u32; 2]]) -> &'t [i8] {
    for (to, &word) in to.iter_mut().zip(words) {
        // Four taps in the low nibbles, four in the high ones.
        *to = [word << 4 & 0xF0F0_F0F0, word & 0xF0F0_F0F0];
    }
    bytemuck::cast_slice(to)
}

#[cfg(test)]
mod tests {
    use super::unpack;
    use crate::blob::int4;

    #[test]
    fn words_unpack_as_the_contract_says() {
        let words = [0x8473_6251, 0x0F1E_2D3C, u32::MAX];
        let mut to = [[0; 2]; 3];
        let taps: std::vec::Vec<i8> = words.into_iter().flat_map(int4::unpack).collect();
        assert_eq!(unpack(&words, &mut to), taps);
    }
}
