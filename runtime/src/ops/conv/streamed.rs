//! A convolution of which some output channels' weights are in memory: those channels of its output, and no others.

use core::ops::Range;

use super::{
    Addition, Conv, Filter, Geometry, NO_PARTS, Regions, Rows, Weights, addition, geometry, integer, parts,
    run_float_with,
};
use crate::family::padded;
use crate::features::Feature;
use crate::ops::Context;
use crate::tensor::int4;
use crate::tensor::view::Operand;

/// Weights of some output channels, in memory.
#[derive(Debug, Clone)]
pub(crate) struct Block<'w> {
    /// The channels; all of them in f16.
    pub channels: Range<usize>,
    /// Their rows.
    pub bytes: &'w [u8],
}

/// Rows of weights in their file: one an output channel, or one of all in f16, where the weights of a channel do not lie together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// First byte in the file of weights.
    pub at: u32,
    /// Rows of one group of timesteps.
    pub rows: usize,
    /// Bytes of a row.
    pub row: usize,
}

impl Table {
    /// The rows of the first group.
    pub fn of(context: &Context<'_>, c: &Conv) -> Self {
        let channels = |id| usize::from(context.known(id).channels);
        let taps = taps(context, c);
        let outs = channels(c.out);
        let (data, rows, row) = match c.weights {
            Weights::W8 { data, .. } => (data, outs, padded(taps)),
            Weights::W16 { data, .. } => (data, outs, 2 * padded(taps)),
            Weights::W4 { data, .. } => (data, outs, 4 * int4::row_words(taps)),
            Weights::F16 { data, .. } => (data, 1, 2 * taps * outs),
        };
        Self { at: data.0, rows, row }
    }

    /// The rows of group `group`, where there is such.
    pub fn group(self, group: usize) -> Self {
        let before = group.saturating_mul(self.rows).saturating_mul(self.row);
        Self {
            at: self.at.saturating_add(before as u32),
            ..self
        }
    }

    /// Rows that a block of at most `bytes` has: blocks of about the same size, in whole groups of four where there is room for one.
    pub fn block(&self, bytes: usize) -> usize {
        let most = bytes / self.row.max(1);
        if most >= self.rows {
            return self.rows;
        }
        let whole = if most < 4 { 1 } else { 4 };
        let most = most / whole * whole;
        let blocks = self.rows.div_ceil(most.max(1));
        self.rows.div_ceil(blocks).next_multiple_of(whole).min(most)
    }
}

/// Taps of a row.
pub(crate) fn taps(context: &Context<'_>, c: &Conv) -> usize {
    let channels = |id| usize::from(context.known(id).channels);
    c.kernel().area() * (channels(c.source.first) + c.source.second.map_or(0, |(id, _)| channels(id)))
}

/// Runs a convolution for a block's channels. `None` where its memory does not fit.
#[inline(never)]
pub(crate) fn run(
    context: &Context<'_>,
    c: &Conv,
    rows: Rows,
    block: &Block<'_>,
    r: &mut Regions<'_, '_>,
) -> Option<()> {
    if context.is_float() {
        let weights = bytemuck::try_cast_slice(block.bytes).ok()?;
        return run_float_with(context, c, rows, Some(weights), r);
    }
    let whole = geometry(c, r);
    let mut all = NO_PARTS;
    let count = parts(&mut all, &c.source, r)?;
    let parts = all.get(..count)?;
    let filter = &filter(context, c, rows, whole.outs, block)?;
    let add = of_channels(addition(c, r)?, &block.channels)?;
    let g = of_block(&whole, block);
    let out = r.output()?;
    let behind = block.channels.start..out.len();
    integer::conv(parts, &g, filter, add, r.scratch()?, &mut out.cut(behind)?);
    Some(())
}

/// The shapes of a block's channels. Its output begins at the first of them.
pub(crate) fn of_block(g: &Geometry, block: &Block<'_>) -> Geometry {
    Geometry {
        outs: block.channels.len(),
        ..*g
    }
}

/// The weights of a block, of a convolution of `outs` channels in all.
pub(crate) fn filter<'m>(
    context: &Context<'m>,
    c: &Conv,
    rows: Rows,
    outs: usize,
    block: &Block<'m>,
) -> Option<Filter<'m>> {
    let (bias, requant) = match c.weights {
        Weights::W8 { bias, requant, .. } | Weights::W16 { bias, requant, .. } | Weights::W4 { bias, requant, .. } => {
            (bias, requant)
        }
        Weights::F16 { .. } => return None,
    };
    let channels = block.channels.clone();
    let mult = rows.table(context, requant, outs)?.get(channels.clone())?;
    let shifts = crate::ops::At(requant.0 + (rows.groups * outs) as u32 * 4);
    let shift = rows.table(context, shifts, outs)?.get(channels.clone())?;
    Some(match c.weights {
        Weights::W16 { .. } if Feature::W16.is_built() => Filter::W16 {
            // Rows are whole words.
            data: bytemuck::cast_slice(bytemuck::try_cast_slice::<_, i32>(block.bytes).ok()?),
            bias: rows
                .table::<i32>(context, bias, 2 * outs)?
                .as_chunks()
                .0
                .get(channels)?,
            mult,
            shift,
        },
        Weights::W4 { .. } if Feature::W4.is_built() => Filter::W4 {
            data: bytemuck::try_cast_slice(block.bytes).ok()?,
            bias: rows.table(context, bias, outs)?.get(channels)?,
            mult,
            shift,
        },
        Weights::W8 { .. } => Filter::W8 {
            data: bytemuck::cast_slice(block.bytes),
            bias: rows.table(context, bias, outs)?.get(channels)?,
            mult,
            shift,
        },
        _ => return None,
    })
}

/// The part of a term that is added to these channels; the outer `None` where it is not there.
pub(crate) fn of_channels<'a>(add: Option<Addition<'a>>, channels: &Range<usize>) -> Option<Option<Addition<'a>>> {
    Some(match add {
        Some(Addition {
            operand: Operand::Apart(view),
            broadcast,
            requant,
        }) => {
            let end = if broadcast { channels.end } else { view.len() };
            Some(Addition {
                operand: Operand::Apart(view.cut(channels.start..end)?),
                broadcast,
                requant,
            })
        }
        whole => whole,
    })
}
