//! Linear attention: its cost grows with the number of positions and not with its square.

use serde::{Deserialize, Serialize};

use super::rows::{Rows, Table};
use super::{linear_float, linear_integer};
use crate::error::Fault;
use crate::features::Feature;
use crate::numeric::requant::{Requant, WideRequant};
use crate::ops::check::{Check, Checker};
use crate::ops::reader::Reader;
use crate::ops::{Call, Context, Operator};
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::{Tensor, TensorId};

/// `softmax_depth(q) scale (softmax_positions(k)^T v)` (Shen et al. 2018, section 3.2), a head after the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LinearAttention {
    /// Queries.
    pub q: TensorId,
    /// Keys, of any positions.
    pub k: TensorId,
    /// Values, of the keys' extents.
    pub v: TensorId,
    /// Output; may be the queries' own memory.
    pub out: TensorId,
    /// Scratch: the context of a head, and a word a key or channel.
    pub scratch: TensorId,
    /// Divides the channels.
    pub heads: u16,
    /// From queries to Q16 in units of log2 (integer models).
    pub query: Requant,
    /// From keys to Q16 in units of log2.
    pub key: Requant,
    /// From Q23 probabilities times v to the context.
    pub context: WideRequant,
    /// From Q15 probabilities times the context to the output.
    pub out_requant: WideRequant,
    /// Factor of the result (f16 models).
    pub scale: f32,
    /// Keys and values before those of the inputs.
    pub rows: Option<Rows>,
}

impl LinearAttention {
    /// Scratch bytes of heads of `depth` channels over so many keys, rows among them.
    pub fn scratch_bytes_of(depth: usize, keys: usize) -> usize {
        (depth * depth + keys.max(depth)) * 4
    }
}

/// What either body is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    /// Channels, and those of a head.
    pub channels: usize,
    pub depth: usize,
    /// Keys, without rows.
    pub keys: usize,
    /// Constant rows.
    pub rows: Option<(&'a Rows, Table<'a>)>,
}

impl Parts<'_> {
    /// Constant rows, or none.
    pub fn before(&self) -> usize {
        Rows::count(self.rows.map(|(rows, _)| rows))
    }
}

#[inline(never)]
fn read(r: &mut Reader<'_>) -> LinearAttention {
    LinearAttention {
        q: r.tensor(),
        k: r.tensor(),
        v: r.tensor(),
        out: r.tensor(),
        scratch: r.tensor(),
        heads: r.u16(),
        query: r.requant(),
        key: r.requant(),
        context: r.wide_requant(),
        out_requant: r.wide_requant(),
        scale: r.f32(),
        rows: Rows::read(r),
    }
}

impl LinearAttention {
    fn parts<'a>(&'a self, context: &Context<'a>, r: &Regions<'_, '_>) -> Option<Parts<'a>> {
        let channels = usize::from(r.out().channels);
        let rows = match &self.rows {
            Some(rows) => Some((rows, rows.table(channels, context)?)),
            None => None,
        };
        Some(Parts {
            channels,
            depth: channels / usize::from(self.heads).max(1),
            keys: r.tensor(slot::SECOND).positions(),
            rows,
        })
    }
}

impl Operator for LinearAttention {
    const NAME: &'static str = "linear_attention";
    const FEATURE: Option<Feature> = Some(Feature::LinearAttention);

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
        checker.ensure(v.zero_point == 0, Fault::ZeroPoint)?;
        let fits = self.heads > 0 && q.channels.is_multiple_of(self.heads);
        checker.ensure(fits, Fault::Parameter)?;
        let keys = k.positions() + Rows::count(self.rows.as_ref());
        checker.ensure(keys <= 1 << 15, Fault::Parameter)?;
        checker.ensure(q.channels / self.heads < 1 << 10, Fault::Accumulator(0))?;
        checker.finite(self.scale)?;
        checker.ensure(self.context.is_valid() && self.out_requant.is_valid(), Fault::Requant)?;
        checker.requant(self.query)?;
        checker.requant(self.key)?;
        match &self.rows {
            Some(rows) => rows.check(q.channels.into(), checker),
            None => Some(()),
        }
    }

    #[inline(always)]
    fn scratch_bytes(&self, _: bool, tensors: &[Tensor; slot::COUNT]) -> usize {
        let depth = usize::from(tensors[slot::FIRST].channels / self.heads.max(1));
        let keys = tensors[slot::SECOND].positions() + Rows::count(self.rows.as_ref());
        Self::scratch_bytes_of(depth, keys)
    }

    #[inline(never)]
    fn run_integer(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let parts = self.parts(context, r)?;
        let (q, k, v) = (r.operand(slot::FIRST)?, r.view(slot::SECOND)?, r.view(slot::THIRD)?);
        linear_integer::attend(self, &q, [&k, &v], &parts, r.scratch()?, &mut r.output()?)
    }

    #[inline(never)]
    fn run_f16(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let parts = self.parts(context, r)?;
        let (q, k, v) = (r.operand(slot::FIRST)?, r.view(slot::SECOND)?, r.view(slot::THIRD)?);
        linear_float::attend(self.scale, &q, [&k, &v], &parts, r.scratch()?, &mut r.output()?)
    }
}
