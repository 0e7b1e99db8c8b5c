//! Rows of int4 weights for families that have kernels for int8: rows are unpacked, then serve a whole block of columns.

use core::ops::Range;

use super::{COLUMNS, Family, Layout, Native, Rows, padded};
use crate::numeric::requant::Requant;
use crate::tensor::int4;

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

/// Words that are unpacked on the stack: of whole rows where a block is served, of a piece of one where a column is.
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
                let mut unpacked = [0; 2 * PIECE];
                unpack(words, &mut unpacked);
                sum += Native::single8(&bytemuck::cast_slice(&unpacked)[..taps.len()], taps);
            }
            values[0] = self.requant(channel).apply(sum);
        }
    }

    /// Outputs at the columns of a block, which hold `taps`. A row has at most `WORDS` words.
    #[inline(never)]
    pub fn unpacked(&self, block: &Layout, taps: &Range<usize>, columns: &[i16], tile: &mut [[i32; COLUMNS]]) {
        let mut unpacked = [0; 2 * WORDS];
        let (row, whole) = (taps.len(), padded(block.taps));
        // As many rows as fit, in pairs: some families take two rows at a time. Parts of rows do not follow each other.
        let fit = if row == whole {
            size_of_val(&unpacked) / whole
        } else {
            1
        };
        let many = if fit > 1 { fit & !1 } else { 1 };
        for (part, tile) in tile.chunks_mut(many).enumerate() {
            let channels = part * many..part * many + tile.len();
            let packed = &self.weights[channels.start * self.words..channels.end * self.words];
            for (place, words) in packed.chunks(self.words).enumerate() {
                unpack(words, &mut unpacked[place * whole / 4..]);
            }
            let rows = Rows {
                first: channels.start,
                weights: &bytemuck::cast_slice(&unpacked)[taps.start..][..tile.len() * row],
                row,
                bias: &self.bias[channels.clone()],
                mult: &self.mult[channels.clone()],
                shift: &self.shift[channels],
            };
            Native::rows8(&rows, columns, block, tile);
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

/// Bytes as words, so that they are aligned as the weights of the file are. What does not fit, of the last word, is padding.
fn unpack(words: &[u32], to: &mut [u32]) {
    // Four taps in the low nibbles, four in the high ones.
    let taps = |word: u32| [word << 4 & 0xF0F0_F0F0, word & 0xF0F0_F0F0];
    let (whole, rest) = to.as_chunks_mut::<2>();
    for (to, &word) in whole.iter_mut().zip(words) {
        *to = taps(word);
    }
    if let ([to], Some(&word)) = (rest, words.get(whole.len())) {
        *to = taps(word)[0];
    }
}

#[cfg(test)]
mod tests {
    use super::unpack;
    use crate::tensor::int4;

    #[test]
    fn words_unpack_as_the_contract_says() {
        let words = [0x8473_6251, 0x0F1E_2D3C, u32::MAX];
        let mut to = [0; 5];
        let taps: std::vec::Vec<i8> = words.into_iter().flat_map(int4::unpack).collect();
        unpack(&words, &mut to);
        assert_eq!(bytemuck::cast_slice::<u32, i8>(&to), &taps[..20]);
    }
}
