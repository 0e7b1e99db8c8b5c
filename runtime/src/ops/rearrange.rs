//! Elements in other places: blocks of positions and channels, repetition, positions in other rows.

use crate::ops::{Call, Context};
use crate::tensor::view::{View, ViewMut};
use serde::{Deserialize, Serialize};

use super::Operator;
use super::check::{Check, Checker};
use super::reader::Reader;
use crate::error::Fault;
use crate::features::Feature;
use crate::tensor::TensorId;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};

/// Where the elements of a block of `p x q` positions are in the coarse activation, which has one position for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pattern {
    /// Depth to space: channel `c` at row i and column j comes from channel `(c p + i) q + j` (Shi et al. 2016, eq. 4).
    Channels,
    /// Depth to space: it comes from channel `(i q + j) C + c`, with C channels of the output.
    Phases,
    /// Space to depth: the way back from [`Pattern::Phases`].
    Depth,
    /// Every position of the block has what the coarse one has.
    Repeat,
    /// The same elements in order, with rows of another length. The block is 1 x 1.
    Reshape,
}

/// Moves elements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rearrange {
    /// Input.
    pub src: TensorId,
    /// Output.
    pub out: TensorId,
    /// How.
    pub way: Pattern,
    /// Rows (the high four bits) and columns of a block, 1 to 15 each.
    pub block: u8,
}

impl Rearrange {
    fn block(&self) -> [usize; 2] {
        [self.block >> 4, self.block & 15].map(usize::from)
    }
}

impl Operator for Rearrange {
    const NAME: &'static str = "rearrange";
    const FEATURE: Option<Feature> = Some(Feature::Rearrange);

    fn read(r: &mut Reader<'_>) -> Self {
        let (src, out) = (r.tensor(), r.tensor());
        let way = match r.variant(5) {
            0 => Pattern::Channels,
            1 => Pattern::Phases,
            2 => Pattern::Depth,
            3 => Pattern::Repeat,
            _ => Pattern::Reshape,
        };
        let block = r.u8();
        Self { src, out, way, block }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.unary(self.src, self.out);
    }

    #[inline(never)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let [out, _, _, src, ..] = &checker.tensors;
        let (fine, coarse) = if self.way == Pattern::Depth {
            (src, out)
        } else {
            (out, src)
        };
        let [p, q] = self.block().map(|side| side as u32);
        checker.ensure(p > 0 && q > 0, Fault::Parameter)?;
        checker.ensure((src.dtype, src.zero_point) == (out.dtype, out.zero_point), Fault::Dtype)?;
        let deep = match self.way {
            Pattern::Repeat => 1,
            Pattern::Reshape => {
                checker.ensure(self.block == 0x11, Fault::Parameter)?;
                checker.same(src.positions() as u32, out.positions() as u32)?;
                return checker.same(src.channels.into(), out.channels.into());
            }
            Pattern::Channels | Pattern::Phases | Pattern::Depth => p * q,
        };
        checker.same(u32::from(coarse.rows) * p, fine.rows.into())?;
        checker.same(u32::from(coarse.cols) * q, fine.cols.into())?;
        checker.same(u32::from(fine.channels) * deep, coarse.channels.into())
    }

    #[inline(always)]
    fn gives_output(&self) -> bool {
        true
    }

    #[inline(always)]
    fn moves(&self) -> bool {
        true
    }

    #[inline(never)]
    fn run_integer(&self, _: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (out, src) = (r.out(), r.tensor(slot::FIRST));
        let fine = if self.way == Pattern::Depth { src } else { out };
        let (cols, channels) = (fine.cols.into(), fine.channels.into());
        rearrange(self, cols, channels, &r.view(slot::FIRST)?, &mut r.output()?);
        Some(())
    }

    /// The numbers are moved, whatever they are.
    fn run_f16(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        self.run_integer(context, call, r)
    }
}

/// Moves all elements. `cols` and `channels` are those of the fine activation.
fn rearrange(op: &Rearrange, cols: usize, channels: usize, src: &View<'_>, out: &mut ViewMut<'_>) {
    let [p, q] = op.block();
    if op.way == Pattern::Reshape || (p == 1 && matches!(op.way, Pattern::Phases | Pattern::Depth)) {
        return copy(src, out);
    }
    let positions = src.len().max(out.len()) / channels.max(1);
    let (mut row, mut col) = (0, 0);
    for position in 0..positions {
        let (phase, block) = ((row % p) * q + col % q, (row / p) * (cols / q) + col / q);
        let (first, step) = match op.way {
            Pattern::Channels => (block * channels * p * q + phase, p * q),
            Pattern::Repeat => (block * channels, 1),
            _ => ((block * p * q + phase) * channels, 1),
        };
        for c in 0..channels {
            let (fine, coarse) = (position * channels + c, first + c * step);
            if op.way == Pattern::Depth {
                out.set(coarse, src.get(fine));
            } else {
                out.set(fine, src.get(coarse));
            }
        }
        col += 1;
        if col == cols {
            (row, col) = (row + 1, 0);
        }
    }
}

/// The elements in their order.
fn copy(src: &View<'_>, out: &mut ViewMut<'_>) {
    match (src, out) {
        (View::I8(from, _), ViewMut::I8(to, _)) => to.iter_mut().zip(*from).for_each(|(to, q)| *to = *q),
        (View::I16(from), ViewMut::I16(to)) => to.iter_mut().zip(*from).for_each(|(to, q)| *to = *q),
        (src, out) => (0..src.len()).for_each(|i| out.set(i, src.get(i))),
    }
}
