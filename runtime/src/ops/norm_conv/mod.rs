//! A group normalization inside the convolution that alone reads it.

mod integer;

use core::ops::Range;

use crate::ops::{Call, Context};
use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::conv::halves::Join;
#[cfg(feature = "streamed")]
use super::conv::streamed::{self, Block};
use super::norm::integer::FACTOR_WORDS;
use super::reader::Reader;
use super::{Conv, GroupNorm, Operator, conv, norm};
use crate::error::Fault;
use crate::features::Feature;
use crate::tensor::Tensor;
use crate::tensor::arena::ALIGN;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::view::ViewMut;

/// A group normalization and the convolution that alone reads it: only as many normalized rows are there at a time as the convolution
/// looks at. The same numbers as the two operators one after the other.
///
/// `norm.out` is the window that holds those rows, and `conv` reads it. Both name one scratch: factors of the channels, then columns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NormConv {
    /// Its output's record has the rows of the window, at least those that one output row looks at.
    pub norm: GroupNorm,
    /// Not upsampled.
    pub conv: Conv,
}

impl Operator for NormConv {
    const NAME: &'static str = "norm_conv";
    const FEATURE: Option<Feature> = Some(Feature::NormConv);

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        let mut both = Self {
            norm: GroupNorm::EMPTY,
            conv: Conv::EMPTY,
        };
        norm::read(r, &mut both.norm);
        conv::read(r, &mut both.conv);
        both
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        self.conv.slots(slots);
        self.norm.source.slots(slots);
        slots.tensors[slot::WINDOW] = Some(self.norm.out);
    }

    /// The two halves, as if the window held every row, and that it holds enough of them.
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let Self { norm, conv } = self;
        checker.join(&norm.source)?;
        let joined = norm.out == conv.source.first && norm.scratch == conv.scratch;
        let plain = conv.source.second.is_none() && !conv.upsample && norm.scale_shift.is_none();
        checker.ensure(joined && plain && !checker.context.is_float(), Fault::Parameter)?;
        let (rows, mut window) = (checker.tensors[slot::FIRST].rows, checker.tensors[slot::WINDOW]);
        checker.ensure(
            (rows.min(conv.kernel.rows().into())..=rows).contains(&window.rows),
            Fault::Shape {
                expected: conv.kernel.rows().into(),
                found: window.rows.into(),
            },
        )?;
        window.rows = rows;
        norm.check_joined(checker, &window)?;
        checker.tensors[slot::FIRST] = window;
        conv.check_joined(checker, 1)
    }

    #[inline(always)]
    fn scratch_bytes(&self, float: bool, tensors: &[Tensor; slot::COUNT]) -> usize {
        // The normalization has as many channels as it reads, and the convolution those of the normalization.
        self.norm.scratch_bytes(float, tensors) + self.conv.scratch_bytes(float, tensors)
    }

    #[inline(always)]
    fn needs(&self, feature: Feature) -> bool {
        Self::FEATURE == Some(feature) || self.norm.needs(feature) || self.conv.needs(feature)
    }

    #[inline(never)]
    fn run_integer(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        self.bands(context, None, None, r)?;
        Some(())
    }

    /// Of integer models only, which parsing sees to.
    fn run_f16(&self, _: &Context<'_>, _: &Call<'_>, _: &mut Regions<'_, '_>) -> Option<()> {
        None
    }

    #[inline(always)]
    fn conv(&self) -> Option<&Conv> {
        Some(&self.conv)
    }

    #[inline(always)]
    fn norm(&self) -> Option<&GroupNorm> {
        Some(&self.norm)
    }
}

impl NormConv {
    /// Runs it for some rows of the output alone. What it gives is `before` for the next rows, where nothing else had its scratch.
    pub(crate) fn run_rows(
        &self,
        context: &Context<'_>,
        rows: Range<usize>,
        before: Option<bool>,
        r: &mut Regions<'_, '_>,
    ) -> Option<bool> {
        let whole = usize::from(r.out().rows);
        if rows.end > whole {
            return None;
        }
        self.bands(context, Some(rows), before, r)
    }

    #[inline(always)]
    fn bands(
        &self,
        context: &Context<'_>,
        rows: Option<Range<usize>>,
        before: Option<bool>,
        r: &mut Regions<'_, '_>,
    ) -> Option<bool> {
        let (norm, input) = (
            norm::parameters(context, &self.norm, slot::WINDOW, r)?,
            norm::input(&self.norm, r)?,
        );
        let c = &self.conv;
        let g = conv::geometry(c, r);
        let filter = conv::filter(context, c, conv::Rows::ALL, &g, norm.channels)?;
        let add = conv::addition(c, r)?;
        let (factors, columns) = r.scratch::<i32>()?.split_at_mut_checked(norm.channels * FACTOR_WORDS)?;
        let columns = bytemuck::try_cast_slice_mut(columns).ok()?;
        let (window, out) = (&mut r.window()?, &mut r.output()?);
        let rows = rows.unwrap_or(0..g.output[0]);
        Some(integer::norm_conv(
            (rows, 0),
            before,
            0..0,
            &input,
            &norm,
            factors,
            window,
            &g,
            &filter,
            add,
            columns,
            out,
        ))
    }

    /// Runs it for a block's channels alone. What it gives is `before` for the next block, where nothing else had its scratch.
    #[cfg(feature = "streamed")]
    #[inline(never)]
    pub(crate) fn run_block(
        &self,
        context: &Context<'_>,
        block: &Block<'_>,
        before: Option<bool>,
        r: &mut Regions<'_, '_>,
    ) -> Option<bool> {
        let (norm, input) = (
            norm::parameters(context, &self.norm, slot::WINDOW, r)?,
            norm::input(&self.norm, r)?,
        );
        let c = &self.conv;
        let whole = conv::geometry(c, r);
        let filter = streamed::filter(context, c, conv::Rows::ALL, whole.outs, block)?;
        let add = streamed::of_channels(conv::addition(c, r)?, &block.channels)?;
        let (factors, columns) = r.scratch::<i32>()?.split_at_mut_checked(norm.channels * FACTOR_WORDS)?;
        let columns = bytemuck::try_cast_slice_mut(columns).ok()?;
        let (window, out) = (&mut r.window()?, r.output()?);
        let behind = block.channels.start..out.len();
        // Where the window has every row, the first block has filled it.
        let [rows, cols] = whole.input;
        let filled = before.is_some() && window.len() >= rows * cols * norm.channels;
        let held = 0..if filled { rows } else { 0 };
        Some(integer::norm_conv(
            (0..whole.output[0], 0),
            before,
            held,
            &input,
            &norm,
            factors,
            window,
            &streamed::of_block(&whole, block),
            &filter,
            add,
            columns,
            &mut out.cut(behind)?,
        ))
    }

    /// Runs it in two halves, each with factors, columns and a window of its own; as [`conv::halves::run`].
    pub(crate) fn run_halves(
        &self,
        context: &Context<'_>,
        middle: usize,
        r: &mut Regions<'_, '_>,
        spare: &mut [u8],
        join: &mut impl Join,
    ) -> Option<()> {
        let norm = &norm::parameters(context, &self.norm, slot::WINDOW, r)?;
        let input = &norm::input(&self.norm, r)?;
        let c = &self.conv;
        let g = &conv::geometry(c, r);
        let filter = &conv::filter(context, c, conv::Rows::ALL, g, norm.channels)?;
        let add = conv::addition(c, r)?;
        let tensor = r.tensor(slot::WINDOW);
        let (scratch, mut window) = (r.scratch::<i32>()?, r.window()?);
        let (mut above, mut below) = r.output()?.split(middle * g.output[1] * g.outs)?;
        let (own, rest) = spare.split_at_mut_checked((scratch.len() * 4).next_multiple_of(ALIGN))?;
        let own = bytemuck::try_cast_slice_mut(own).ok()?;
        let mut own_window = ViewMut::new(&tensor, rest.get_mut(..tensor.bytes())?)?;
        let words = norm.channels * FACTOR_WORDS;
        let (factors, columns) = halved(scratch, words)?;
        let (own_factors, own_columns) = halved(own, words)?;
        join.join(
            || {
                integer::norm_conv_rows(
                    0..middle,
                    input,
                    norm,
                    factors,
                    &mut window,
                    g,
                    filter,
                    add,
                    columns,
                    &mut above,
                )
            },
            || {
                let rows = middle..g.output[0];
                integer::norm_conv_rows(
                    rows,
                    input,
                    norm,
                    own_factors,
                    &mut own_window,
                    g,
                    filter,
                    add,
                    own_columns,
                    &mut below,
                );
            },
        );
        Some(())
    }
}

/// Factors, and columns behind them.
fn halved(scratch: &mut [i32], words: usize) -> Option<(&mut [i32], &mut [i16])> {
    let (factors, columns) = scratch.split_at_mut_checked(words)?;
    Some((factors, bytemuck::try_cast_slice_mut(columns).ok()?))
}
