//! Group normalization, with the timestep's scale and shift and SiLU where asked.

use crate::ops::{Call, Context};
pub mod float;
mod general;
pub mod integer;
#[cfg(feature = "fast")]
mod positions;

pub use general::{MAX_UP, Norm, ScaleShift};

use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::conv::halves::Join;
use super::conv::{self, Source};
use super::reader::Reader;
use super::{At, Operator};
use crate::error::Fault;
use crate::features::Feature;
use crate::numeric::requant::Requant;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::view::View;
use crate::tensor::{Tensor, TensorId};
use integer::{FACTOR_WORDS, Input};

/// Elements of a group above which its integer sums could overflow.
pub const MAX_GROUP_ELEMENTS: u64 = 1 << 16;
/// The exponent of an f32 that is infinite or not a number.
const INFINITE: u32 = 0x7F80_0000;

/// Group normalization, with the timestep's scale and shift and SiLU where asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupNorm {
    /// Input.
    pub source: Source,
    /// Output.
    pub out: TensorId,
    /// Scratch: sums and per-channel factors.
    pub scratch: TensorId,
    /// Divides the channels.
    pub groups: u16,
    /// SiLU after the affine.
    pub silu: bool,
    /// i32 gamma `(channel)` in Q`gamma_frac`, then i32 beta `(channel)` in Q16. f16: f32 gamma, then f32 beta.
    pub affine: At,
    /// Fractional bits of gamma, 0 to 30.
    pub gamma_frac: u8,
    /// `eps * n^2 / scale^2` with n the elements of a group (integer models).
    pub eps_q: u64,
    /// Epsilon itself (f16 models).
    pub eps: f32,
    /// From Q16 to the output's scale.
    pub out_requant: Requant,
    /// Vector `(2 * channels)`: scale, then shift; with the factor from its own unit to Q16.
    pub scale_shift: Option<(TensorId, Requant)>,
}

/// Scratch bytes of a normalization: three words a channel (or two f32).
pub fn group_norm_scratch_bytes(float: bool, channels: usize) -> usize {
    channels * if float { 8 } else { FACTOR_WORDS * 4 }
}

impl GroupNorm {
    /// Before anything is known: zeros, which take no place in flash.
    pub(super) const EMPTY: Self = Self {
        source: Source::EMPTY,
        out: TensorId(0),
        scratch: TensorId(0),
        groups: 0,
        silu: false,
        affine: At(0),
        gamma_frac: 0,
        eps_q: 0,
        eps: 0.0,
        out_requant: Requant { mult: 0, shift: 0 },
        scale_shift: None,
    };

    /// Runs it with its positions in two halves, once one core has the factors. As [`conv::halves::run`].
    pub(crate) fn run_halves(
        &self,
        context: &Context<'_>,
        r: &mut Regions<'_, '_>,
        join: &mut impl Join,
    ) -> Option<()> {
        let norm = &parameters(context, self, slot::OUT, r)?;
        let input = &input(self, r)?;
        let factors = r.scratch()?.get_mut(..norm.channels * FACTOR_WORDS)?;
        let mut out = r.output()?;
        let prepared = &norm.prepare(input, factors, &out);
        let factors = &*factors;
        let middle = norm.positions.div_ceil(2);
        let upper = &input.cut(0..middle, norm.channels)?;
        let lower = &input.cut(middle..norm.positions, norm.channels)?;
        let (mut above, mut below) = out
            .part(0..norm.positions * norm.channels)
            .split(middle * norm.channels)?;
        join.join(
            || integer::positions(upper, norm, prepared, factors, 0..middle, &mut above),
            || integer::positions(lower, norm, prepared, factors, 0..norm.positions - middle, &mut below),
        );
        Some(())
    }

    /// Its checks, where the first tensor read stands for the joined input and `out` has every row.
    #[inline(never)]
    pub(super) fn check_joined(&self, checker: &Checker<'_, '_>, out: &Tensor) -> Check {
        checker.alike(&checker.tensors[slot::FIRST], out)?;
        checker.ensure(
            self.groups > 0 && out.channels.is_multiple_of(self.groups),
            Fault::Parameter,
        )?;
        // A tensor's elements are in the range of u32.
        let elements = out.positions() as u32 * u32::from(out.channels / self.groups);
        checker.at_most(MAX_GROUP_ELEMENTS as u32, elements);
        checker.ensure(
            self.gamma_frac <= 30 && self.eps_q <= 1 << 62 && (1..INFINITE).contains(&self.eps.to_bits()),
            Fault::Parameter,
        );
        let affine = checker.table::<i32>(self.affine, 2 * usize::from(out.channels))?;
        if checker.context.is_float() {
            checker.finite_f32(affine)?;
        }
        if let Some((_, requant)) = self.scale_shift {
            checker.built(Feature::ScaleShift)?;
            let vector = &checker.tensors[slot::THIRD];
            checker.vector(vector);
            checker.same(2 * u32::from(out.channels), vector.channels.into());
            checker.requant(requant);
        }
        checker.requant(self.out_requant)
    }
}

/// Reads the record to where it is wanted.
#[inline(never)]
pub(super) fn read(r: &mut Reader<'_>, norm: &mut GroupNorm) {
    norm.source = conv::source(r);
    norm.out = r.tensor();
    norm.scratch = r.tensor();
    norm.groups = r.u16();
    norm.silu = r.flag();
    norm.affine = r.at();
    norm.gamma_frac = r.u8();
    norm.eps_q = r.u64();
    norm.eps = r.f32();
    norm.out_requant = r.requant();
    norm.scale_shift = if r.flag() {
        Some((r.tensor(), r.requant()))
    } else {
        None
    };
}

impl Operator for GroupNorm {
    const NAME: &'static str = "group_norm";

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        let mut norm = Self::EMPTY;
        read(r, &mut norm);
        norm
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        self.source.slots(slots);
        slots.tensors[slot::OUT] = Some(self.out);
        slots.tensors[slot::SCRATCH] = Some(self.scratch);
        slots.tensors[slot::THIRD] = self.scale_shift.map(|(id, _)| id);
        if self.source.second.is_none() {
            slots.in_place = slot::FIRST;
        }
    }

    #[inline(always)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        checker.join(&self.source)?;
        self.check_joined(checker, &checker.tensors[slot::OUT])
    }

    #[inline(always)]
    fn scratch_bytes(&self, float: bool, tensors: &[Tensor; slot::COUNT]) -> usize {
        group_norm_scratch_bytes(float, conv::joined_channels(tensors))
    }

    #[inline(always)]
    fn needs(&self, feature: Feature) -> bool {
        feature == Feature::ScaleShift && self.scale_shift.is_some()
    }

    #[inline(never)]
    fn run_integer(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        // Borrowed, not moved: a copy would take stack.
        let (Some(norm), Some(input)) = (&parameters(context, self, slot::OUT, r), &input(self, r)) else {
            return None;
        };
        let factors = r.scratch()?.get_mut(..norm.channels * FACTOR_WORDS)?;
        integer::group_norm(input, norm, factors, &mut r.output()?);
        Some(())
    }

    fn run_f16(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let channels = usize::from(r.out().channels);
        let affine = context.table::<f32>(self.affine, 2 * channels)?;
        let (gamma, beta) = affine.split_at_checked(channels)?;
        let scale_shift = match self.scale_shift {
            None => None,
            Some(_) => match Feature::ScaleShift.built().and_then(|()| r.view(slot::THIRD))? {
                View::F16(vector) => Some(vector),
                _ => return None,
            },
        };
        let norm = float::Norm {
            groups: self.groups.into(),
            channels,
            positions: r.out().positions(),
            silu: self.silu,
            eps: self.eps,
            gamma,
            beta,
            scale_shift,
        };
        let input = float_input(&self.source, r)?;
        let scratch = r.scratch()?.get_mut(..2 * channels)?;
        float::group_norm(&input, &norm, scratch, &mut r.output()?);
        Some(())
    }

    #[inline(always)]
    fn norm(&self) -> Option<&GroupNorm> {
        Some(self)
    }
}

/// Parameters of a normalization whose output is in slot `out`.
#[inline(never)]
pub(super) fn parameters<'n, 'a: 'n>(
    context: &Context<'n>,
    n: &GroupNorm,
    out: usize,
    r: &mut Regions<'_, 'a>,
) -> Option<integer::Norm<'n>> {
    let channels = usize::from(r.tensor(out).channels);
    let affine = context.table::<i32>(n.affine, 2 * channels)?;
    let (gamma, beta_q16) = affine.split_at_checked(channels)?;
    let scale_shift = match n.scale_shift {
        None => None,
        Some((_, requant)) => match Feature::ScaleShift.built().and_then(|()| r.view(slot::THIRD))? {
            View::I16(vector) => Some((vector, requant)),
            _ => return None,
        },
    };
    Some(integer::Norm {
        groups: n.groups.into(),
        channels,
        positions: r.tensor(slot::FIRST).positions(),
        silu: n.silu,
        eps_q: n.eps_q,
        gamma,
        gamma_frac: n.gamma_frac,
        beta_q16,
        out_requant: n.out_requant,
        scale_shift,
    })
}

/// What an f16 normalization reads.
#[inline(always)]
fn float_input<'a>(source: &Source, r: &mut Regions<'_, 'a>) -> Option<float::Input<'a>> {
    Some(match source.second {
        None => float::Input::One(r.operand(slot::FIRST)?),
        Some(_) => float::Input::Two(conv::float_parts(source, r)?.into_array().ok()?),
    })
}

/// What an integer normalization reads.
pub(super) fn input<'a>(n: &GroupNorm, r: &mut Regions<'_, 'a>) -> Option<Input<'a>> {
    input_of(&n.source, r)
}

/// What is read of a source.
#[inline(always)]
fn input_of<'a>(source: &Source, r: &mut Regions<'_, 'a>) -> Option<Input<'a>> {
    if source.second.is_none() {
        return r.operand(slot::FIRST).map(Input::One);
    }
    let mut both = conv::NO_PARTS;
    conv::parts(&mut both, source, r)?;
    Some(Input::Two(both))
}
