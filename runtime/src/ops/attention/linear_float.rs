//! Linear attention in f16. Sums run over keys, rows first, and over channels in order.

use super::linear::Parts;
use crate::numeric::float::{exp_f32, load, store};
use crate::tensor::view::{Operand, View, ViewMut};

/// Runs it; `scratch` holds the context of a head, then a number a key or channel.
pub fn attend(
    scale: f32,
    q: &Operand<'_>,
    [k, v]: [&View<'_>; 2],
    a: &Parts<'_>,
    scratch: &mut [f32],
    out: &mut ViewMut<'_>,
) -> Option<()> {
    let Parts { channels, depth, .. } = *a;
    let (context, each) = scratch.split_at_mut_checked(depth * depth)?;
    let before = a.before();
    let of = |own: Option<&View<'_>>, given: &View<'_>, j: usize, channel: usize| {
        let bits = match own {
            Some(own) if j < before => own.get(j * channels + channel),
            _ => given.get((j - before) * channels + channel),
        };
        load(bits as u16)
    };
    let (keys, values) = match &a.rows {
        Some((_, table)) => (Some(&table.keys), Some(&table.values)),
        None => (None, None),
    };
    for first in (0..channels).step_by(depth.max(1)) {
        for (d, context) in context.chunks_exact_mut(depth).enumerate() {
            let powers = each.get_mut(..before + a.keys)?;
            for (j, power) in powers.iter_mut().enumerate() {
                *power = of(keys, k, j, first + d);
            }
            let total = exponentials(powers);
            for (c, context) in context.iter_mut().enumerate() {
                let mut sum = 0.0;
                for (j, &power) in powers.iter().enumerate() {
                    sum += power * of(values, v, j, first + c);
                }
                *context = sum / total;
            }
        }
        for at in (first..out.len()).step_by(channels) {
            let powers = each.get_mut(..depth)?;
            for (d, power) in powers.iter_mut().enumerate() {
                *power = load(q.get(out, at + d) as u16);
            }
            let total = exponentials(powers);
            for c in 0..depth {
                let mut sum = 0.0;
                for (power, context) in powers.iter().zip(context.chunks_exact(depth)) {
                    sum += power * context.get(c)?;
                }
                out.set(at + c, store(sum / total * scale));
            }
        }
    }
    Some(())
}

/// Exponentials of the distances from the largest, in place, and their sum.
fn exponentials(values: &mut [f32]) -> f32 {
    let mut top = f32::NEG_INFINITY;
    for value in values.iter() {
        top = if *value > top { *value } else { top };
    }
    let mut total = 0.0;
    for value in values.iter_mut() {
        *value = exp_f32(*value - top);
        total += *value;
    }
    total
}
