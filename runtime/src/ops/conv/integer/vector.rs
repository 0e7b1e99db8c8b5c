//! Outputs at a single position, that of a vector: rows of int8 weights, two at a time.

use crate::family::{Family, Filter, Native, Rows};
use crate::numeric::requant::{Requant, saturate_i8, saturate_i16};
use crate::tensor::view::ViewMut;

/// Outputs that are held at once.
const BLOCK: usize = 32;

/// Computes and stores all outputs; `None` where the memory does not fit. With [`Family::VECTORS`].
#[inline(never)]
pub fn outputs(filter: &Filter<'_>, column: &[i16], out: &mut ViewMut<'_>) -> Option<()> {
    let Filter::W8 {
        data,
        bias,
        mult,
        shift,
    } = *filter
    else {
        return None;
    };
    let row = column.len();
    let mut sums = [0; BLOCK];
    for first in (0..bias.len()).step_by(BLOCK) {
        let channels = first..bias.len().min(first + BLOCK);
        let rows = Rows {
            first,
            weights: data.get(first * row..channels.end * row)?,
            row,
            bias: bias.get(channels.clone())?,
            mult: mult.get(channels.clone())?,
            shift: shift.get(channels.clone())?,
        };
        let sums = sums.get_mut(..channels.len())?;
        Native::vector8(&rows, column, sums);
        let factors = rows.mult.iter().zip(rows.shift);
        let outputs = sums
            .iter()
            .zip(factors)
            .map(|(&sum, (&mult, &shift))| Requant { mult, shift }.apply(sum));
        match out {
            ViewMut::I8(data, zero) => {
                for (to, value) in data.get_mut(channels)?.iter_mut().zip(outputs) {
                    *to = saturate_i8(value.saturating_add(*zero));
                }
            }
            ViewMut::I16(data) => {
                for (to, value) in data.get_mut(channels)?.iter_mut().zip(outputs) {
                    *to = saturate_i16(value);
                }
            }
            ViewMut::Q24(data) => {
                for (to, value) in data.get_mut(channels)?.iter_mut().zip(outputs) {
                    *to = value;
                }
            }
            ViewMut::F16(_) => return None,
        }
    }
    Some(())
}
