//! One way for every shape, number format and factor, in as little code as that takes: what is there without the part `fast`.
//!
//! A column holds its taps in the order of the weights. Where the family takes several at once and the scratch memory has room
//! for them, they lie one after the other.

use super::{Addition, Filter, Geometry, Part};
use crate::blob::int4;
use crate::blob::proof::wide_bias;
use crate::features::Feature;
use crate::kernels::family::compact::{LANES, add_dots8, add_dots16};
use crate::kernels::family::padded;
use crate::kernels::view::{View, ViewMut};
use crate::numeric::requant::{WideRequant, add_guarded, saturate_i16};

/// Runs the convolution. `scratch` holds at least a padded column.
pub fn conv(
    parts: &[Part<'_>],
    g: &Geometry,
    filter: &Filter<'_>,
    add: Option<Addition<'_>>,
    scratch: &mut [i16],
    out: &mut ViewMut<'_>,
) {
    let row = padded(g.kernel * g.kernel * parts.iter().map(|p| p.channels).sum::<usize>());
    let lanes = if scratch.len() < LANES * row { 1 } else { LANES };
    let Some(columns) = scratch.get_mut(..lanes * row) else {
        return;
    };
    // The taps that pad a row stay zero.
    columns.fill(0);
    let positions = g.output[0] * g.output[1];
    let (mut first, mut at) = (0, [0; 2]);
    while first < positions {
        for column in columns.chunks_exact_mut(row) {
            gather(parts, g, at, column);
            at[1] += 1;
            if at[1] == g.output[1] {
                at = [at[0] + 1, 0];
            }
        }
        for channel in 0..g.outs {
            let (sums, factor) = filter.sums(channel, row, columns);
            for (position, sum) in (first..positions).zip(sums).take(lanes) {
                let at = position * g.outs + channel;
                let mut value = factor.apply(sum);
                if let Some(term) = &add {
                    let q = term.operand.at(out, if term.broadcast { channel } else { at });
                    value = add_guarded(value, term.requant.apply(q));
                }
                out.put(at, value);
            }
        }
        first += lanes;
    }
}

/// Fills a column with the input under the kernel at an output position.
fn gather(parts: &[Part<'_>], g: &Geometry, at: [usize; 2], column: &mut [i16]) {
    // Row or column of the stored input under that of the kernel; above all of them where there is none.
    let under = |axis: usize, kernel: usize| {
        (at[axis] * g.stride + kernel).wrapping_sub(g.pad[axis]) >> u32::from(g.upsample)
    };
    let mut rest = column;
    for y in 0..g.kernel {
        let y = under(0, y);
        for x in 0..g.kernel {
            let x = under(1, x);
            let inside = y < g.input[0] && x < g.input[1];
            for part in parts {
                let Some((to, after)) = rest.split_at_mut_checked(part.channels) else {
                    return;
                };
                if inside {
                    part.join((y * g.input[1] + x) * part.channels, to);
                } else {
                    to.fill(0);
                }
                rest = after;
            }
        }
    }
}

impl Part<'_> {
    /// The elements from `at` on; of a concatenation, on the common scale.
    #[inline(never)]
    pub fn join(&self, at: usize, to: &mut [i16]) {
        match self.view {
            View::I8(data, zero) => {
                for (to, &q) in to.iter_mut().zip(data.get(at..).unwrap_or_default()) {
                    *to = i16::from(q) - zero as i16;
                }
            }
            View::I16(data) => {
                for (to, &q) in to.iter_mut().zip(data.get(at..).unwrap_or_default()) {
                    *to = q;
                }
            }
            View::F16(_) | View::Q24(_) => {}
        }
        if let Some(requant) = &self.requant {
            for to in to {
                *to = saturate_i16(requant.apply((*to).into()));
            }
        }
    }
}

impl Filter<'_> {
    /// Accumulators of a channel with every column, and their factor. A factor of 32-bit accumulators is none but that a wide
    /// one has fewer bits: the product fits 64 bits as well.
    #[inline(always)]
    fn sums(&self, channel: usize, row: usize, columns: &[i16]) -> ([i64; LANES], WideRequant) {
        let step = if columns.len() > row { row } else { 0 };
        let part = channel * row..(channel + 1) * row;
        let (mut sums, mut narrow) = ([0; LANES], [0; LANES]);
        let (mult, shift) = match *self {
            Self::W8 {
                data,
                bias,
                mult,
                shift,
            } => {
                narrow = [bias[channel]; LANES];
                add_dots8(&data[part], columns, step, &mut narrow);
                (mult, shift)
            }
            Self::W4 {
                data,
                bias,
                mult,
                shift,
            } if Feature::W4.is_built() => {
                narrow = [bias[channel]; LANES];
                let words = int4::row_words(row);
                let words = &data[channel * words..][..words];
                for (at, &word) in (0..row).step_by(int4::TAPS).zip(words) {
                    let unpacked: [u32; 2] = bytemuck::cast(int4::unpack(word));
                    let taps = int4::TAPS.min(row - at);
                    add_dots8(&bytemuck::cast_slice(&unpacked)[..taps], &columns[at..], step, &mut narrow);
                }
                (mult, shift)
            }
            Self::W16 {
                data,
                bias,
                mult,
                shift,
            } if Feature::W16.is_built() => {
                sums = [wide_bias(bias[channel]); LANES];
                add_dots16(&data[part], columns, step, &mut sums);
                (mult, shift)
            }
            // No model with such weights exists where the part is left out.
            Self::W4 { mult, shift, .. } | Self::W16 { mult, shift, .. } => (mult, shift),
        };
        for (sum, narrow) in sums.iter_mut().zip(narrow) {
            *sum += i64::from(narrow);
        }
        let (mult, shift) = (mult[channel], shift[channel]);
        (sums, WideRequant { mult, shift })
    }
}
