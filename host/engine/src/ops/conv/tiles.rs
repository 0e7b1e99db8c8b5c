//! A convolution in AMX tiles: runs of positions that lie at even distances, as long as a tile has rows.

use super::finish::Addend;
use super::packed::Halves;
use super::{Conv, ConvLoops, Tile, finish_lanes};
use crate::family::LANES;
use crate::x86::amx::{ROWS, TILES, Tiles};

/// Positions below which tiles are not worth their configuration.
const LEAST_RUN: usize = 4;

impl Conv {
    /// This thread's tiles for `count` positions, where the family has tiles, they are free, and they are worth their configuration.
    pub(super) fn tiles(&self, simd: impl ConvLoops, count: usize) -> Option<Tiles> {
        let worth = self.bytes && count >= LEAST_RUN && self.run >= LEAST_RUN;
        let amx = simd.tiles().filter(|_| worth)?;
        amx.take(self.window.quads(), self.run.min(ROWS).min(count))
    }

    /// Output positions `first..` at `offsets`, which `out` holds.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn runs(
        &self,
        simd: impl ConvLoops,
        mut tiles: Tiles,
        window: &[u8],
        first: usize,
        offsets: &[u32],
        add: Addend<'_>,
        out: &mut [u8],
    ) {
        let (quads, mut sums) = (self.window.quads(), [[[0; LANES]; ROWS]; TILES]);
        for (block, weights) in self.weights.chunks_exact(self.rows * quads).enumerate() {
            let tile = Tile {
                window,
                bytes: true,
                row_bytes: self.window.row_bytes(),
                rows: self.rows,
                quads,
                weights,
            };
            let finish = self.finish(block, add);
            let mut runs = Runs {
                next: 0,
                count: offsets.len(),
                first,
                run: self.run,
            };
            while let Some((starts, count, rows)) = runs.take() {
                let mut at = [0; TILES];
                for (at, &start) in at.iter_mut().zip(&starts[..count]) {
                    *at = offsets[start];
                }
                if tiles.rows() != rows {
                    tiles.shape(rows);
                }
                tiles.dots(&tile, &at[..count], self.window.step(), &mut sums);
                for (&start, sums) in starts[..count].iter().zip(&sums) {
                    match self.halves {
                        Halves::Lanes => finish_lanes(simd, &sums[..rows], &finish, start, out),
                        _ => simd.finish(&sums[..rows], &finish, start, out),
                    }
                }
            }
        }
    }
}

/// Positions cut into runs at even distances: whole tiles of rows, and shorter runs of equal length together.
struct Runs {
    next: usize,
    count: usize,
    /// Number of the first position within the output.
    first: usize,
    run: usize,
}

impl Runs {
    /// Starts of the next runs, how many, and their common length.
    fn take(&mut self) -> Option<([usize; TILES], usize, usize)> {
        let mut starts = [0; TILES];
        let (mut tiles, mut rows) = (0, 0);
        while tiles < TILES && self.next < self.count {
            let left = self.run - (self.first + self.next) % self.run;
            let length = left.min(ROWS).min(self.count - self.next);
            if tiles > 0 && length != rows {
                break;
            }
            rows = length;
            starts[tiles] = self.next;
            tiles += 1;
            self.next += length;
        }
        (tiles > 0).then_some((starts, tiles, rows))
    }
}
