//! One way for every shape, number format and factor, in as little code as that takes: what is there without the part `fast`.
//!
//! A column holds its taps in the order of the weights. Where the family takes several at once and the scratch memory has room
//! for them, they lie one after the other.

use crate::family::compact::{LANES, add_dots8, dot16, widen8};
use crate::family::padded;
use crate::family::{Addition, Filter, InputPart};
use crate::features::Feature;
use crate::numeric::requant::{WideRequant, add_guarded, saturate_i8, saturate_i16};
use crate::ops::conv::Geometry;
use crate::ops::conv::proof::wide_bias;
use crate::tensor::int4;
use crate::tensor::view::{View, ViewMut};

/// Runs the convolution. `scratch` holds at least a padded column.
pub fn conv(
    parts: &[InputPart<'_>],
    g: &Geometry,
    filter: &Filter<'_>,
    add: Option<Addition<'_>>,
    scratch: &mut [i16],
    out: &mut ViewMut<'_>,
) {
    let row = padded(g.kernel.area() * parts.iter().map(|p| p.channels).sum::<usize>());
    let lanes = if scratch.len() < LANES * row { 1 } else { LANES };
    let Some(columns) = scratch.get_mut(..lanes * row) else {
        return;
    };
    // The taps that pad a row stay zero.
    columns.fill(0);
    let positions = g.output[0] * g.output[1];
    let (mut first, mut at) = (0, [0; 2]);
    while first < positions {
        for column in columns.chunks_exact_mut(row.max(1)) {
            gather(parts, g, at, column);
            at[1] += 1;
            if at[1] == g.output[1] {
                at = [at[0] + 1, 0];
            }
        }
        let count = lanes.min(positions - first);
        for channel in 0..g.outs {
            let mut values = [0; LANES];
            filter.apply(channel, row, columns, &mut values);
            let values = values.get_mut(..count).unwrap_or_default();
            let at = first * g.pitch() + channel;
            if let Some(add) = &add {
                let (at, step) = if add.broadcast { (channel, 0) } else { (at, g.pitch()) };
                add.apply(at, step, values, out);
            }
            store(values, at, g.pitch(), out);
        }
        first += lanes;
    }
}

/// Fills a column with the input under the kernel at an output position.
fn gather(parts: &[InputPart<'_>], g: &Geometry, at: [usize; 2], column: &mut [i16]) {
    // Row or column of the stored input under that of the kernel; above all of them where there is none.
    let under = |axis: usize, kernel: usize| {
        (at[axis] * g.stride.axis(axis) + kernel).wrapping_sub(g.pad[axis]) >> u32::from(g.upsample)
    };
    // Neighbours in a row of one tensor are neighbours in memory.
    let together = parts.len() == 1 && !g.upsample;
    let mut rest = column;
    for y in 0..g.kernel.rows() {
        let y = under(0, y);
        let mut done = 0;
        while done < g.kernel.cols() {
            let x = under(1, done);
            let inside = y < g.input[0] && x < g.input[1];
            let count = if together && inside {
                (g.kernel.cols() - done).min(g.input[1] - x)
            } else {
                1
            };
            for part in parts {
                let Some((to, after)) = rest.split_at_mut_checked(count * part.channels) else {
                    return;
                };
                if inside {
                    part.join((y * g.input[1] + x) * part.channels, to);
                } else {
                    to.fill(0);
                }
                rest = after;
            }
            done += count;
        }
    }
}

impl InputPart<'_> {
    /// The elements from `at` on; of a concatenation, on the common scale.
    #[inline(never)]
    pub fn join(&self, at: usize, to: &mut [i16]) {
        match self.view {
            View::I8(data, zero) => {
                widen8(data.get(at..).unwrap_or_default(), zero, to);
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
    /// Accumulators of a channel with every column, times its factor. `None` where a table is too short, which parsing rules out.
    #[inline(never)]
    fn apply(&self, channel: usize, row: usize, columns: &[i16], values: &mut [i32; LANES]) -> Option<()> {
        let step = if columns.len() > row { row } else { 0 };
        let part = channel * row..(channel + 1) * row;
        let (mult, shift) = match *self {
            Self::W8 {
                data,
                bias,
                mult,
                shift,
            } => {
                *values = [*bias.get(channel)?; LANES];
                add_dots8(data.get(part)?, columns, step, values);
                (mult, shift)
            }
            Self::W4 {
                data,
                bias,
                mult,
                shift,
            } if Feature::W4.is_built() => {
                *values = [*bias.get(channel)?; LANES];
                let words = int4::row_words(row);
                let words = data.get(channel * words..)?.iter().take(words);
                for (at, &word) in (0..row).step_by(int4::TAPS).zip(words) {
                    let unpacked: [u32; 2] = bytemuck::cast(int4::unpack(word));
                    let taps = int4::TAPS.min(row - at);
                    add_dots8(
                        &bytemuck::cast_slice(&unpacked)[..taps],
                        columns.get(at..)?,
                        step,
                        values,
                    );
                }
                (mult, shift)
            }
            Self::W16 {
                data,
                bias,
                mult,
                shift,
            } if Feature::W16.is_built() => {
                let bias = wide_bias(*bias.get(channel)?);
                let factor = wide(mult, shift, channel)?;
                let weights = data.get(part)?;
                for (lane, value) in values.iter_mut().enumerate() {
                    *value = factor.apply(bias + dot16(weights, columns.get(lane * step..)?));
                }
                return Some(());
            }
            // No model with such weights exists where the part is left out.
            Self::W4 { .. } | Self::W16 { .. } => return None,
        };
        // Of accumulators of 32 bits it has more bits than a wide one, and their product fits 64 as well.
        let factor = wide(mult, shift, channel)?;
        for value in values {
            *value = factor.apply((*value).into());
        }
        Some(())
    }
}

/// The factor of a channel.
#[inline(always)]
fn wide(mult: &[i32], shift: &[u8], channel: usize) -> Option<WideRequant> {
    let (mult, shift) = (*mult.get(channel)?, *shift.get(channel)?);
    Some(WideRequant { mult, shift })
}

impl Addition<'_> {
    /// Adds the terms from element `at` on, `step` elements apart.
    #[inline(never)]
    fn apply(&self, mut at: usize, step: usize, values: &mut [i32], out: &ViewMut<'_>) {
        let mut term = 0;
        for (lane, value) in values.iter_mut().enumerate() {
            if lane == 0 || step > 0 {
                term = self.requant.apply(self.operand.at(out, at));
            }
            *value = add_guarded(*value, term);
            at += step;
        }
    }
}

/// Stores outputs `step` elements apart.
#[inline(never)]
fn store(values: &[i32], at: usize, step: usize, out: &mut ViewMut<'_>) {
    match out {
        ViewMut::I8(data, zero) => each(values, data, at, step, |v| saturate_i8(v.saturating_add(*zero))),
        ViewMut::I16(data) => each(values, data, at, step, saturate_i16),
        ViewMut::Q24(data) => each(values, data, at, step, |v| v),
        ViewMut::F16(_) => {}
    }
}

#[inline(always)]
fn each<T>(values: &[i32], data: &mut [T], mut at: usize, step: usize, f: impl Fn(i32) -> T) {
    for value in values {
        if let Some(to) = data.get_mut(at) {
            *to = f(*value);
        }
        at += step;
    }
}
