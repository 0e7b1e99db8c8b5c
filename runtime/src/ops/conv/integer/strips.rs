//! Blocks of four neighbours under a 3x3 kernel, from the top of four columns of the output to the bottom, then the next four.
//!
//! A block shares two kernel rows with the one above it: they move up in its memory, and one row of six input positions is brought
//! in, each to all the columns that look at it. Kernel rows above and below the input are not in a block at all.

use core::ops::Range;

use super::columns::{Filling, Gather};
use crate::family::{COLUMNS, Family, Layout, Native};
use crate::ops::conv::Geometry;

/// Side of the kernel.
const KERNEL: usize = 3;

/// Whether a convolution of an int8 activation of `channels` is made in strips.
pub fn serve(g: &Geometry, channels: usize, block: &Layout) -> bool {
    let [rows, cols] = g.input.map(|extent| extent << u32::from(g.upsample));
    let window = g.kernel.is(KERNEL) && g.stride.is(1) && [g.pad[1], block.lanes] == [1, COLUMNS];
    let whole = g.output[1] == cols && cols.is_multiple_of(COLUMNS) && channels.is_multiple_of(4);
    // Every row of the output sees one of the input.
    let inside = g.pad[0] < KERNEL && g.output[0] <= rows + g.pad[0];
    Native::STRIPS && window && whole && inside
}

impl Gather<'_, '_> {
    /// Fills the block with the next four neighbours' input: gives the first of them, and which taps of a whole column it holds.
    pub(super) fn strip(&mut self, columns: &mut [i16]) -> (usize, Range<usize>) {
        let [row, col] = self.at;
        let (line, width) = (KERNEL * self.channels, self.widths[0]);
        let under = self.rows_under(row);
        let mut fresh = under.clone();
        if row > 0 {
            let held = self.rows_under(row - 1);
            if held.start < under.start {
                Native::slide(&mut columns[..held.len() * line * COLUMNS], line * COLUMNS);
            }
            fresh.start = held.end;
        }
        if let Filling::Strips { data, zero, six } = &mut self.way {
            if row == 0 {
                // Where there is none, a neighbour stands in until zeros are set.
                let places = core::array::from_fn(|p| ((col + p).saturating_sub(1) >> self.zoom).min(width - 1));
                let edges = [col == 0, col + COLUMNS == self.widths[1]];
                *six = Native::neighbours(places, edges, self.channels, *zero);
            }
            for y in fresh {
                let from = ((y - self.pad[0]) >> self.zoom) * width * self.channels;
                let to = (y - under.start) * line * COLUMNS;
                Native::six8(&data[from..], six, &mut columns[to..]);
            }
        }
        self.left -= 1;
        self.at = [row + 1, col];
        if self.left == 0 {
            self.left = row + 1;
            self.at = [0, col + COLUMNS];
        }
        (
            row * self.widths[1] + col,
            (under.start - row) * line..(under.end - row) * line,
        )
    }

    /// The rows of the input under the kernel, counted from the first row of zeros.
    fn rows_under(&self, row: usize) -> Range<usize> {
        row.max(self.pad[0])..(row + KERNEL).min(self.ends[0])
    }
}
