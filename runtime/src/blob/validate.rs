//! Checks on tensors and operators: shapes, lifetimes, memory, parameters. Made once, before a `Model` exists.

use super::model::Model;
use super::op::{Addend, At, Attention, Conv, GroupNorm, Op, Source, Weights};
use super::proof;
use super::tensor::{Dtype, Tensor, TensorId};
use crate::blob::header::Arithmetic;
use crate::error::{Fault, ParseError, Section};
use crate::features::Feature;
use crate::kernels::scratch_bytes;
use crate::numeric::requant::Requant;

/// Elements of a group above which its integer sums could overflow.
pub const MAX_GROUP_ELEMENTS: u64 = 1 << 16;

type Check = Result<(), Fault>;

/// Every check on a model whose header is valid.
pub fn model(model: &Model<'_>) -> Result<(), ParseError> {
    let arithmetic = match model.header.arithmetic {
        Arithmetic::Integer => Feature::Integer,
        Arithmetic::F16 => Feature::F16,
    };
    if !arithmetic.is_built() {
        return Err(ParseError::NotBuilt(arithmetic));
    }
    tensors(model)?;
    let count = model.header.op_count;
    let mut ops = model.ops();
    for index in 0..count {
        let at = |fault| ParseError::Op { op: index, fault };
        let op = ops.next().ok_or(at(Fault::Decode))?;
        let checker = Checker { model, index };
        checker.io(&op).map_err(at)?;
        checker.op(&op).map_err(at)?;
    }
    if ops.remaining() != 0 {
        return Err(ParseError::Section(Section::Ops));
    }
    output(model)?;
    schedule(model)
}

fn tensors(model: &Model<'_>) -> Result<(), ParseError> {
    let bytes = model.sections.content[1];
    if !bytes.len().is_multiple_of(Tensor::RECORD_BYTES) || bytes.len() / Tensor::RECORD_BYTES > usize::from(u16::MAX) {
        return Err(ParseError::Section(Section::Tensors));
    }
    for i in 0..model.tensor_count() {
        let at = |fault| ParseError::Tensor { tensor: i, fault };
        let tensor = model.tensor(TensorId(i)).ok_or(at(Fault::Decode))?;
        tensor
            .validate(model.header.arena_bytes, model.header.op_count)
            .map_err(at)?;
        for j in 0..i {
            let Some(other) = model.tensor(TensorId(j)) else {
                continue;
            };
            if !tensor.lives_with(&other) || !tensor.meets(&other) {
                continue;
            }
            // Where one ends as the other begins, the operator decides whether it works in place.
            let hand_over = tensor.def == other.last || other.def == tensor.last;
            if !hand_over || tensor.def == other.def {
                return Err(at(Fault::Overlap(j)));
            }
        }
    }
    Ok(())
}

fn output(model: &Model<'_>) -> Result<(), ParseError> {
    let header = &model.header;
    let bad = ParseError::Header("output");
    let tensor = model.tensor(header.output).ok_or(bad)?;
    let shape = (tensor.rows, tensor.cols, tensor.channels) == (header.rows, header.cols, header.channels);
    let written = model.ops().last().is_some_and(|op| op.io().out == header.output);
    let kept = tensor.last == header.op_count;
    if tensor.dtype == Dtype::Q24 && shape && written && kept {
        Ok(())
    } else {
        Err(bad)
    }
}

fn schedule(model: &Model<'_>) -> Result<(), ParseError> {
    let bad = ParseError::Section(Section::Schedule);
    if model.sections.content[4].len() as u64 != u64::from(model.header.train_steps) * 8 {
        return Err(bad);
    }
    let mut previous = 1u64 << 62;
    for t in 0..model.header.train_steps {
        let alpha_bar = model.alpha_bar_q62(t);
        if alpha_bar > previous {
            return Err(bad);
        }
        previous = alpha_bar;
    }
    Ok(())
}

struct Checker<'m, 'a> {
    model: &'m Model<'a>,
    index: u16,
}

impl Checker<'_, '_> {
    fn tensor(&self, id: TensorId) -> Result<Tensor, Fault> {
        self.model.tensor(id).ok_or(Fault::UnknownTensor(id.0))
    }

    /// Lifetimes and memory of what the operator touches.
    fn io(&self, op: &Op) -> Check {
        let io = op.io();
        let out = self.tensor(io.out)?;
        if out.def != self.index || out.dtype == Dtype::Scratch {
            return Err(Fault::Lifetime(io.out.0));
        }
        let scratch = io.scratch.map(|id| self.tensor(id)).transpose()?;
        if let (Some(id), Some(s)) = (io.scratch, scratch) {
            if (s.def, s.last, s.dtype) != (self.index, self.index, Dtype::Scratch) {
                return Err(Fault::Lifetime(id.0));
            }
            let needed = scratch_bytes(self.model, op).ok_or(Fault::Parameter)?;
            if s.bytes() < needed {
                return Err(Fault::Shape {
                    expected: needed as u32,
                    found: s.bytes() as u32,
                });
            }
        }
        for (slot, id) in io.inputs.iter().enumerate() {
            let Some(id) = *id else { continue };
            let input = self.tensor(id)?;
            if input.def >= self.index || input.last < self.index || input.dtype == Dtype::Scratch {
                return Err(Fault::Lifetime(id.0));
            }
            if io.inputs[..slot].contains(&Some(id)) {
                return Err(Fault::Overlap(id.0));
            }
            if scratch.is_some_and(|s| s.meets(&input)) {
                return Err(Fault::Overlap(id.0));
            }
            let exact = input.range() == out.range() && input.dtype == out.dtype && input.same_shape(&out);
            if out.meets(&input) && !(io.in_place == Some(id) && exact && input.last == self.index) {
                return Err(Fault::Overlap(id.0));
            }
        }
        Ok(())
    }

    fn op(&self, op: &Op) -> Check {
        match op {
            Op::Input {
                out,
                requant,
                scale,
                shift,
                ..
            } => {
                let (out, header) = (self.tensor(*out)?, &self.model.header);
                self.activation(&out)?;
                same(header.rows.into(), out.rows.into())?;
                same(header.cols.into(), out.cols.into())?;
                same(header.channels.into(), out.channels.into())?;
                ensure(scale.is_finite() && shift.is_finite(), Fault::Parameter)?;
                self.requant(*requant)
            }
            Op::TimeProj { out, phases, .. } => {
                let out = self.vector(*out)?;
                ensure(out.channels.is_multiple_of(2), Fault::Parameter)?;
                self.table::<u32>(*phases, usize::from(out.channels) / 2).map(drop)
            }
            Op::ClassEmbed { out, table } => {
                built(Feature::Class)?;
                let out = self.vector(*out)?;
                let count = usize::from(self.model.header.classes) * usize::from(out.channels);
                ensure(count > 0, Fault::Parameter)?;
                match out.dtype {
                    Dtype::F16 => proof::finite_f16(self.table::<u16>(*table, count)?),
                    _ => self.table::<i16>(*table, count).map(drop),
                }
            }
            Op::Silu {
                src,
                out,
                in_requant,
                out_requant,
            } => {
                let (src, out) = (self.tensor(*src)?, self.tensor(*out)?);
                self.activation(&src)?;
                self.activation(&out)?;
                ensure(
                    src.same_shape(&out),
                    Fault::Shape {
                        expected: src.len() as u32,
                        found: out.len() as u32,
                    },
                )?;
                self.requant(*in_requant)?;
                self.requant(*out_requant)
            }
            Op::Conv(conv) => self.conv(conv),
            Op::GroupNorm(norm) => self.group_norm(norm),
            Op::Attention(attention) => self.attention(attention),
            Op::Upsample { src, out } => self.resample(*src, *out, true),
            Op::AvgPool { src, out } => self.resample(*src, *out, false),
        }
    }

    fn conv(&self, c: &Conv) -> Check {
        let (source, out) = (self.source(&c.source)?, self.tensor(c.out)?);
        ensure(out.dtype == Dtype::Q24 || self.activation(&out).is_ok(), Fault::Dtype)?;
        ensure(
            (1..=15).contains(&c.kernel) && (1..=2).contains(&c.stride),
            Fault::Parameter,
        )?;
        ensure(c.pad.iter().all(|&p| p < c.kernel), Fault::Parameter)?;
        let zoom = 1 + u32::from(c.upsample);
        let extent = |size: u16, before: u8, after: u8| {
            let padded = u32::from(size) * zoom + u32::from(before) + u32::from(after);
            padded
                .checked_sub(c.kernel.into())
                .map_or(0, |span| span / u32::from(c.stride) + 1)
        };
        same(extent(source.rows, c.pad[0], c.pad[2]), out.rows.into())?;
        same(extent(source.cols, c.pad[1], c.pad[3]), out.cols.into())?;
        if let Some(Addend {
            tensor,
            requant,
            factor,
        }) = c.addend
        {
            let addend = self.tensor(tensor)?;
            self.activation(&addend)?;
            let vector = addend.positions() == 1;
            ensure(
                vector || addend.same_shape(&out),
                Fault::Shape {
                    expected: out.len() as u32,
                    found: addend.len() as u32,
                },
            )?;
            same(out.channels.into(), addend.channels.into())?;
            ensure(factor.is_finite(), Fault::Parameter)?;
            self.requant(requant)?;
        }
        let float = matches!(c.weights, Weights::F16 { .. });
        ensure(float == self.float(), Fault::Dtype)?;
        proof::conv(self.model, c, &source, &out)
    }

    fn group_norm(&self, n: &GroupNorm) -> Check {
        let (source, out) = (self.source(&n.source)?, self.tensor(n.out)?);
        self.activation(&out)?;
        ensure(
            source.same_shape(&out),
            Fault::Shape {
                expected: source.channels.into(),
                found: out.channels.into(),
            },
        )?;
        ensure(n.groups > 0 && out.channels.is_multiple_of(n.groups), Fault::Parameter)?;
        let elements = out.positions() as u64 * u64::from(out.channels / n.groups);
        let limit = MAX_GROUP_ELEMENTS;
        ensure(
            elements <= limit,
            Fault::Shape {
                expected: limit as u32,
                found: elements.min(1 << 31) as u32,
            },
        )?;
        ensure(
            n.gamma_frac <= 30 && n.eps_q <= 1 << 62 && n.eps > 0.0 && n.eps.is_finite(),
            Fault::Parameter,
        )?;
        let affine = self.table::<u32>(n.affine, 2 * usize::from(out.channels))?;
        if self.float() {
            proof::finite_f32(affine)?;
        }
        if let Some((id, requant)) = n.scale_shift {
            built(Feature::ScaleShift)?;
            let vector = self.vector(id)?;
            same(2 * u32::from(out.channels), vector.channels.into())?;
            self.requant(requant)?;
        }
        self.requant(n.out_requant)
    }

    fn attention(&self, a: &Attention) -> Check {
        built(Feature::Attention)?;
        let q = self.tensor(a.q)?;
        for id in [a.q, a.k, a.v, a.out] {
            let t = self.tensor(id)?;
            self.activation(&t)?;
            ensure(
                t.same_shape(&q),
                Fault::Shape {
                    expected: q.len() as u32,
                    found: t.len() as u32,
                },
            )?;
            ensure(t.zero_point == 0 || id == a.out, Fault::ZeroPoint)?;
        }
        ensure(a.heads > 0 && q.channels.is_multiple_of(a.heads), Fault::Parameter)?;
        ensure(q.positions() <= 1 << 15 && a.scale.is_finite(), Fault::Parameter)?;
        // |q k^T| <= head_dim * 2^30 stays below the 2^40 that a wide factor takes.
        ensure(q.channels / a.heads < 1 << 10, Fault::Accumulator(0))?;
        ensure(a.score.is_valid(), Fault::Requant)?;
        self.requant(a.out_requant)
    }

    fn resample(&self, src: TensorId, out: TensorId, up: bool) -> Check {
        built(Feature::Resample)?;
        let (src, out) = (self.tensor(src)?, self.tensor(out)?);
        self.activation(&src)?;
        ensure((src.dtype, src.zero_point) == (out.dtype, out.zero_point), Fault::Dtype)?;
        let (small, big) = if up { (src, out) } else { (out, src) };
        same(
            2 * u32::from(small.rows),
            if up { big.rows.into() } else { u32::from(big.rows) & !1 },
        )?;
        same(
            2 * u32::from(small.cols),
            if up { big.cols.into() } else { u32::from(big.cols) & !1 },
        )?;
        same(src.channels.into(), out.channels.into())
    }

    /// The source as one tensor: the extents of the concatenation.
    fn source(&self, source: &Source) -> Result<Tensor, Fault> {
        let mut joined = self.tensor(source.first)?;
        self.activation(&joined)?;
        if let Some((id, requants)) = source.second {
            let second = self.tensor(id)?;
            self.activation(&second)?;
            same(joined.rows.into(), second.rows.into())?;
            same(joined.cols.into(), second.cols.into())?;
            let total = u32::from(joined.channels) + u32::from(second.channels);
            joined.channels = total.try_into().map_err(|_| Fault::Shape {
                expected: 0xFFFF,
                found: total,
            })?;
            joined.zero_point = 0;
            if !self.float() {
                joined.dtype = Dtype::I16;
            }
            requants.into_iter().try_for_each(|r| self.requant(r))?;
        }
        Ok(joined)
    }

    fn vector(&self, id: TensorId) -> Result<Tensor, Fault> {
        let tensor = self.tensor(id)?;
        same(1, tensor.positions() as u32)?;
        let dtype = if self.float() { Dtype::F16 } else { Dtype::I16 };
        ensure(tensor.dtype == dtype, Fault::Dtype)?;
        Ok(tensor)
    }

    fn activation(&self, tensor: &Tensor) -> Check {
        let float = match tensor.dtype {
            Dtype::I8 | Dtype::I16 => false,
            Dtype::F16 => true,
            Dtype::Q24 | Dtype::Scratch => return Err(Fault::Dtype),
        };
        ensure(float == self.float(), Fault::Dtype)
    }

    fn requant(&self, requant: Requant) -> Check {
        ensure(self.float() || requant.is_valid(), Fault::Requant)
    }

    fn table<T: bytemuck::AnyBitPattern>(&self, at: At, count: usize) -> Result<&[T], Fault> {
        table(self.model, at, count)
    }

    fn float(&self) -> bool {
        // Known without a look where the other arithmetic is left out.
        Feature::F16.is_built() && (!Feature::Integer.is_built() || self.model.header.arithmetic == Arithmetic::F16)
    }
}

/// `count` values at `at`, or why not.
pub(crate) fn table<'a, T: bytemuck::AnyBitPattern>(m: &Model<'a>, at: At, count: usize) -> Result<&'a [T], Fault> {
    m.table(at, count).ok_or_else(|| {
        let end = u64::from(at.0) + count as u64 * size_of::<T>() as u64;
        if end > m.weights().len() as u64 {
            Fault::OutOfBounds {
                limit: m.weights().len() as u32,
                end: end.min(u32::MAX.into()) as u32,
            }
        } else {
            Fault::Alignment(at.0)
        }
    })
}

/// Comes before whatever only a part that can be left out needs, which is then not linked either.
#[inline(always)]
pub(crate) fn built(feature: Feature) -> Check {
    ensure(feature.is_built(), Fault::NotBuilt(feature))
}

#[inline(always)]
pub(crate) fn ensure(ok: bool, fault: Fault) -> Check {
    if ok { Ok(()) } else { Err(fault) }
}

fn same(expected: u32, found: u32) -> Check {
    ensure(expected == found, Fault::Shape { expected, found })
}
