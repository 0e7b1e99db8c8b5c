//! A convolution on two cores: the upper rows of its output on one, the lower on the other. Each writes its own rows and has columns of
//! its own; both read the rest. So neither can see what the other does, and the numbers are those of one core.

use core::ops::Range;

use super::rows::{band, begins, elements};
use super::{Addition, Conv, Geometry, InputPart, NO_PARTS, Regions, addition, filter, geometry, integer, parts};
use crate::ops::Context;
use crate::tensor::view::{Operand, ViewMut};

/// Two cores, or whatever does two pieces of work.
pub trait Join {
    /// Does both, at the same time or in any order, and returns when both are done: one here, the other on the other core.
    fn join(&mut self, here: impl FnOnce() + Send, there: impl FnOnce() + Send);
}

/// The first row of the lower half; `None` where the output has one row, or cannot be cut.
pub(crate) fn middle(c: &Conv, rows: usize) -> Option<usize> {
    let middle = begins(c.upsample, c.stride.rows().into(), c.pad[0].into(), rows.div_ceil(2));
    (0 < middle && middle < rows).then_some(middle)
}

/// What a half reads and adds.
struct Half<'a> {
    band: Geometry,
    parts: [InputPart<'a>; 2],
    add: Option<Addition<'a>>,
}

impl<'a> Half<'a> {
    fn new(g: &Geometry, rows: Range<usize>, parts: &[InputPart<'a>; 2], add: Option<Addition<'a>>) -> Option<Self> {
        let (input, band) = band(g, &rows)?;
        let mut parts = *parts;
        for part in parts.iter_mut().filter(|part| part.channels > 0) {
            part.view = part.view.cut(elements(&input, g.input[1], part.channels))?;
        }
        let add = cut_addition(add, elements(&rows, g.output[1], g.outs))?;
        Some(Self { band, parts, add })
    }
}

/// The part of a term that is added to these elements; the outer `None` where it is not there.
pub(crate) fn cut_addition<'a>(add: Option<Addition<'a>>, range: Range<usize>) -> Option<Option<Addition<'a>>> {
    Some(match add {
        Some(Addition {
            operand: Operand::Apart(view),
            broadcast: false,
            requant,
        }) => Some(Addition {
            operand: Operand::Apart(view.cut(range)?),
            broadcast: false,
            requant,
        }),
        whole => whole,
    })
}

/// Runs an integer convolution in two halves; `spare` is the scratch of the one that is there. `None` where its memory does not fit.
pub(crate) fn run(
    context: &Context<'_>,
    c: &Conv,
    middle: usize,
    r: &mut Regions<'_, '_>,
    spare: &mut [u8],
    join: &mut impl Join,
) -> Option<()> {
    let g = geometry(c, r);
    let mut all = NO_PARTS;
    let count = parts(&mut all, &c.source, r)?;
    let channels = all[0].channels + all[1].channels;
    let filter = &filter(context, c, super::Rows::ALL, &g, channels)?;
    let add = addition(c, r)?;
    let upper = Half::new(&g, 0..middle, &all, add)?;
    let lower = Half::new(&g, middle..g.output[0], &all, add)?;
    let columns: &mut [i16] = r.scratch()?;
    let own: &mut [i16] = bytemuck::try_cast_slice_mut(spare.get_mut(..columns.len() * 2)?).ok()?;
    let (mut above, mut below) = r.output()?.split(middle * g.output[1] * g.outs)?;
    let conv = |half: &Half<'_>, columns: &mut [i16], out: &mut ViewMut<'_>| {
        let parts = half.parts.get(..count).unwrap_or_default();
        integer::conv(parts, &half.band, filter, half.add, columns, out);
    };
    join.join(|| conv(&upper, columns, &mut above), || conv(&lower, own, &mut below));
    Some(())
}
