//! Attention over other positions than the queries', and over constant rows.

use serde::{Deserialize, Serialize};

use super::integer::{self, Heads, TILE};
use super::rows::{Rows, Table};
use crate::error::Fault;
use crate::features::Feature;
use crate::numeric::float::{exp_f32, load, store};
use crate::numeric::requant::{Requant, WideRequant};
use crate::ops::check::{Check, Checker};
use crate::ops::reader::Reader;
use crate::ops::{Call, Context, Operator};
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::view::{Operand, View, ViewMut};
use crate::tensor::{Tensor, TensorId};

/// `softmax(q k^T / sqrt(d)) v` (Vaswani et al. 2017, equation 1) with any number of keys, a row of scores at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CrossAttention {
    /// Queries.
    pub q: TensorId,
    /// Keys.
    pub k: TensorId,
    /// Values, of the keys' extents.
    pub v: TensorId,
    /// Output; may be the queries' own memory.
    pub out: TensorId,
    /// Scratch: one row of scores.
    pub scratch: TensorId,
    /// Divides the channels.
    pub heads: u16,
    /// From the dot product to Q16 in units of log2 (integer models).
    pub score: WideRequant,
    /// From Q15 probabilities times v to the output's scale.
    pub out_requant: Requant,
    /// `1 / sqrt(d)` (f16 models).
    pub scale: f32,
    /// Keys and values before those of the inputs.
    pub rows: Option<Rows>,
}

impl CrossAttention {
    /// Scratch bytes over so many keys, rows among them: one 32-bit score each.
    pub fn scratch_bytes_of(keys: usize) -> usize {
        keys * 4
    }
}

#[inline(never)]
fn read(r: &mut Reader<'_>) -> CrossAttention {
    CrossAttention {
        q: r.tensor(),
        k: r.tensor(),
        v: r.tensor(),
        out: r.tensor(),
        scratch: r.tensor(),
        heads: r.u16(),
        score: r.wide_requant(),
        out_requant: r.requant(),
        scale: r.f32(),
        rows: Rows::read(r),
    }
}

impl Operator for CrossAttention {
    const NAME: &'static str = "cross_attention";
    const FEATURE: Option<Feature> = Some(Feature::CrossAttention);

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        read(r)
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        let [q, k, v] = [self.q, self.k, self.v].map(Some);
        slots.tensors = [Some(self.out), Some(self.scratch), None, q, k, v];
        slots.in_place = slot::FIRST;
    }

    #[inline(never)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let [out, _, _, q, k, v] = &checker.tensors;
        checker.alike(q, out)?;
        checker.alike(k, v)?;
        checker.same(q.channels.into(), k.channels.into())?;
        checker.ensure([q, k, v].iter().all(|t| t.zero_point == 0), Fault::ZeroPoint)?;
        let fits = self.heads > 0 && q.channels.is_multiple_of(self.heads);
        checker.ensure(fits, Fault::Parameter)?;
        checker.ensure(
            k.positions() + Rows::count(self.rows.as_ref()) <= 1 << 15,
            Fault::Parameter,
        )?;
        checker.finite(self.scale)?;
        // |q k^T| <= head_dim * 2^30 stays below the 2^40 that a wide factor takes.
        checker.ensure(q.channels / self.heads < 1 << 10, Fault::Accumulator(0))?;
        checker.ensure(self.score.is_valid(), Fault::Requant)?;
        checker.requant(self.out_requant)?;
        match &self.rows {
            Some(rows) => rows.check(q.channels.into(), checker),
            None => Some(()),
        }
    }

    #[inline(always)]
    fn scratch_bytes(&self, _: bool, tensors: &[Tensor; slot::COUNT]) -> usize {
        Self::scratch_bytes_of(tensors[slot::SECOND].positions() + Rows::count(self.rows.as_ref()))
    }

    #[inline(never)]
    fn run_integer(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (q, keys) = (r.operand(slot::FIRST)?, r.tensor(slot::SECOND).positions());
        let (k, v) = (r.view(slot::SECOND)?, r.view(slot::THIRD)?);
        let a = Heads {
            heads: self.heads.into(),
            channels: r.out().channels.into(),
            positions: r.out().positions(),
            score: self.score,
            out_requant: self.out_requant,
        };
        let rows = match &self.rows {
            Some(rows) => Some((rows, rows.table(a.channels, context)?)),
            None => None,
        };
        let scores = r.scratch()?.get_mut(..keys + Rows::count(self.rows.as_ref()))?;
        attend(&q, [&k, &v], rows, &a, scores, &mut r.output()?)
    }

    #[inline(never)]
    fn run_f16(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let (q, keys) = (r.operand(slot::FIRST)?, r.tensor(slot::SECOND).positions());
        let (k, v) = (r.view(slot::SECOND)?, r.view(slot::THIRD)?);
        let (channels, heads) = (usize::from(r.out().channels), usize::from(self.heads));
        let rows = match &self.rows {
            Some(rows) => Some(rows.table(channels, context)?),
            None => None,
        };
        let scores = r.scratch()?.get_mut(..keys + Rows::count(self.rows.as_ref()))?;
        attend_f16(
            &q,
            [&k, &v],
            rows.as_ref(),
            [channels, channels / heads.max(1)],
            self.scale,
            scores,
            &mut r.output()?,
        )
    }
}

/// In integers, as [`integer::attention`]; `scores` holds a word a key, those of the rows first.
fn attend(
    q: &Operand<'_>,
    [k, v]: [&View<'_>; 2],
    rows: Option<(&Rows, Table<'_>)>,
    a: &Heads,
    scores: &mut [i32],
    out: &mut ViewMut<'_>,
) -> Option<()> {
    let depth = a.channels / a.heads;
    let before = Rows::count(rows.map(|(rows, _)| rows));
    for at in (0..a.positions * a.channels).step_by(depth) {
        let (first, head) = (at % a.channels, at..at + depth);
        // In place, a head of q is read before its outputs take its memory.
        let q = match q {
            Operand::Apart(q) => q.part(head),
            Operand::InPlace { zero } => out.as_view().part(head).with_zero(*zero),
        };
        let (own, given) = scores.split_at_mut_checked(before)?;
        let mut top = integer::score(&q, k, first, a, given);
        if let Some((rows, table)) = &rows {
            let a = Heads {
                score: rows.score,
                ..*a
            };
            top = top.max(integer::score(&q, &table.keys, first, &a, own));
        }
        integer::normalize(scores, top);
        let (own, given) = scores.split_at_checked(before)?;
        for channel in (0..depth).step_by(TILE) {
            let (mut sums, mut more) = ([0; TILE], [0; TILE]);
            let few = (depth - channel).min(TILE);
            integer::weigh(given, v, first + channel, a.channels, sums.get_mut(..few)?);
            if let Some((rows, table)) = &rows {
                integer::weigh(own, &table.values, first + channel, a.channels, more.get_mut(..few)?);
                for (sum, more) in sums.iter_mut().zip(more) {
                    *sum = sum.saturating_add(rows.unit.apply(more.into()));
                }
            }
            for (i, sum) in sums.iter().take(few).enumerate() {
                out.set(at + channel + i, a.out_requant.apply(*sum));
            }
        }
    }
    Some(())
}

/// In f16: sums run over channels, and over keys with the rows first.
fn attend_f16(
    q: &Operand<'_>,
    [k, v]: [&View<'_>; 2],
    rows: Option<&Table<'_>>,
    [channels, depth]: [usize; 2],
    scale: f32,
    scores: &mut [f32],
    out: &mut ViewMut<'_>,
) -> Option<()> {
    let before = rows.map_or(0, |rows| rows.keys.len() / channels.max(1));
    let of = |own: Option<&View<'_>>, given: &View<'_>, j: usize, channel: usize| {
        let bits = match own {
            Some(own) if j < before => own.get(j * channels + channel),
            _ => given.get((j - before) * channels + channel),
        };
        load(bits as u16)
    };
    let (keys, values) = (rows.map(|rows| &rows.keys), rows.map(|rows| &rows.values));
    for at in (0..out.len()).step_by(depth.max(1)) {
        let first = at % channels;
        let mut top = f32::NEG_INFINITY;
        for (j, score) in scores.iter_mut().enumerate() {
            let mut dot = 0.0;
            for c in 0..depth {
                dot += load(q.get(out, at + c) as u16) * of(keys, k, j, first + c);
            }
            *score = dot * scale;
            top = if *score > top { *score } else { top };
        }
        let mut total = 0.0;
        for score in scores.iter_mut() {
            *score = exp_f32(*score - top);
            total += *score;
        }
        for c in 0..depth {
            let mut sum = 0.0;
            for (j, &weight) in scores.iter().enumerate() {
                sum += weight * of(values, v, j, first + c);
            }
            out.set(at + c, store(sum / total));
        }
    }
    Some(())
}
