//! Linear attention in integers.
//!
//! A key's power is `e = 2^-(max t - t)` in Q16, with t in Q16 of log2 units; with `r = floor(2^46 / sum e)` its probability is `e r`
//! in Q23 (over positions there are many, so each is small). The context of a channel of keys and one of values is the sum of
//! probabilities times values: 16 bits where values are int8, so that sums fit an i32, else 25.

use super::integer::{TILE, normalize};
use super::linear::{LinearAttention, Parts};
use crate::numeric::exp2::exp2_neg_q16;
use crate::tensor::view::{Operand, View, ViewMut};

/// Runs it; `scratch` holds the context of a head, then a word a key or channel. The zero point of v is 0.
pub fn attend(
    op: &LinearAttention,
    q: &Operand<'_>,
    [k, v]: [&View<'_>; 2],
    a: &Parts<'_>,
    scratch: &mut [i32],
    out: &mut ViewMut<'_>,
) -> Option<()> {
    let Parts { channels, depth, .. } = *a;
    let (context, each) = scratch.split_at_mut_checked(depth * depth)?;
    let narrow = matches!(v, View::I8(..));
    let limit = if narrow { 1 << 15 } else { 1 << 24 };
    for first in (0..channels).step_by(depth.max(1)) {
        for (d, context) in context.chunks_exact_mut(depth).enumerate() {
            let powers = each.get_mut(..a.before() + a.keys)?;
            spread(op, k, first + d, a, powers)?;
            let (own, given) = powers.split_at_checked(a.before())?;
            for (c, context) in context.chunks_mut(TILE).enumerate() {
                let (mut sums, mut more, at) = ([0; TILE], [0; TILE], first + c * TILE);
                weigh(given, v, at, channels, sums.get_mut(..context.len())?);
                if let Some((rows, table)) = &a.rows {
                    weigh(own, &table.values, at, channels, more.get_mut(..context.len())?);
                    more.iter_mut().for_each(|v| *v = rows.unit.apply(*v).into());
                }
                for (context, (sum, more)) in context.iter_mut().zip(sums.iter().zip(more)) {
                    let sum = op.context.apply(*sum).saturating_add(more as i32);
                    *context = sum.clamp(-limit, limit - 1);
                }
            }
        }
        for at in (first..out.len()).step_by(channels) {
            let p = each.get_mut(..depth)?;
            let mut top = i32::MIN;
            for (c, p) in p.iter_mut().enumerate() {
                *p = op.query.apply(q.get(out, at + c));
                top = top.max(*p);
            }
            normalize(p, top);
            for c in (0..depth).step_by(TILE) {
                let mut sums = [0; TILE];
                let few = sums.get_mut(..(depth - c).min(TILE))?;
                read(p, context, [c, depth], few, narrow);
                for (i, sum) in few.iter().enumerate() {
                    out.set(at + c + i, op.out_requant.apply(*sum));
                }
            }
        }
    }
    Some(())
}

/// Probabilities of a channel's keys over rows and positions, Q23.
#[inline(never)]
fn spread(op: &LinearAttention, k: &View<'_>, channel: usize, a: &Parts<'_>, powers: &mut [i32]) -> Option<()> {
    let (own, given) = powers.split_at_mut_checked(a.before())?;
    let mut top = i32::MIN;
    if let Some((rows, table)) = &a.rows {
        for (j, t) in own.iter_mut().enumerate() {
            *t = rows.score.apply(table.keys.get(j * a.channels + channel).into());
            top = top.max(*t);
        }
    }
    for (j, t) in given.iter_mut().enumerate() {
        *t = op.key.apply(k.get(j * a.channels + channel));
        top = top.max(*t);
    }
    let mut total = 0u64;
    for t in powers.iter_mut() {
        let power = exp2_neg_q16(top.abs_diff(*t));
        total += u64::from(power);
        *t = power as i32;
    }
    // The largest power is 1, so the reciprocal has at most 30 bits.
    let reciprocal = ((1u64 << 46) / total.max(1 << 16)) as u32;
    for t in powers.iter_mut() {
        *t = ((u64::from(*t as u32) * u64::from(reciprocal) + (1 << 22)) >> 23) as i32;
    }
    Some(())
}

/// Adds `sum p_j v_j` for a few channels from `first` on: below 2^31 where v is int8, below 2^39 else.
fn weigh(p: &[i32], v: &View<'_>, first: usize, channels: usize, sums: &mut [i64]) {
    if let (View::I8(v, _), Ok(sums)) = (v, <&mut [i64; TILE]>::try_from(&mut *sums)) {
        let mut narrow = [0; TILE];
        for (p, v) in p.iter().zip(v.get(first..).unwrap_or_default().chunks(channels)) {
            for (sum, v) in narrow.iter_mut().zip(v) {
                *sum += p * i32::from(*v);
            }
        }
        *sums = narrow.map(i64::from);
        return;
    }
    for (i, sum) in sums.iter_mut().enumerate() {
        let weighted = p.iter().enumerate();
        *sum = weighted
            .map(|(j, p)| i64::from(*p) * i64::from(v.get(j * channels + first + i)))
            .sum();
    }
}

/// `sum p_d context_d` for a few channels from `c` on; below 2^31 where the context has 16 bits.
#[inline(always)]
fn read(p: &[i32], context: &[i32], [c, depth]: [usize; 2], sums: &mut [i64], narrow: bool) {
    for (p, context) in p.iter().zip(context.chunks_exact(depth)) {
        for (sum, context) in sums.iter_mut().zip(context.get(c..).unwrap_or_default()) {
            *sum += if narrow {
                i64::from(p * context)
            } else {
                i64::from(*p) * i64::from(*context)
            };
        }
    }
}
