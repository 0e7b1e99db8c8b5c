//! Every normalization that is no group normalization: over the channels of each position, or not centred.
//!
//! LayerNorm (Ba et al. 2016, eq. 4), RMSNorm (Zhang and Sennrich 2019, eq. 4) and the L2 norm, by the formula of group normalization:
//! the elements that are normalized together are others, and their sum counts as 0 where the mean stays. No scratch memory is needed.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use super::integer::moments::{Affine, Lines, Sums};
use super::integer::{self, Input};
use super::{INFINITE, MAX_GROUP_ELEMENTS, float, float_input, input_of};
use crate::error::Fault;
use crate::family::CHUNK;
use crate::features::Feature;
use crate::numeric::float::store;
use crate::numeric::requant::{Requant, saturate_i8, saturate_i16, saturate_i32};
use crate::numeric::sigmoid::{silu_q16, silu_scaled};
use crate::ops::check::{Check, Checker};
use crate::ops::conv::{self, Source};
use crate::ops::reader::Reader;
use crate::ops::{At, Call, Context, Operator};
use crate::tensor::TensorId;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::view::{Operand, View, ViewMut};

/// Largest exponent of the unit of what is computed.
pub const MAX_UP: u32 = 31;

/// A normalization over the channels of each position, or one that is not centred.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Norm {
    /// Input.
    pub source: Source,
    /// Output.
    pub out: TensorId,
    /// Over the channels of each position; else over those of all positions together.
    pub by_position: bool,
    /// Whether the mean is subtracted.
    pub centred: bool,
    /// Whether epsilon is the least that the spread may be; else it is added to it.
    pub floor: bool,
    /// Divides the channels.
    pub groups: u16,
    /// SiLU after the affine.
    pub silu: bool,
    /// i32 gamma `(channel)` in Q`gamma_frac`, then i32 beta `(channel)` in Q16, both times `2^up`. f16: f32 gamma, then f32 beta.
    pub affine: At,
    /// Fractional bits of gamma, 0 to 30.
    pub gamma_frac: u8,
    /// What is computed is in Q16 times `2^up`; -31 to 31 (integer models).
    pub up: i8,
    /// `eps * n^2 / scale^2` with n the elements that are normalized together (integer models).
    pub eps_q: u64,
    /// Epsilon itself, or the least divisor (f16 models).
    pub eps: f32,
    /// From Q16 times `2^up` to the output's scale.
    pub out_requant: Requant,
    /// Vector `(2 * channels)`: scale, then shift.
    pub scale_shift: Option<ScaleShift>,
}

/// What a vector of scales and shifts does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScaleShift {
    /// The vector, `(2 * channels)`.
    pub vector: TensorId,
    /// From its unit to Q16, for scales.
    pub scale: Requant,
    /// From its unit to Q16 times `2^up`, for shifts.
    pub shift: Requant,
}

impl Operator for Norm {
    const NAME: &'static str = "norm";
    const FEATURE: Option<Feature> = Some(Feature::Norm);

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            source: conv::source(r),
            out: r.tensor(),
            by_position: r.flag(),
            centred: r.flag(),
            floor: r.flag(),
            groups: r.u16(),
            silu: r.flag(),
            affine: r.at(),
            gamma_frac: r.u8(),
            up: r.u8().cast_signed(),
            eps_q: r.u64(),
            eps: r.f32(),
            out_requant: r.requant(),
            scale_shift: if r.flag() {
                Some(ScaleShift {
                    vector: r.tensor(),
                    scale: r.requant(),
                    shift: r.requant(),
                })
            } else {
                None
            },
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        self.source.slots(slots);
        slots.tensors[slot::OUT] = Some(self.out);
        slots.tensors[slot::THIRD] = self.scale_shift.map(|s| s.vector);
        if self.source.second.is_none() {
            slots.in_place = slot::FIRST;
        }
    }

    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        checker.join(&self.source)?;
        let [out, _, _, source, _, vector] = &checker.tensors;
        checker.alike(source, out)?;
        checker.ensure(
            self.groups > 0 && out.channels.is_multiple_of(self.groups),
            Fault::Parameter,
        )?;
        let positions = if self.by_position { 1 } else { out.positions() as u32 };
        let elements = positions * u32::from(out.channels / self.groups);
        checker.at_most(MAX_GROUP_ELEMENTS as u32, elements);
        checker.ensure(
            self.gamma_frac <= 30
                && u32::from(self.up.unsigned_abs()) <= MAX_UP
                && self.eps_q <= 1 << 62
                && (1..INFINITE).contains(&self.eps.to_bits()),
            Fault::Parameter,
        )?;
        let affine = checker.table::<i32>(self.affine, 2 * usize::from(out.channels))?;
        if checker.context.is_float() {
            checker.finite_f32(affine)?;
        }
        if let Some(of) = self.scale_shift {
            checker.vector(vector);
            checker.same(2 * u32::from(out.channels), vector.channels.into());
            checker.requant(of.scale);
            checker.requant(of.shift);
        }
        checker.requant(self.out_requant)
    }

    #[inline(never)]
    fn run_integer(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let channels = usize::from(r.out().channels);
        let affine = context.table::<i32>(self.affine, 2 * channels)?;
        let (gamma, beta_q16) = affine.split_at_checked(channels)?;
        let vector = match self.scale_shift {
            None => None,
            Some(_) => match r.view(slot::THIRD)? {
                View::I16(vector) => Some(vector),
                _ => return None,
            },
        };
        let norm = integer::Norm {
            groups: self.groups.into(),
            channels,
            positions: if self.by_position { 1 } else { r.out().positions() },
            silu: false,
            eps_q: self.eps_q,
            gamma,
            gamma_frac: self.gamma_frac,
            beta_q16,
            out_requant: self.out_requant,
            scale_shift: None,
        };
        let (positions, input) = (r.out().positions(), input_of(&self.source, r)?);
        self.integer(&input, norm, vector, positions, &mut r.output()?);
        Some(())
    }

    fn run_f16(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let channels = usize::from(r.out().channels);
        let affine = context.table::<f32>(self.affine, 2 * channels)?;
        let (gamma, beta) = affine.split_at_checked(channels)?;
        let scale_shift = match self.scale_shift {
            None => None,
            Some(_) => match r.view(slot::THIRD)? {
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
        self.float(&input, &norm, &mut r.output()?);
        Some(())
    }
}

impl Norm {
    /// In integers; `norm` has as many positions as are normalized together, `out` has `positions`.
    fn integer(
        &self,
        input: &Input<'_>,
        norm: integer::Norm<'_>,
        vector: Option<&[i16]>,
        positions: usize,
        out: &mut ViewMut<'_>,
    ) {
        let size = norm.channels / norm.groups;
        let largest = [norm.gamma, norm.beta_q16].map(|table| table.iter().fold(0, |m, v| m.max(v.unsigned_abs())));
        #[cfg(feature = "fast")]
        if self.by_position
            && self
                .by_position(input, &norm, vector, largest, positions, out)
                .is_some()
        {
            return;
        }
        for first in (0..positions).step_by(norm.positions) {
            let together = first..first + norm.positions;
            for group in (0..norm.channels).step_by(size) {
                self.one(input, norm, vector, together.clone(), group..group + size, largest, out);
            }
        }
    }

    /// What is normalized together: some channels of some positions.
    #[expect(clippy::too_many_arguments, reason = "the body of two loops")]
    #[inline(never)]
    pub(super) fn one(
        &self,
        input: &Input<'_>,
        norm: integer::Norm<'_>,
        vector: Option<&[i16]>,
        together: Range<usize>,
        group: Range<usize>,
        largest: [u32; 2],
        out: &mut ViewMut<'_>,
    ) {
        // Of the 16 bits that elements may take, those of bytes leave seven: a zero point takes one.
        let bytes = match (input, &*out) {
            (Input::One(Operand::Apart(View::I8(..))), _) => true,
            (Input::One(Operand::InPlace { .. }), out) => matches!(out, ViewMut::I8(..)),
            _ => false,
        };
        let spare = if bytes { 7 } else { 0 };
        let mut chunk = [0; CHUNK];
        let mut sums = Sums { sum: 0, squares: 0 };
        for position in together.clone() {
            let mut channel = group.start;
            while channel < group.end {
                let some = read(input, out, norm.channels, position, channel..group.end, &mut chunk);
                let (sum, squares) = moments(some);
                sums.sum += sum;
                sums.squares += squares;
                channel += some.len();
            }
        }
        let affine = self.affine(sums, &norm, group.len());
        let lines = affine.lines(largest, spare);
        for position in together {
            let mut channel = group.start;
            while channel < group.end {
                let some = read(input, out, norm.channels, position, channel..group.end, &mut chunk);
                let at = position * norm.channels + channel;
                match &lines {
                    Some(lines) if Feature::Fast.is_built() => {
                        self.quick(&norm, lines, vector, channel, some, &mut out.part(at..at + some.len()));
                    }
                    _ => self.exact(
                        &norm,
                        &affine,
                        vector,
                        channel,
                        some,
                        &mut out.part(at..at + some.len()),
                    ),
                }
                channel += some.len();
            }
        }
    }

    /// What the `size` channels of the group share.
    #[inline(always)]
    pub(super) fn affine(&self, sums: Sums, norm: &integer::Norm<'_>, size: usize) -> Affine {
        let (mut sums, mut norm) = (sums, *norm);
        if !self.centred {
            sums.sum = 0;
        }
        if self.floor {
            // What lacks to the least.
            norm.eps_q = self.eps_q.saturating_sub(sums.spread((norm.positions * size) as u32));
        }
        sums.affine(&norm, size)
    }

    /// Some channels of a position by the definition.
    #[inline(never)]
    fn exact(
        &self,
        norm: &integer::Norm<'_>,
        affine: &Affine,
        vector: Option<&[i16]>,
        first: usize,
        some: &[i16],
        out: &mut ViewMut<'_>,
    ) {
        for (i, &q) in some.iter().enumerate() {
            let channel = first + i;
            let y = norm.apply(q.into(), affine.factors(norm, channel), channel);
            let y = self.finish(y, vector, channel, norm.channels);
            out.put(i, norm.out_requant.times(y));
        }
    }

    /// The same where no stage saturates.
    #[inline(never)]
    fn quick(
        &self,
        norm: &integer::Norm<'_>,
        lines: &Lines,
        vector: Option<&[i16]>,
        first: usize,
        some: &[i16],
        out: &mut ViewMut<'_>,
    ) {
        let (gamma, beta) = (&norm.gamma[first..], &norm.beta_q16[first..]);
        let requant = norm.out_requant;
        let factors = some.iter().zip(gamma.iter().zip(beta));
        if vector.is_none() && !self.silu {
            let ys = factors.map(|(q, (gamma, beta))| requant.apply(lines.at(*q, *gamma, *beta)));
            return fill(ys, out);
        }
        let ys = factors.enumerate().map(|(i, (q, (gamma, beta)))| {
            let y = lines.at(*q, *gamma, *beta);
            requant.apply(self.finish(y, vector, first + i, norm.channels))
        });
        fill(ys, out);
    }

    /// Scale and shift, SiLU.
    #[inline(always)]
    fn finish(&self, y: i32, vector: Option<&[i16]>, channel: usize, channels: usize) -> i32 {
        let mut y = y;
        if let (Some(vector), Some(of)) = (vector, &self.scale_shift) {
            let scale = i64::from(of.scale.apply(vector[channel].into()));
            let shift = i64::from(of.shift.apply(vector[channels + channel].into()));
            y = saturate_i32(i64::from(y) + ((i64::from(y) * scale + (1 << 15)) >> 16) + shift);
        }
        match (self.silu, self.up) {
            (false, _) => y,
            (true, 0) => silu_q16(y),
            (true, up) => silu_scaled(y, up.into()),
        }
    }

    /// In f16: as [group normalization](float::group_norm), sums channel by channel.
    fn float(&self, input: &float::Input<'_>, norm: &float::Norm<'_>, out: &mut ViewMut<'_>) {
        let (channels, size) = (norm.channels, norm.channels / norm.groups);
        let run = if self.by_position { 1 } else { norm.positions };
        let count = (run * size) as f32;
        for first in (0..norm.positions).step_by(run.max(1)) {
            for group in (0..channels).step_by(size) {
                let together = (first..first + run, group..group + size);
                let mut mean = 0.0;
                if self.centred {
                    mean = input.sum(out, channels, &together, |x| x) / count;
                }
                let squares = input.sum(out, channels, &together, |x| (x - mean) * (x - mean)) / count;
                let factor = if self.floor {
                    let root = libm::sqrtf(squares);
                    1.0 / if root < norm.eps { norm.eps } else { root }
                } else {
                    1.0 / libm::sqrtf(squares + norm.eps)
                };
                for position in together.0 {
                    for channel in together.1.clone() {
                        let x = input.get(out, position, channel, channels);
                        let y = norm.affine(x, mean, factor, channel);
                        out.set(position * channels + channel, store(y));
                    }
                }
            }
        }
    }
}

/// Elements of a position from the first of `some` on, zero point removed, on the common scale of a concatenation: as many as there are in
/// one place, or as a chunk has.
#[inline(never)]
fn read<'c>(
    input: &'c Input<'_>,
    out: &ViewMut<'_>,
    channels: usize,
    position: usize,
    some: Range<usize>,
    chunk: &'c mut [i16; CHUNK],
) -> &'c [i16] {
    let (part, at, left) = match input {
        Input::One(operand) => {
            let at = position * channels + some.start;
            let view = match operand {
                Operand::Apart(View::I16(data)) => return &data[at..at + some.len()],
                Operand::Apart(view) => *view,
                Operand::InPlace { zero } => out.as_view().with_zero(*zero),
            };
            let elements = &mut chunk[..some.len().min(CHUNK)];
            match view {
                View::I8(data, zero) => {
                    let from = elements.iter_mut().zip(&data[at..]);
                    from.for_each(|(to, q)| *to = i16::from(*q) - zero as i16);
                }
                View::I16(data) => elements.copy_from_slice(&data[at..at + elements.len()]),
                View::F16(_) | View::Q24(_) => {}
            }
            return elements;
        }
        Input::Two([first, _]) if some.start < first.channels => (first, some.start, first.channels - some.start),
        Input::Two([first, second]) => (second, some.start - first.channels, some.len()),
    };
    let elements = &mut chunk[..left.min(some.len()).min(CHUNK)];
    part.join(position * part.channels + at, elements);
    elements
}

/// Sum, and sum of squares.
#[inline(always)]
fn moments(some: &[i16]) -> (i32, u64) {
    #[cfg(feature = "fast")]
    {
        use crate::family::{Family, Native};
        let (sum, squares) = Native::moments16(some, some.len(), 0, some.len());
        (sum as i32, squares)
    }
    #[cfg(not(feature = "fast"))]
    some.iter().fold((0, 0), |(sum, squares), &q| {
        let q = i32::from(q);
        (sum + q, squares + u64::from((q * q) as u32))
    })
}

/// Stores values from the front on.
#[inline(always)]
fn fill(ys: impl Iterator<Item = i32>, out: &mut ViewMut<'_>) {
    match out {
        ViewMut::I8(data, zero) => {
            let zero = *zero;
            data.iter_mut()
                .zip(ys)
                .for_each(|(to, y)| *to = saturate_i8(y.saturating_add(zero)));
        }
        ViewMut::I16(data) => data.iter_mut().zip(ys).for_each(|(to, y)| *to = saturate_i16(y)),
        ViewMut::F16(_) | ViewMut::Q24(_) => {}
    }
}
