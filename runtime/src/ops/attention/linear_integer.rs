//! Linear attention in integers.
//!
//! A key's power is `e = 2^-(max t - t)` in Q16, with t in Q16 of log2 units; with `r = floor(2^46 / sum e)` its probability is `e r`
//! in Q23 (over positions there are many, so each is small). The context of a channel of keys and one of values is the sum of
//! probabilities times values: 16 bits where values are int8, so that sums fit an i32, else 25.

use super::integer::{TILE, normalize};
use super::linear::{LinearAttention, Parts};
use crate::family::{Family, Native};
use crate::numeric::exp2::exp2_neg_q16;
use crate::numeric::requant::{SmallRequant, saturate_i16};
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
    let (context, each) = scratch.split_at_mut_checked(a.depth * a.depth)?;
    match v {
        View::I8(v, _) => {
            let context: &mut [i16] = bytemuck::try_cast_slice_mut(context).ok()?;
            let context = context.get_mut(..a.depth * a.depth)?;
            heads::<Eight>(op, q, k, v, a, (context, each), out)
        }
        View::I16(v) => heads::<Sixteen>(op, q, k, v, a, (context, each), out),
        _ => None,
    }
}

/// What values of a width are summed in.
trait Sums {
    type Value: Copy + Into<i64>;
    type Context: Copy + Into<i64>;

    /// A context as it is held.
    fn held(v: i32) -> Self::Context;

    /// `sum p_j v_j` of four channels from the first of `v` on, `step` elements from one j to the next.
    fn weigh(p: &[i32], v: &[Self::Value], step: usize, sums: &mut [i64; TILE]);

    /// `sum p_d context_d`, likewise.
    fn read(p: &[i32], context: &[Self::Context], step: usize, sums: &mut [i64; TILE]);
}

/// int8 values, contexts of 16 bits.
struct Eight;

impl Sums for Eight {
    type Value = i8;
    type Context = i16;

    #[inline(always)]
    fn held(v: i32) -> i16 {
        saturate_i16(v)
    }

    #[inline(always)]
    fn weigh(p: &[i32], v: &[i8], step: usize, sums: &mut [i64; TILE]) {
        let mut narrow = [0; TILE];
        Native::weigh8(p, v, step, &mut narrow);
        *sums = narrow.map(i64::from);
    }

    #[inline(always)]
    fn read(p: &[i32], context: &[i16], step: usize, sums: &mut [i64; TILE]) {
        let mut narrow = [0; TILE];
        Native::weigh16(p, context, step, &mut narrow);
        *sums = narrow.map(i64::from);
    }
}

/// int16 values, contexts of 25 bits.
struct Sixteen;

impl Sums for Sixteen {
    type Value = i16;
    type Context = i32;

    #[inline(always)]
    fn held(v: i32) -> i32 {
        v.clamp(-(1 << 24), (1 << 24) - 1)
    }

    #[inline(always)]
    fn weigh(p: &[i32], v: &[i16], step: usize, sums: &mut [i64; TILE]) {
        wide(p, v, step, sums);
    }

    #[inline(always)]
    fn read(p: &[i32], context: &[i32], step: usize, sums: &mut [i64; TILE]) {
        wide(p, context, step, sums);
    }
}

fn wide<T: Copy + Into<i64>>(p: &[i32], v: &[T], step: usize, sums: &mut [i64; TILE]) {
    let [mut a, mut b, mut c, mut d] = *sums;
    let mut at = 0;
    for p in p {
        let Some(&[w, x, y, z]) = v.get(at..).and_then(|v| v.first_chunk()) else {
            break;
        };
        let p = i64::from(*p);
        a += p * w.into();
        b += p * x.into();
        c += p * y.into();
        d += p * z.into();
        at += step;
    }
    *sums = [a, b, c, d];
}

/// `sum p_j v_j` of one channel: where there are no four.
fn single<T: Copy + Into<i64>>(p: &[i32], v: &[T], step: usize) -> i64 {
    let weighted = p.iter().zip(v.iter().step_by(step));
    weighted.map(|(p, v)| i64::from(*p) * (*v).into()).sum()
}

fn heads<S: Sums>(
    op: &LinearAttention,
    q: &Operand<'_>,
    k: &View<'_>,
    v: &[S::Value],
    a: &Parts<'_>,
    (context, each): (&mut [S::Context], &mut [i32]),
    out: &mut ViewMut<'_>,
) -> Option<()> {
    let Parts { channels, depth, .. } = *a;
    let [query, key] = [op.query, op.key].map(SmallRequant::new);
    for first in (0..channels).step_by(depth.max(1)) {
        for (d, context) in context.chunks_exact_mut(depth).enumerate() {
            let powers = each.get_mut(..a.before() + a.keys)?;
            spread(&key, k, first + d, a, powers)?;
            let (own, given) = powers.split_at_checked(a.before())?;
            for (tile, context) in context.chunks_mut(TILE).enumerate() {
                let (mut sums, at) = ([0; TILE], first + tile * TILE);
                if context.len() == TILE {
                    S::weigh(given, v.get(at..)?, channels, &mut sums);
                } else {
                    for (i, sum) in sums.iter_mut().take(context.len()).enumerate() {
                        *sum = single(given, v.get(at + i..)?, channels);
                    }
                }
                for (i, (context, sum)) in context.iter_mut().zip(sums).enumerate() {
                    let more = match &a.rows {
                        Some((rows, table)) => rows.unit.apply(weighted(own, &table.values, at + i, channels)),
                        None => 0,
                    };
                    *context = S::held(op.context.apply(sum).saturating_add(more));
                }
            }
        }
        for at in (first..out.len()).step_by(channels) {
            let p = each.get_mut(..depth)?;
            // In place, a head of q is read before its outputs take its memory.
            let head = match q {
                Operand::Apart(q) => q.part(at..at + depth),
                Operand::InPlace { zero } => out.as_view().part(at..at + depth).with_zero(*zero),
            };
            let top = scores(&query, &head, 0, 1, p);
            normalize(p, top);
            for c in (0..depth).step_by(TILE) {
                let (mut sums, few) = ([0; TILE], (depth - c).min(TILE));
                if few == TILE {
                    S::read(p, context.get(c..)?, depth, &mut sums);
                } else {
                    for (i, sum) in sums.iter_mut().take(few).enumerate() {
                        *sum = single(p, context.get(c + i..)?, depth);
                    }
                }
                for (i, sum) in sums.iter().take(few).enumerate() {
                    out.set(at + c + i, op.out_requant.apply(*sum));
                }
            }
        }
    }
    Some(())
}

/// `sum p_j` times what the rows have in a channel.
#[inline(never)]
fn weighted(p: &[i32], rows: &View<'_>, channel: usize, channels: usize) -> i64 {
    let weighted = p.iter().enumerate();
    weighted
        .map(|(j, p)| i64::from(*p) * i64::from(rows.get(j * channels + channel)))
        .sum()
}

/// Elements from `first` on, `step` apart, to Q16 in units of log2; the largest.
#[inline(never)]
fn scores(factor: &SmallRequant, from: &View<'_>, first: usize, step: usize, to: &mut [i32]) -> i32 {
    let mut top = i32::MIN;
    let mut each = |to: &mut i32, q: i32| {
        *to = factor.apply(q);
        top = top.max(*to);
    };
    match from {
        View::I8(from, zero) => {
            let from = from.get(first..).unwrap_or_default().iter().step_by(step);
            to.iter_mut()
                .zip(from)
                .for_each(|(to, q)| each(to, i32::from(*q) - zero));
        }
        View::I16(from) => {
            let from = from.get(first..).unwrap_or_default().iter().step_by(step);
            to.iter_mut().zip(from).for_each(|(to, q)| each(to, (*q).into()));
        }
        _ => {}
    }
    top
}

/// Probabilities of a channel's keys over rows and positions, Q23.
#[inline(never)]
fn spread(key: &SmallRequant, k: &View<'_>, channel: usize, a: &Parts<'_>, powers: &mut [i32]) -> Option<()> {
    let (own, given) = powers.split_at_mut_checked(a.before())?;
    let mut top = scores(key, k, channel, a.channels, given);
    if let Some((rows, table)) = &a.rows {
        for (j, t) in own.iter_mut().enumerate() {
            *t = rows.score.apply(table.keys.get(j * a.channels + channel).into());
            top = top.max(*t);
        }
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
        // Times 2^9, so that the shift by 23 is the product's high word.
        *t = ((u64::from((*t as u32) << 9) * u64::from(reciprocal) + (1 << 31)) >> 32) as i32;
    }
    Some(())
}
