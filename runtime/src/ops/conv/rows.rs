//! Some rows of a convolution's output, as a convolution of its own of the rows of the input under them: the numbers of the whole.

use core::ops::Range;

use super::halves::cut_addition;
use super::{Conv, Geometry, InputPart, NO_PARTS, Regions, addition, filter, geometry, integer, parts};
use crate::ops::Context;

/// The rows of the stored input that output rows look at, and their convolution; `None` where it would begin within a doubled row.
pub(super) fn band(g: &Geometry, rows: &Range<usize>) -> Option<(Range<usize>, Geometry)> {
    let zoom = u32::from(g.upsample);
    let count = rows.end.checked_sub(rows.start)?;
    // Counted from the first row of zeros.
    let top = rows.start * g.stride.rows();
    let bottom = top + count.checked_sub(1)? * g.stride.rows() + g.kernel.rows();
    let [first, end] = [top, bottom].map(|row| row.saturating_sub(g.pad[0]));
    if !first.is_multiple_of(1 << zoom) {
        return None;
    }
    let input = first >> zoom..end.div_ceil(1 << zoom).min(g.input[0]);
    let geometry = Geometry {
        input: [input.end.checked_sub(input.start)?, g.input[1]],
        output: [count, g.output[1]],
        pad: [g.pad[0].saturating_sub(top), g.pad[1]],
        ..*g
    };
    Some((input, geometry))
}

/// The first row, from `row` on, at which a piece can begin.
pub(crate) fn begins(upsample: bool, stride: usize, pad: usize, row: usize) -> usize {
    // A doubled input is cut between two pairs of its rows.
    let within = upsample && row > 0 && !(row * stride + pad).is_multiple_of(2) && row * stride > pad;
    row + usize::from(within)
}

/// Runs an integer convolution for the output rows `rows`; `None` where its memory does not fit, or the rows do not begin where a piece
/// [`begins`].
pub(crate) fn run(context: &Context<'_>, c: &Conv, rows: Range<usize>, r: &mut Regions<'_, '_>) -> Option<()> {
    let g = geometry(c, r);
    let (input, band) = band(&g, &rows)?;
    let mut all = NO_PARTS;
    let count = parts(&mut all, &c.source, r)?;
    let channels = all[0].channels + all[1].channels;
    let parts = all.get_mut(..count)?;
    for part in parts.iter_mut() {
        part.view = part.view.cut(elements(&input, g.input[1], part.channels))?;
    }
    let filter = &filter(context, c, super::Rows::ALL, &g, channels)?;
    let out = elements(&rows, g.output[1], g.outs);
    let add = cut_addition(addition(c, r)?, out.clone())?;
    let parts: &[InputPart<'_>] = parts;
    integer::conv(parts, &band, filter, add, r.scratch()?, &mut r.output()?.cut(out)?);
    Some(())
}

/// Elements of whole rows.
pub(super) fn elements(rows: &Range<usize>, cols: usize, channels: usize) -> Range<usize> {
    rows.start * cols * channels..rows.end * cols * channels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_begin_between_pairs_of_doubled_rows() {
        for (stride, pad) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 1)] {
            for row in 0..20 {
                assert_eq!(begins(false, stride, pad, row), row);
                let begins = begins(true, stride, pad, row);
                let first = (begins * stride).saturating_sub(pad);
                // A stride of 2 never reaches an even row from an odd one.
                assert!(first % 2 == 0 || stride == 2, "{stride} {pad} {row}");
                assert!((row..=row + 1).contains(&begins));
            }
        }
    }
}
