//! Any normalization, an element at a time, where there is no kernel for its numbers.

use core::ops::Range;

use super::{Input, Norm};
use crate::features::Feature;
use crate::tensor::view::ViewMut;

/// Normalizes some positions, the first to the front of `out`.
pub fn positions(input: &Input<'_>, norm: &Norm<'_>, factors: &[i32], range: Range<usize>, out: &mut ViewMut<'_>) {
    let mut at = 0;
    for position in range {
        for (channel, &factors) in factors.as_chunks().0.iter().enumerate() {
            // Calls where nothing but rare factors comes here.
            let often = Feature::ScaleShift.is_built();
            let q = if often {
                input.get(out, position, channel, norm.channels)
            } else {
                input.at(out, position, channel, norm.channels)
            };
            let y = norm.apply(q, factors, channel);
            if often {
                out.set(at, norm.out_requant.apply(y));
            } else {
                out.put(at, norm.out_requant.times(y));
            }
            at += 1;
        }
    }
}
