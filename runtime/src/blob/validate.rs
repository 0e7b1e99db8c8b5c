//! Checks on tensors and operators: shapes, lifetimes, memory, parameters. Made once, before a `Model` exists.

use core::cell::Cell;

use super::model::Model;
use super::op::{Addend, At, Attention, Conv, GroupNorm, Io, NormConv, Op, Readout, Source, Weights};
use super::plan;
use super::proof;
use super::tensor::{Dtype, Tensor, TensorId};
use crate::blob::header::Arithmetic;
use crate::error::{Fault, ParseError, Refusal, Section};
use crate::features::Feature;
use crate::kernels::scratch_bytes;
use crate::numeric::requant::Requant;
use crate::schedule::coefficients::Prediction;

/// Elements of a group above which its integer sums could overflow.
pub const MAX_GROUP_ELEMENTS: u64 = 1 << 16;
/// The exponent of an f32 that is infinite or not a number.
const INFINITE: u32 = 0x7F80_0000;

/// `None` where a check did not hold; the [`Checker`] knows which.
pub(super) type Check = Option<()>;

/// Every check on a model whose header is valid.
pub(super) fn model(model: &Model<'_>, refusal: &mut Refusal) -> Check {
    let header = &model.header;
    let arithmetic = match header.arithmetic {
        Arithmetic::Integer => Feature::Integer,
        Arithmetic::F16 => Feature::F16,
    };
    if !arithmetic.is_built() {
        return refusal.with(ParseError::NotBuilt(arithmetic));
    }
    if header.prediction.is_chain() && !Feature::Chain.is_built() {
        return refusal.with(ParseError::NotBuilt(Feature::Chain));
    }
    let planned = header.schedule.plan();
    if planned.is_none() && !Feature::Schedule.is_built() {
        return refusal.with(ParseError::NotBuilt(Feature::Schedule));
    }
    tensors(model, refusal)?;
    let mut ops = model.ops();
    let mut written = None;
    for index in 0..header.op_count {
        let fault = Cell::new(ops.missing().map_or(Fault::Decode, Fault::NotBuilt));
        let checker = Checker { model, index, fault };
        written = ops.next().and_then(|op| checker.whole(&op));
        if written.is_none() {
            let fault = checker.fault.get();
            return refusal.with(ParseError::Op { op: index, fault });
        }
    }
    if ops.remaining() != 0 {
        return refusal.with(ParseError::Section(Section::Ops));
    }
    if !output_is(model, written) {
        return refusal.with(ParseError::Header("output"));
    }
    let whole = match planned {
        Some(run) => !header.prediction.is_chain() && plan::holds(model, &run),
        None => schedule_falls(model),
    };
    if !whole {
        return refusal.with(ParseError::Section(Section::Schedule));
    }
    Some(())
}

#[inline(never)]
fn tensors(model: &Model<'_>, refusal: &mut Refusal) -> Check {
    for i in 0..model.tensor_count() {
        let mut bad = |fault| refusal.with(ParseError::Tensor { tensor: i, fault });
        let Some(tensor) = model.tensor(TensorId(i)) else {
            return bad(Fault::Decode);
        };
        if let Err(fault) = tensor.validate(model.header.arena_bytes, model.header.op_count) {
            return bad(fault);
        }
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
                return bad(Fault::Overlap(j));
            }
        }
    }
    Some(())
}

/// Whether `written`, the last operator's output, is the network's, of its shape and number format.
#[inline(never)]
fn output_is(model: &Model<'_>, written: Option<TensorId>) -> bool {
    let header = &model.header;
    let Some(tensor) = model.tensor(header.output) else {
        return false;
    };
    // A Gaussian chain's network gives means, then variances.
    let values = 1 + u32::from(header.prediction == Prediction::Kernel);
    u32::from(tensor.channels) == values * u32::from(header.channels)
        && (tensor.rows, tensor.cols) == (header.rows, header.cols)
        && written == Some(header.output)
        && tensor.last == header.op_count
        && tensor.dtype == Dtype::Q24
}

/// Whether there is an alpha for every timestep, and none is larger than the one before.
#[inline(never)]
fn schedule_falls(model: &Model<'_>) -> bool {
    let steps = model.header.train_steps;
    let mut previous = 1u64 << 62;
    // There are at most 2^16.
    model.schedule().len() == steps as usize * 8
        && (0..steps).all(|t| {
            let before = previous;
            previous = model.alpha_bar_q62(t);
            previous <= before
        })
}

/// Checks one operator. The first check that does not hold leaves its fault here and ends the others: errors that are carried out
/// of every function by value take more code than the checks.
pub(super) struct Checker<'m, 'a> {
    pub(super) model: &'m Model<'a>,
    index: u16,
    fault: Cell<Fault>,
}

impl<'a> Checker<'_, 'a> {
    /// Everything about one operator; gives its output.
    fn whole(&self, op: &Op) -> Option<TensorId> {
        let io = op.io();
        self.io(op, &io)?;
        self.op(op)?;
        Some(io.out)
    }

    /// One of the operator's tensors. [`Checker::io`] has seen that they are all there.
    fn tensor(&self, id: TensorId) -> Tensor {
        self.model.known(id)
    }

    /// Lifetimes and memory of what the operator touches.
    #[inline(never)]
    fn io(&self, op: &Op, io: &Io) -> Check {
        let [a, b, c, d] = io.inputs;
        for id in [Some(io.out), io.scratch, io.window, a, b, c, d].into_iter().flatten() {
            self.ensure(id.0 < self.model.tensor_count(), Fault::UnknownTensor(id.0))?;
        }
        let own = |id: Option<TensorId>| id.map_or(Tensor::NONE, |id| self.tensor(id));
        let (out, scratch, window) = (self.tensor(io.out), own(io.scratch), own(io.window));
        // That these three lie apart, `tensors` has seen: one operator defines them.
        let now = |t: &Tensor| t.def == self.index && t.last == self.index;
        if out.def != self.index || out.dtype == Dtype::Scratch {
            return self.fail(Fault::Lifetime(io.out.0));
        }
        if let Some(id) = io.scratch {
            self.ensure(now(&scratch) && scratch.dtype == Dtype::Scratch, Fault::Lifetime(id.0))?;
            let needed = scratch_bytes(self.model, op);
            let found = scratch.bytes();
            if found < needed {
                return self.fail(Fault::Shape {
                    expected: needed as u32,
                    found: found as u32,
                });
            }
        }
        if let Some(id) = io.window {
            self.built(Feature::NormConv)?;
            self.ensure(now(&window), Fault::Lifetime(id.0))?;
        }
        for (slot, id) in io.inputs.iter().enumerate() {
            let Some(id) = *id else { continue };
            let input = self.tensor(id);
            if input.def >= self.index || input.last < self.index || input.dtype == Dtype::Scratch {
                return self.fail(Fault::Lifetime(id.0));
            }
            let twice = io.inputs[..slot].contains(&Some(id));
            let exact = || input.range() == out.range() && input.dtype == out.dtype && input.same_shape(&out);
            let in_place = || io.in_place == Some(id) && input.last == self.index && exact();
            if twice || scratch.meets(&input) || window.meets(&input) || (out.meets(&input) && !in_place()) {
                return self.fail(Fault::Overlap(id.0));
            }
        }
        Some(())
    }

    #[inline(never)]
    fn op(&self, op: &Op) -> Check {
        match op {
            Op::Input {
                out,
                requant,
                scale,
                shift,
                ..
            } => {
                let (out, header) = (self.tensor(*out), &self.model.header);
                self.activation(&out)?;
                self.same(header.rows.into(), out.rows.into())?;
                self.same(header.cols.into(), out.cols.into())?;
                self.same(header.channels.into(), out.channels.into())?;
                self.finite(*scale)?;
                self.finite(*shift)?;
                self.requant(*requant)
            }
            Op::TimeProj { out, phases, .. } => {
                let out = self.vector(*out)?;
                self.ensure(out.channels.is_multiple_of(2), Fault::Parameter)?;
                self.table::<u32>(*phases, usize::from(out.channels) / 2).map(drop)
            }
            Op::ClassEmbed { out, table } => {
                self.built(Feature::Class)?;
                let out = self.vector(*out)?;
                let count = usize::from(self.model.header.classes) * usize::from(out.channels);
                self.ensure(count > 0, Fault::Parameter)?;
                match out.dtype {
                    Dtype::F16 => self.finite_f16(self.table(*table, count)?),
                    _ => self.table::<i16>(*table, count).map(drop),
                }
            }
            Op::Silu {
                src,
                out,
                in_requant,
                out_requant,
            } => {
                let (src, out) = (self.tensor(*src), self.tensor(*out));
                self.activation(&src)?;
                self.activation(&out)?;
                self.alike(&src, &out)?;
                self.requant(*in_requant)?;
                self.requant(*out_requant)
            }
            Op::Conv(conv) => self.conv(conv, &self.source(&conv.source)?, 1),
            Op::GroupNorm(norm) => self.group_norm(norm, &self.tensor(norm.out)),
            Op::NormConv(both) => self.norm_conv(both),
            Op::Readout(readout) => self.readout(readout),
            Op::Softmax { src, out, in_requant } => {
                self.built(Feature::Chain)?;
                let (src, out) = (self.tensor(*src), self.tensor(*out));
                self.activation(&src)?;
                self.alike(&src, &out)?;
                let dtype = if self.float() { Dtype::F16 } else { Dtype::I16 };
                self.ensure(out.dtype == dtype, Fault::Dtype)?;
                self.requant(*in_requant)
            }
            Op::Attention(attention) => self.attention(attention),
            Op::Upsample { src, out } => self.resample(*src, *out, true),
            Op::AvgPool { src, out } => self.resample(*src, *out, false),
        }
    }

    #[inline(never)]
    fn readout(&self, readout: &Readout) -> Check {
        self.built(Feature::Chain)?;
        self.ensure(readout.groups > 0, Fault::Parameter)?;
        let first = self.table::<u32>(readout.first, readout.groups.into())?;
        let ascending = first.windows(2).all(|w| w[0] < w[1]);
        self.ensure(first[0] == 0 && ascending, Fault::Parameter)?;
        self.conv(&readout.conv, &self.source(&readout.conv.source)?, readout.groups)
    }

    /// `source` is the joined input; there are weights of so many groups.
    #[inline(never)]
    fn conv(&self, c: &Conv, source: &Tensor, groups: u16) -> Check {
        let out = self.tensor(c.out);
        if out.dtype != Dtype::Q24 {
            self.activation(&out)?;
        }
        self.ensure(
            (1..=15).contains(&c.kernel) && (1..=2).contains(&c.stride),
            Fault::Parameter,
        )?;
        self.ensure(c.pad.iter().all(|&p| p < c.kernel), Fault::Parameter)?;
        let zoom = 1 + u32::from(c.upsample);
        let extent = |size: u16, before: u8, after: u8| {
            let padded = u32::from(size) * zoom + u32::from(before) + u32::from(after);
            padded
                .checked_sub(c.kernel.into())
                .map_or(0, |span| span / u32::from(c.stride) + 1)
        };
        self.same(extent(source.rows, c.pad[0], c.pad[2]), out.rows.into())?;
        self.same(extent(source.cols, c.pad[1], c.pad[3]), out.cols.into())?;
        if let Some(Addend {
            tensor,
            requant,
            factor,
        }) = c.addend
        {
            let addend = self.tensor(tensor);
            self.activation(&addend)?;
            let vector = addend.positions() == 1;
            self.ensure(
                vector || addend.same_shape(&out),
                Fault::Shape {
                    expected: out.len() as u32,
                    found: addend.len() as u32,
                },
            )?;
            self.same(out.channels.into(), addend.channels.into())?;
            self.finite(factor)?;
            self.requant(requant)?;
        }
        let float = matches!(c.weights, Weights::F16 { .. });
        self.ensure(float == self.float(), Fault::Dtype)?;
        proof::conv(self, c, source, usize::from(out.channels) * usize::from(groups))
    }

    #[inline(never)]
    fn group_norm(&self, n: &GroupNorm, out: &Tensor) -> Check {
        let source = self.source(&n.source)?;
        self.activation(out)?;
        self.ensure(
            source.same_shape(out),
            Fault::Shape {
                expected: source.channels.into(),
                found: out.channels.into(),
            },
        )?;
        self.ensure(n.groups > 0 && out.channels.is_multiple_of(n.groups), Fault::Parameter)?;
        let elements = out.positions() as u64 * u64::from(out.channels / n.groups);
        let limit = MAX_GROUP_ELEMENTS;
        self.ensure(
            elements <= limit,
            Fault::Shape {
                expected: limit as u32,
                found: elements.min(1 << 31) as u32,
            },
        )?;
        self.ensure(
            n.gamma_frac <= 30 && n.eps_q <= 1 << 62 && (1..INFINITE).contains(&n.eps.to_bits()),
            Fault::Parameter,
        )?;
        let affine = self.table::<u32>(n.affine, 2 * usize::from(out.channels))?;
        if self.float() {
            self.finite_f32(affine)?;
        }
        if let Some((id, requant)) = n.scale_shift {
            self.built(Feature::ScaleShift)?;
            let vector = self.vector(id)?;
            self.same(2 * u32::from(out.channels), vector.channels.into())?;
            self.requant(requant)?;
        }
        self.requant(n.out_requant)
    }

    /// The two halves, as if the window held every row, and that it holds enough of them.
    fn norm_conv(&self, NormConv { norm, conv }: &NormConv) -> Check {
        self.built(Feature::NormConv)?;
        let joined = norm.out == conv.source.first && norm.scratch == conv.scratch;
        let plain = conv.source.second.is_none() && !conv.upsample && norm.scale_shift.is_none();
        self.ensure(joined && plain && !self.float(), Fault::Parameter)?;
        let (rows, mut window) = (self.tensor(norm.source.first).rows, self.tensor(norm.out));
        self.ensure(
            (rows.min(conv.kernel.into())..=rows).contains(&window.rows),
            Fault::Shape {
                expected: conv.kernel.into(),
                found: window.rows.into(),
            },
        )?;
        window.rows = rows;
        self.group_norm(norm, &window)?;
        self.conv(conv, &window, 1)
    }

    fn attention(&self, a: &Attention) -> Check {
        self.built(Feature::Attention)?;
        let q = self.tensor(a.q);
        for id in [a.q, a.k, a.v, a.out] {
            let t = self.tensor(id);
            self.activation(&t)?;
            self.alike(&q, &t)?;
            self.ensure(t.zero_point == 0 || id == a.out, Fault::ZeroPoint)?;
        }
        self.ensure(a.heads > 0 && q.channels.is_multiple_of(a.heads), Fault::Parameter)?;
        self.ensure(q.positions() <= 1 << 15, Fault::Parameter)?;
        self.finite(a.scale)?;
        // |q k^T| <= head_dim * 2^30 stays below the 2^40 that a wide factor takes.
        self.ensure(q.channels / a.heads < 1 << 10, Fault::Accumulator(0))?;
        self.ensure(a.score.is_valid(), Fault::Requant)?;
        self.requant(a.out_requant)
    }

    fn resample(&self, src: TensorId, out: TensorId, up: bool) -> Check {
        self.built(Feature::Resample)?;
        let (src, out) = (self.tensor(src), self.tensor(out));
        self.activation(&src)?;
        self.ensure((src.dtype, src.zero_point) == (out.dtype, out.zero_point), Fault::Dtype)?;
        let (small, big) = if up { (src, out) } else { (out, src) };
        self.same(
            2 * u32::from(small.rows),
            if up { big.rows.into() } else { u32::from(big.rows) & !1 },
        )?;
        self.same(
            2 * u32::from(small.cols),
            if up { big.cols.into() } else { u32::from(big.cols) & !1 },
        )?;
        self.same(src.channels.into(), out.channels.into())
    }

    /// The source as one tensor: the extents of the concatenation.
    fn source(&self, source: &Source) -> Option<Tensor> {
        let mut joined = self.tensor(source.first);
        self.activation(&joined)?;
        if let Some((id, requants)) = source.second {
            let second = self.tensor(id);
            self.activation(&second)?;
            self.same(joined.rows.into(), second.rows.into())?;
            self.same(joined.cols.into(), second.cols.into())?;
            let total = u32::from(joined.channels) + u32::from(second.channels);
            let too_many = Fault::Shape {
                expected: 0xFFFF,
                found: total,
            };
            self.ensure(total <= 0xFFFF, too_many)?;
            joined.channels = total as u16;
            joined.zero_point = 0;
            if !self.float() {
                joined.dtype = Dtype::I16;
            }
            requants.into_iter().try_for_each(|r| self.requant(r))?;
        }
        Some(joined)
    }

    fn vector(&self, id: TensorId) -> Option<Tensor> {
        let tensor = self.tensor(id);
        self.same(1, tensor.positions() as u32)?;
        let dtype = if self.float() { Dtype::F16 } else { Dtype::I16 };
        self.ensure(tensor.dtype == dtype, Fault::Dtype)?;
        Some(tensor)
    }

    #[inline(never)]
    fn activation(&self, tensor: &Tensor) -> Check {
        let float = match tensor.dtype {
            Dtype::I8 | Dtype::I16 => false,
            Dtype::F16 => true,
            Dtype::Q24 | Dtype::Scratch => return self.fail(Fault::Dtype),
        };
        self.ensure(float == self.float(), Fault::Dtype)
    }

    fn requant(&self, requant: Requant) -> Check {
        self.ensure(self.float() || requant.is_valid(), Fault::Requant)
    }

    /// `count` values at `at`.
    pub(super) fn table<T: bytemuck::AnyBitPattern>(&self, at: At, count: usize) -> Option<&'a [T]> {
        let table = self.model.table(at, count);
        if table.is_none() {
            self.no_table(at, count as u64 * size_of::<T>() as u64);
        }
        table
    }

    #[cold]
    #[inline(never)]
    fn no_table(&self, at: At, bytes: u64) {
        let (limit, end) = (self.model.weights().len(), u64::from(at.0) + bytes);
        self.fault.set(if end > limit as u64 {
            Fault::OutOfBounds {
                limit: limit as u32,
                end: end.min(u32::MAX.into()) as u32,
            }
        } else {
            Fault::Alignment(at.0)
        });
    }

    /// Fails at the first f16 that is infinite or not a number.
    pub(super) fn finite_f16(&self, bits: &[u16]) -> Check {
        let bad = bits.iter().position(|b| b & 0x7C00 == 0x7C00);
        bad.map_or(Some(()), |i| self.fail(Fault::NotFinite(i as u32)))
    }

    /// Fails at the first f32 that is infinite or not a number.
    pub(super) fn finite_f32(&self, bits: &[u32]) -> Check {
        let bad = bits.iter().position(|b| b & INFINITE == INFINITE);
        bad.map_or(Some(()), |i| self.fail(Fault::NotFinite(i as u32)))
    }

    /// A parameter that is a number, and finite.
    fn finite(&self, value: f32) -> Check {
        self.ensure(value.to_bits() & INFINITE != INFINITE, Fault::Parameter)
    }

    /// Comes before whatever only a part that can be left out needs, which is then not linked either.
    #[inline(always)]
    pub(super) fn built(&self, feature: Feature) -> Check {
        self.ensure(feature.is_built(), Fault::NotBuilt(feature))
    }

    #[inline(always)]
    pub(super) fn ensure(&self, ok: bool, fault: Fault) -> Check {
        if ok { Some(()) } else { self.fail(fault) }
    }

    #[inline(always)]
    pub(super) fn fail<T>(&self, fault: Fault) -> Option<T> {
        self.fault.set(fault);
        None
    }

    /// The same extents.
    #[inline(never)]
    fn alike(&self, expected: &Tensor, found: &Tensor) -> Check {
        let fault = Fault::Shape {
            expected: expected.len() as u32,
            found: found.len() as u32,
        };
        self.ensure(expected.same_shape(found), fault)
    }

    #[inline(never)]
    fn same(&self, expected: u32, found: u32) -> Check {
        self.ensure(expected == found, Fault::Shape { expected, found })
    }

    fn float(&self) -> bool {
        // Known without a look where the other arithmetic is left out.
        Feature::F16.is_built() && (!Feature::Integer.is_built() || self.model.header.arithmetic == Arithmetic::F16)
    }
}
