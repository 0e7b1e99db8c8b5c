//! A group normalization inside the convolution that reads it: a band of output rows at a time.
//!
//! The window holds the normalized rows that the band looks at. Those that the next band looks at as well move to its front, so every
//! row is normalized once. The numbers are those of the two operators one after the other.

use core::ops::Range;

use crate::family::{Addition, Filter, InputPart};
use crate::ops::conv::Geometry;
use crate::ops::conv::integer::conv;
use crate::ops::norm::integer::{Input, Norm, is_quick, positions};
use crate::tensor::view::{Operand, ViewMut};

/// Runs both for the output rows `asked`, of which `out` begins at row `base`. `window` holds whole rows of the input, at least as many as
/// the kernel has (or all there are); `factors` and `columns` are the scratch of the two. Gives whether the factors are for the family's
/// kernel: who calls it again for other rows says so in `before`, and they are not made anew. `held` are
/// the rows that the window has already.
#[expect(clippy::too_many_arguments, reason = "two operators")]
#[inline(always)]
pub fn norm_conv(
    (asked, base): (Range<usize>, usize),
    before: Option<bool>,
    mut held: Range<usize>,
    input: &Input<'_>,
    norm: &Norm<'_>,
    factors: &mut [i32],
    window: &mut ViewMut<'_>,
    g: &Geometry,
    filter: &Filter<'_>,
    add: Option<Addition<'_>>,
    columns: &mut [i16],
    out: &mut ViewMut<'_>,
) -> bool {
    let prepared = match before {
        Some(quick) => norm.prepared(quick),
        None => norm.prepare(input, factors, window),
    };
    let ([rows, cols], pad) = (g.input, g.pad[0]);
    let (line, out_line) = (cols * norm.channels, g.output[1] * g.pitch());
    let lines = window.len() / line.max(1);
    let band = if lines < rows {
        lines.saturating_sub(g.kernel.rows()) / g.stride.rows() + 1
    } else {
        asked.len().max(1)
    };
    for first in asked.clone().step_by(band) {
        let count = band.min(asked.end - first);
        // Counted from the first row of zeros.
        let top = first * g.stride.rows();
        let bottom = top + (count - 1) * g.stride.rows() + g.kernel.rows();
        let needed = top.saturating_sub(pad)..bottom.saturating_sub(pad).min(rows);
        let fresh = needed.start.max(held.end)..needed.end.max(held.end);
        // Row by row, for which no two of them overlap.
        for row in needed.start..held.end {
            let (from, to) = (row - held.start, row - needed.start);
            if from > to {
                window.copy_down(from * line, to * line, line);
            }
        }
        let to = (fresh.start - needed.start) * line..(fresh.end - needed.start) * line;
        let fresh = fresh.start * cols..fresh.end * cols;
        if !fresh.is_empty() {
            positions(input, norm, &prepared, factors, fresh, &mut window.part(to));
        }
        let part = InputPart {
            view: window.as_view().part(0..needed.len() * line),
            channels: norm.channels,
            requant: None,
        };
        let band = Geometry {
            input: [needed.len(), cols],
            output: [count, g.output[1]],
            pad: [pad.saturating_sub(top), g.pad[1]],
            ..*g
        };
        let range = first * out_line..(first + count) * out_line;
        // Of channels behind the first the last row ends with the output.
        #[cfg(feature = "streamed")]
        let range = range.start..range.end.min(base * out_line + out.len());
        let add = add.map(|term| match term.operand {
            Operand::Apart(view) if !term.broadcast => Addition {
                operand: Operand::Apart(view.part(range.clone())),
                ..term
            },
            _ => term,
        });
        let range = range.start - base * out_line..range.end - base * out_line;
        conv(&[part], &band, filter, add, columns, &mut out.part(range));
        held = needed;
    }
    is_quick(&prepared)
}

/// [`norm_conv`] of some rows, whose `out` begins at the first of them.
#[expect(clippy::too_many_arguments, reason = "two operators")]
#[inline(never)]
pub fn norm_conv_rows(
    asked: Range<usize>,
    input: &Input<'_>,
    norm: &Norm<'_>,
    factors: &mut [i32],
    window: &mut ViewMut<'_>,
    g: &Geometry,
    filter: &Filter<'_>,
    add: Option<Addition<'_>>,
    columns: &mut [i16],
    out: &mut ViewMut<'_>,
) {
    let base = asked.start;
    norm_conv(
        (asked, base),
        None,
        0..0,
        input,
        norm,
        factors,
        window,
        g,
        filter,
        add,
        columns,
        out,
    );
}
