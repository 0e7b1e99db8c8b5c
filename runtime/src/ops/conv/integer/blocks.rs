//! Blocks of [`COLUMNS`] columns, in the order of the family's kernels; what a family stores at once, and tiles for the rest.

use core::ops::Range;

use super::columns::Gather;
use super::vector;
use crate::family::{Addition, Filter, InputPart};
use crate::family::{COLUMNS, Family, Layout, Native, Rows, Rows4, clears, padded};
use crate::features::{Feature, MODULATES};
use crate::numeric::requant::{WideRequant, add_guarded, saturate_i8, saturate_i16};
use crate::ops::conv::Geometry;
use crate::ops::conv::proof::wide_bias;
use crate::tensor::int4;
use crate::tensor::view::{Operand, View, ViewMut};

impl InputPart<'_> {
    /// The elements from `at` on, on the common scale.
    pub fn join(&self, at: usize, to: &mut [i16]) {
        let Some(requant) = &self.requant else { return };
        let range = at..at + to.len();
        match self.view {
            View::I8(data, zero) => Native::join8(&data[range], zero, requant, to),
            View::I16(data) => Native::join16(&data[range], requant, to),
            View::F16(_) | View::Q24(_) => {}
        }
    }
}

/// Runs the convolution. `scratch` holds a block of [`COLUMNS`] padded columns, or at least one.
pub fn conv(
    parts: &[InputPart<'_>],
    g: &Geometry,
    filter: &Filter<'_>,
    add: Option<Addition<'_>>,
    scratch: &mut [i16],
    out: &mut ViewMut<'_>,
) {
    let taps = g.kernel.area() * parts.iter().map(|p| p.channels).sum::<usize>();
    let positions = g.output[0] * g.output[1];
    let block = Layout::elements(COLUMNS, taps);
    let lanes = if positions > 1 && scratch.len() >= block && (!filter.is_int4() || taps <= UNPACKED) {
        COLUMNS
    } else {
        1
    };
    let Some(columns) = scratch.get_mut(..Layout::elements(lanes, taps)) else {
        return;
    };
    // The taps that pad a row stay zero, and columns that no position fills.
    if clears(taps) || positions < lanes {
        columns.fill(0);
    }
    let stored = match parts {
        [
            InputPart {
                view: View::I8(_, zero),
                requant: None,
                ..
            },
        ] => Some(*zero),
        _ => None,
    };
    let pairs = Native::PAIRS && lanes == COLUMNS && filter.is_int4() && stored.is_some();
    let stored = stored.filter(|_| taps > Native::THIN && matches!(filter, Filter::W8 { .. }));
    let layout = Layout::new(lanes, taps, g.outs, g.pitch(), stored);
    filter.begin(columns, &layout);
    let mut gather = Gather::new(parts, g, layout);
    gather.enter();
    if MODULATES && Native::VECTORS && positions == 1 && add.is_none() && matches!(filter, Filter::W8 { .. }) {
        gather.fill(columns, 1);
        // There is memory for all of it: the file was checked.
        let _ = vector::outputs(filter, columns, out);
        return;
    }
    let mut storing = Native::storing(filter, &layout, pairs, add.as_ref(), out);
    let mut done = 0;
    while done < positions {
        let count = lanes.min(positions - done);
        let (at, taps) = gather.fill(columns, count);
        if pairs {
            Native::pair_up(columns);
        }
        let block = Block {
            at: at * g.pitch(),
            pitch: g.pitch(),
            count,
            taps,
            layout: &layout,
            pairs,
        };
        let mut first = 0;
        if MODULATES
            && Feature::Rectangles.is_built()
            && let (Some(storing), COLUMNS, Some(cut)) = (&mut storing, count, gather.cut(at))
        {
            first = Native::store_cut(storing, columns, cut, block.at, out);
        }
        while first < g.outs {
            let mut channels = first..g.outs;
            if let (Some(storing), COLUMNS) = (&mut storing, count) {
                first = Native::store(storing, first, columns, &block.taps, block.at, out);
                if first == g.outs {
                    break;
                }
                channels = first..first + 1;
            }
            first = channels.end;
            block.by_tile(channels, filter, add.as_ref(), columns, out);
        }
        done += count;
    }
}

/// Taps of an int4 row above which the columns of a block are filled one at a time: the row is unpacked on the stack.
const UNPACKED: usize = 1024;

impl Filter<'_> {
    /// Whether a nibble is a weight. Known without a look where such weights are left out.
    pub fn is_int4(&self) -> bool {
        Feature::W4.is_built() && matches!(self, Self::W4 { .. })
    }

    /// Makes ready what the blocks of one call share.
    fn begin(&self, columns: &mut [i16], layout: &Layout) {
        if let Self::W8 {
            data: weights,
            bias,
            mult,
            shift,
        } = *self
        {
            let rows = Rows {
                first: 0,
                weights,
                row: padded(layout.taps),
                bias,
                mult,
                shift,
            };
            Native::begin8(&rows, columns, layout);
        }
    }

    /// Accumulators of `channels` with the block's columns, times their factors. The columns hold all taps, unless it is one
    /// channel or int4.
    #[inline(never)]
    fn apply(&self, channels: Range<usize>, block: &Block<'_>, columns: &[i16], tile: &mut [[i32; COLUMNS]]) {
        let (layout, taps) = (block.layout, &block.taps);
        let (row, whole) = (taps.len(), padded(layout.taps));
        let from = channels.start * whole + taps.start;
        let weights = from..from + channels.len() * row;
        match *self {
            Self::W8 {
                data,
                bias,
                mult,
                shift,
            } => {
                let rows = Rows {
                    first: channels.start,
                    weights: &data[weights],
                    row,
                    bias: &bias[channels.clone()],
                    mult: &mult[channels.clone()],
                    shift: &shift[channels],
                };
                if layout.lanes == 1 {
                    rows.single(columns, tile);
                } else {
                    Native::rows8(&rows, columns, layout, tile);
                }
            }
            Self::W4 {
                data,
                bias,
                mult,
                shift,
            } if Feature::W4.is_built() => {
                let words = int4::row_words(layout.taps);
                let rows = Rows4 {
                    weights: &data[channels.start * words..channels.end * words],
                    words,
                    bias: &bias[channels.clone()],
                    mult: &mult[channels.clone()],
                    shift: &shift[channels],
                };
                if layout.lanes == 1 {
                    rows.single(columns, tile);
                } else {
                    Native::rows4(&rows, columns, layout, taps, block.pairs, tile);
                }
            }
            Self::W16 {
                data,
                bias,
                mult,
                shift,
            } if Feature::W16.is_built() => {
                let factors = mult[channels.clone()].iter().zip(&shift[channels.clone()]);
                let rows = data[weights].chunks_exact(row).zip(&bias[channels]);
                for ((values, (weights, &bias)), (&mult, &shift)) in tile.iter_mut().zip(rows).zip(factors) {
                    let mut dots = [0; COLUMNS];
                    if layout.lanes == 1 {
                        dots[0] = Native::single16(weights, columns);
                    } else {
                        Native::block16(weights, columns, &mut dots);
                    }
                    WideRequant { mult, shift }.times(wide_bias(bias), &dots[..layout.lanes], values);
                }
            }
            // No model with such weights exists where the part is left out.
            Self::W4 { .. } | Self::W16 { .. } => {}
        }
    }
}

/// The outputs at a block of positions.
struct Block<'l> {
    /// Element of the first position's first channel.
    at: usize,
    /// Elements from a position to the next.
    pitch: usize,
    /// Positions, at most [`COLUMNS`].
    count: usize,
    /// Those of a whole column that the columns hold.
    taps: Range<usize>,
    layout: &'l Layout,
    /// Whether the columns are [`Family::pair_up`]'s.
    pairs: bool,
}

impl Block<'_> {
    /// The outputs of `channels`, a tile at a time.
    #[inline(never)]
    fn by_tile(
        &self,
        channels: Range<usize>,
        filter: &Filter<'_>,
        add: Option<&Addition<'_>>,
        columns: &[i16],
        out: &mut ViewMut<'_>,
    ) {
        let mut tile = [[0; COLUMNS]; Native::TILE];
        // Rows that are not whole do not follow each other.
        let most = if self.taps.len() < self.layout.taps && !filter.is_int4() {
            1
        } else {
            Native::TILE
        };
        let mut first = channels.start;
        while first < channels.end {
            let tile = &mut tile[..most.min(channels.end - first)];
            filter.apply(first..first + tile.len(), self, columns, tile);
            if let Some(term) = add {
                self.add(term, first, tile, out);
            }
            self.store(first, tile, out);
            first += tile.len();
        }
    }

    /// Adds the term of the channels from `first` on: one body for every kind of it.
    #[inline(never)]
    fn add(&self, term: &Addition<'_>, first: usize, tile: &mut [[i32; COLUMNS]], out: &ViewMut<'_>) {
        let view = match term.operand {
            Operand::Apart(view) => view,
            Operand::InPlace { zero } => out.as_view().with_zero(zero),
        };
        let (mut at, step) = if term.broadcast {
            (first, 0)
        } else {
            (self.at + first, self.pitch)
        };
        for values in tile {
            let (mut from, mut added) = (at, 0);
            for (lane, value) in values.iter_mut().enumerate().take(self.count) {
                if lane == 0 || step > 0 {
                    let q = match view {
                        View::I8(data, zero) => i32::from(data[from]) - zero,
                        View::I16(data) => data[from].into(),
                        View::F16(_) | View::Q24(_) => 0,
                    };
                    added = term.requant.apply(q);
                    from += step;
                }
                *value = add_guarded(*value, added);
            }
            at += 1;
        }
    }

    /// Stores the outputs of the channels from `first` on.
    #[inline(never)]
    fn store(&self, first: usize, tile: &[[i32; COLUMNS]], out: &mut ViewMut<'_>) {
        for lane in 0..self.count.min(COLUMNS) {
            let at = self.at + lane * self.pitch + first;
            let range = at..at + tile.len();
            match out {
                ViewMut::I8(data, zero) => {
                    for (slot, values) in data[range].iter_mut().zip(tile) {
                        *slot = saturate_i8(values[lane].saturating_add(*zero));
                    }
                }
                ViewMut::I16(data) => {
                    for (slot, values) in data[range].iter_mut().zip(tile) {
                        *slot = saturate_i16(values[lane]);
                    }
                }
                ViewMut::Q24(data) => {
                    for (slot, values) in data[range].iter_mut().zip(tile) {
                        *slot = values[lane];
                    }
                }
                ViewMut::F16(_) => {}
            }
        }
    }
}
