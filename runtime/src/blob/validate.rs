//! Checks on tensors and operators: shapes, lifetimes, memory, parameters. Made once, before a `Model` exists.

use core::cell::Cell;

use super::decode;
use super::io::{Io, slot};
use super::model::Model;
use super::op::{Addend, At, Attention, Conv, GroupNorm, NormConv, Op, Readout, Source, Weights};
use super::plan;
use super::proof;
use super::sampling::Prediction;
use super::tensor::{Dtype, TENSOR_ALIGN, Tensor, TensorId};
use crate::blob::header::Arithmetic;
use crate::error::{Fault, ParseError, Refusal, Section};
use crate::features::Feature;
use crate::kernels::scratch_needed;
use crate::numeric::requant::Requant;

/// Elements of a group above which its integer sums could overflow.
pub const MAX_GROUP_ELEMENTS: u64 = 1 << 16;
/// The exponent of an f32 that is infinite or not a number.
const INFINITE: u32 = 0x7F80_0000;

/// `None` where a check did not hold; the [`Checker`] knows which.
pub(super) type Check = Option<()>;

/// Every check on a model whose bytes are those that were written.
#[inline(never)]
pub(super) fn model(model: &Model<'_>, refusal: &mut Refusal) -> Check {
    let header = &model.header;
    header.validate(refusal)?;
    let arithmetic = match header.arithmetic {
        Arithmetic::Integer => Feature::Integer,
        Arithmetic::F16 => Feature::F16,
    };
    if !arithmetic.is_built() {
        return refusal.with(ParseError::NotBuilt(arithmetic));
    }
    if let Some(feature) = header.prediction.feature()
        && !feature.is_built()
    {
        return refusal.with(ParseError::NotBuilt(feature));
    }
    let planned = header.schedule.plan();
    if planned.is_none() && !Feature::Schedule.is_built() {
        return refusal.with(ParseError::NotBuilt(Feature::Schedule));
    }
    let checker = &mut Checker {
        model,
        index: 0,
        fault: Cell::new(None),
        tensors: NONE,
    };
    for tensor in 0..model.tensor_count() {
        checker.record(tensor);
        if let Some(fault) = checker.fault.get() {
            return refusal.with(ParseError::Tensor { tensor, fault });
        }
    }
    let mut reader = model.ops().reader;
    let mut written = TensorId(u16::MAX);
    for index in 0..header.op_count {
        let before = reader.clone();
        let op = &decode::op(&mut reader);
        (checker.index, checker.tensors) = (index, NONE);
        if reader.failed() {
            let fault = decode::missing(before).map_or(Fault::Decode, Fault::NotBuilt);
            return refusal.with(ParseError::Op { op: index, fault });
        }
        let io = op.io();
        written = io.out();
        if checker.io(op, &io).is_some() {
            checker.op(op);
        }
        if let Some(fault) = checker.fault.get() {
            return refusal.with(ParseError::Op { op: index, fault });
        }
    }
    if !reader.rest().is_empty() {
        return refusal.with(ParseError::Section(Section::Ops));
    }
    // The last operator's output is the network's, of its shape and number format. A Gaussian chain's network gives means, then
    // variances.
    let out = &checker.tensors[slot::OUT];
    let values = 1 + u32::from(header.prediction == Prediction::Kernel);
    let is_output = u32::from(out.channels) == values * u32::from(header.channels)
        && (out.rows, out.cols) == (header.rows, header.cols)
        && (out.last, out.dtype) == (header.op_count, Dtype::Q24)
        && written == header.output;
    if !is_output {
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

/// Whether there are as many alphas as there should be, and none is larger than the one before.
#[inline(never)]
fn schedule_falls(model: &Model<'_>) -> bool {
    let steps = model.header.schedule.alphas(model.header.train_steps);
    let mut previous = 1u64 << 62;
    // There are at most 2^16.
    model.schedule().len() == steps as usize * 8
        && (0..steps).all(|t| {
            let before = previous;
            previous = model.alpha_bar_q62(t);
            previous <= before
        })
}

/// Checks one tensor or operator after the other. A check that does not hold leaves its fault here: errors that are carried out of
/// every function by value take more code than the checks. It ends those that rely on it (`?`); others are made, and the last fault
/// is reported.
pub(super) struct Checker<'m, 'a> {
    pub(super) model: &'m Model<'a>,
    index: u16,
    fault: Cell<Option<Fault>>,
    /// Its tensors by [`slot`]; those of nothing where it has none.
    tensors: [Tensor; slot::COUNT],
}

/// Tensors of an operator that has none.
const NONE: [Tensor; slot::COUNT] = [const { Tensor::known(&Tensor::NONE) }; slot::COUNT];

impl<'a> Checker<'_, 'a> {
    /// A tensor's record against the arena's size and the records before it.
    #[inline(never)]
    fn record(&self, index: u16) -> Check {
        let header = &self.model.header;
        let record = self.model.tensors.get(usize::from(index))?;
        self.ensure(Tensor::is_known(record), Fault::Decode)?;
        let tensor = &Tensor::known(record);
        let scratch = tensor.dtype == Dtype::Scratch;
        let (rows, cols) = (u32::from(tensor.rows), u32::from(tensor.cols));
        let some = rows != 0 && tensor.channels != 0 && (cols != 0 || scratch);
        self.ensure(some, Fault::Shape { expected: 1, found: 0 })?;
        // In 64 bits, so that no record overflows the usize of a 32-bit core.
        let (factor, size) = if scratch {
            ((rows - 1) * 0x8000 + cols, 4)
        } else {
            (rows * cols, tensor.channels)
        };
        let fault = Fault::Shape {
            expected: 1 << 28,
            found: u32::MAX,
        };
        self.ensure(u64::from(factor) * u64::from(size) <= 1 << 28, fault)?;
        self.ensure(
            tensor.offset.is_multiple_of(TENSOR_ALIGN),
            Fault::Alignment(tensor.offset),
        );
        let end = tensor.offset.saturating_add(tensor.bytes() as u32);
        self.ensure(
            end <= header.arena_bytes,
            Fault::OutOfBounds {
                limit: header.arena_bytes,
                end,
            },
        );
        self.ensure(tensor.zero_point == 0 || tensor.dtype == Dtype::I8, Fault::ZeroPoint);
        let alive = tensor.def < header.op_count && tensor.last >= tensor.def && tensor.last <= header.op_count;
        self.ensure(alive, Fault::Lifetime(tensor.def));
        for (before, record) in (0..index).zip(self.model.tensors) {
            let other = &Tensor::known(record);
            let apart = !tensor.lives_with(other) || !tensor.meets(other);
            self.ensure(apart, Fault::Overlap(before));
        }
        Some(())
    }

    /// Finds its tensors and checks their number formats, lifetimes and memory.
    #[inline(never)]
    fn io(&mut self, op: &Op, io: &Io) -> Check {
        let activations = if self.model.is_float() {
            1 << Dtype::F16 as u8
        } else {
            1 << Dtype::I8 as u8 | 1 << Dtype::I16 as u8
        };
        let last_format = if op.conv().is_some() { 1 << Dtype::Q24 as u8 } else { 0 };
        let out = self.model.record(io.tensors[slot::OUT]);
        for (slot, id) in io.tensors.iter().enumerate() {
            let Some(id) = *id else { continue };
            let Some(record) = self.model.record(Some(id)) else {
                return self.fail(Fault::UnknownTensor(id.0));
            };
            self.tensors[slot] = Tensor::known(record);
            let tensor = &self.tensors[slot];
            let formats = match slot {
                slot::SCRATCH => 1 << Dtype::Scratch as u8,
                slot::OUT => activations | last_format,
                _ => activations,
            };
            self.ensure(formats >> tensor.dtype as u8 & 1 == 1, Fault::Dtype);
            let (def, last, now) = (tensor.def, tensor.last, self.index);
            let alive = if slot < slot::FIRST {
                def == now && (last == now || slot == slot::OUT)
            } else {
                def < now && last >= now
            };
            self.ensure(alive, Fault::Lifetime(id.0));
            // All but the output's own memory, where that may be taken over.
            let exact = slot == io.in_place && last == now && out.is_some_and(|out| Tensor::in_place_of(record, out));
            for (other, before) in self.tensors.iter().enumerate().take(slot) {
                if exact && other == slot::OUT {
                    continue;
                }
                self.ensure(!tensor.meets(before), Fault::Overlap(id.0));
            }
        }
        let found = self.tensors[slot::SCRATCH].bytes();
        self.at_most(
            found as u32,
            scratch_needed(self.model.is_float(), op, &self.tensors) as u32,
        )
    }

    #[inline(never)]
    fn op(&mut self, op: &Op) -> Check {
        let [out, _, _, src, ..] = &self.tensors;
        match op {
            Op::Input {
                requant, scale, shift, ..
            } => {
                let header = &self.model.header;
                self.same(header.rows.into(), out.rows.into());
                self.same(header.cols.into(), out.cols.into());
                self.same(header.channels.into(), out.channels.into());
                self.finite(*scale);
                self.finite(*shift);
                self.requant(*requant)
            }
            Op::TimeProj { phases, .. } => {
                self.vector(out);
                self.ensure(out.channels.is_multiple_of(2), Fault::Parameter);
                self.table::<i32>(*phases, usize::from(out.channels) / 2).map(drop)
            }
            Op::ClassEmbed { table, .. } if Feature::Class.is_built() => {
                self.vector(out);
                let count = usize::from(self.model.header.classes) * usize::from(out.channels);
                self.ensure(count > 0, Fault::Parameter)?;
                match out.dtype {
                    Dtype::F16 => self.finite_f16(self.table(*table, count)?),
                    _ => self.table::<i16>(*table, count).map(drop),
                }
            }
            Op::Silu {
                in_requant,
                out_requant,
                ..
            } => {
                self.alike(src, out);
                self.requant(*in_requant);
                self.requant(*out_requant)
            }
            Op::Conv(conv) => {
                self.join(&conv.source)?;
                self.conv(conv, 1)
            }
            Op::GroupNorm(norm) => {
                self.join(&norm.source)?;
                self.group_norm(norm, &self.tensors[slot::OUT])
            }
            Op::NormConv(both) if Feature::NormConv.is_built() => self.norm_conv(both),
            Op::Readout(readout) if Feature::Chain.is_built() => self.readout(readout),
            Op::Softmax { in_requant, .. } if Feature::Chain.is_built() => {
                self.alike(src, out);
                let dtype = if self.model.is_float() { Dtype::F16 } else { Dtype::I16 };
                self.ensure(out.dtype == dtype, Fault::Dtype);
                self.requant(*in_requant)
            }
            Op::Attention(attention) if Feature::Attention.is_built() => self.attention(attention),
            Op::Upsample { .. } if Feature::Resample.is_built() => self.resample(src, out, true),
            Op::AvgPool { .. } if Feature::Resample.is_built() => self.resample(src, out, false),
            // Of what is not built, no operator is decoded.
            _ => self.fail(Fault::Decode),
        }
    }

    #[inline(never)]
    fn readout(&mut self, readout: &Readout) -> Check {
        self.join(&readout.conv.source)?;
        self.ensure(readout.groups > 0, Fault::Parameter)?;
        let first = self.table::<u32>(readout.first, readout.groups.into())?;
        let ascending = first.windows(2).all(|w| w[0] < w[1]);
        self.ensure(first[0] == 0 && ascending, Fault::Parameter)?;
        self.conv(&readout.conv, readout.groups)
    }

    /// There are weights of so many groups.
    #[inline(never)]
    fn conv(&self, c: &Conv, groups: u16) -> Check {
        let [out, _, _, source, _, addend] = &self.tensors;
        self.ensure(
            (1..=15).contains(&c.kernel) && (1..=2).contains(&c.stride),
            Fault::Parameter,
        )?;
        self.ensure(c.pad.iter().all(|&p| p < c.kernel), Fault::Parameter)?;
        self.extent(c, 0, source.rows, out.rows);
        self.extent(c, 1, source.cols, out.cols);
        if let Some(Addend { requant, factor, .. }) = c.addend {
            if addend.positions() != 1 {
                self.alike(out, addend);
            }
            self.same(out.channels.into(), addend.channels.into());
            self.finite(factor);
            self.requant(requant);
        }
        let float = matches!(c.weights, Weights::F16 { .. });
        self.ensure(float == self.model.is_float(), Fault::Dtype)?;
        proof::conv(self, c, source, usize::from(out.channels) * usize::from(groups))
    }

    /// That a convolution makes `out` rows, or columns, of so many.
    #[inline(never)]
    fn extent(&self, c: &Conv, axis: usize, size: u16, out: u16) -> Check {
        let padded = (u32::from(size) << u32::from(c.upsample)) + u32::from(c.pad[axis]) + u32::from(c.pad[axis + 2]);
        let span = padded.checked_sub(c.kernel.into());
        // A stride is 1 or 2.
        self.same(span.map_or(0, |span| (span >> (c.stride - 1)) + 1), out.into())
    }

    #[inline(never)]
    fn group_norm(&self, n: &GroupNorm, out: &Tensor) -> Check {
        self.alike(&self.tensors[slot::FIRST], out)?;
        self.ensure(n.groups > 0 && out.channels.is_multiple_of(n.groups), Fault::Parameter)?;
        // A tensor's elements are in the range of u32.
        let elements = out.positions() as u32 * u32::from(out.channels / n.groups);
        self.at_most(MAX_GROUP_ELEMENTS as u32, elements);
        self.ensure(
            n.gamma_frac <= 30 && n.eps_q <= 1 << 62 && (1..INFINITE).contains(&n.eps.to_bits()),
            Fault::Parameter,
        );
        let affine = self.table::<i32>(n.affine, 2 * usize::from(out.channels))?;
        if self.model.is_float() {
            self.finite_f32(affine)?;
        }
        if let Some((_, requant)) = n.scale_shift {
            self.built(Feature::ScaleShift)?;
            let vector = &self.tensors[slot::THIRD];
            self.vector(vector);
            self.same(2 * u32::from(out.channels), vector.channels.into());
            self.requant(requant);
        }
        self.requant(n.out_requant)
    }

    /// The two halves, as if the window held every row, and that it holds enough of them.
    fn norm_conv(&mut self, NormConv { norm, conv }: &NormConv) -> Check {
        self.join(&norm.source)?;
        let joined = norm.out == conv.source.first && norm.scratch == conv.scratch;
        let plain = conv.source.second.is_none() && !conv.upsample && norm.scale_shift.is_none();
        self.ensure(joined && plain && !self.model.is_float(), Fault::Parameter)?;
        let (rows, mut window) = (self.tensors[slot::FIRST].rows, self.tensors[slot::WINDOW]);
        self.ensure(
            (rows.min(conv.kernel.into())..=rows).contains(&window.rows),
            Fault::Shape {
                expected: conv.kernel.into(),
                found: window.rows.into(),
            },
        )?;
        window.rows = rows;
        self.group_norm(norm, &window)?;
        self.tensors[slot::FIRST] = window;
        self.conv(conv, 1)
    }

    fn attention(&self, a: &Attention) -> Check {
        let [out, _, _, inputs @ ..] = &self.tensors;
        let [q, ..] = inputs;
        for t in inputs.iter().chain([out]) {
            self.alike(q, t)?;
        }
        self.ensure(inputs.iter().all(|t| t.zero_point == 0), Fault::ZeroPoint)?;
        self.ensure(a.heads > 0 && q.channels.is_multiple_of(a.heads), Fault::Parameter)?;
        self.ensure(q.positions() <= 1 << 15, Fault::Parameter)?;
        self.finite(a.scale)?;
        // |q k^T| <= head_dim * 2^30 stays below the 2^40 that a wide factor takes.
        self.ensure(q.channels / a.heads < 1 << 10, Fault::Accumulator(0))?;
        self.ensure(a.score.is_valid(), Fault::Requant)?;
        self.requant(a.out_requant)
    }

    fn resample(&self, src: &Tensor, out: &Tensor, up: bool) -> Check {
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

    /// Makes the source one tensor: that of the concatenation.
    #[inline(never)]
    fn join(&mut self, source: &Source) -> Check {
        let [_, _, _, first, second, _] = &self.tensors;
        if let Some((_, [a, b])) = source.second {
            self.same(first.rows.into(), second.rows.into());
            self.same(first.cols.into(), second.cols.into());
            let total = u32::from(first.channels) + u32::from(second.channels);
            self.at_most(0xFFFF, total);
            self.requant(a);
            self.requant(b);
            let dtype = if self.model.is_float() { Dtype::F16 } else { Dtype::I16 };
            let joined = &mut self.tensors[slot::FIRST];
            (joined.channels, joined.zero_point, joined.dtype) = (total as u16, 0, dtype);
        }
        Some(())
    }

    #[inline(never)]
    fn vector(&self, tensor: &Tensor) {
        self.same(1, tensor.positions() as u32);
        let dtype = if self.model.is_float() { Dtype::F16 } else { Dtype::I16 };
        self.ensure(tensor.dtype == dtype, Fault::Dtype);
    }

    #[inline(never)]
    fn requant(&self, requant: Requant) -> Check {
        self.ensure(self.model.is_float() || requant.is_valid(), Fault::Requant)
    }

    /// `count` values at `at`.
    pub(super) fn table<T: bytemuck::AnyBitPattern>(&self, at: At, count: usize) -> Option<&'a [T]> {
        let table = self.model.table(at, count);
        if table.is_none() {
            self.no_table(at, count, size_of::<T>() as u32);
        }
        table
    }

    #[cold]
    #[inline(never)]
    fn no_table(&self, at: At, count: usize, size: u32) {
        let (limit, count) = (
            self.model.weights().len() as u32,
            u32::try_from(count).unwrap_or(u32::MAX),
        );
        let end = at.0.saturating_add(count.saturating_mul(size));
        self.fault.set(Some(if end > limit {
            Fault::OutOfBounds { limit, end }
        } else {
            Fault::Alignment(at.0)
        }));
    }

    /// Fails at the first f16 that is infinite or not a number.
    pub(super) fn finite_f16(&self, bits: &[u16]) -> Check {
        let bad = bits.iter().position(|b| b & 0x7C00 == 0x7C00);
        bad.map_or(Some(()), |i| self.fail(Fault::NotFinite(i as u32)))
    }

    /// Fails at the first f32 that is infinite or not a number.
    pub(super) fn finite_f32(&self, bits: &[i32]) -> Check {
        let bad = bits.iter().position(|b| b.cast_unsigned() & INFINITE == INFINITE);
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
        self.fault.set(Some(fault));
        None
    }

    /// The same extents.
    #[inline(never)]
    fn alike(&self, expected: &Tensor, found: &Tensor) -> Check {
        let rows = self.same(expected.rows.into(), found.rows.into());
        let cols = self.same(expected.cols.into(), found.cols.into());
        self.same(expected.channels.into(), found.channels.into())
            .and(rows)
            .and(cols)
    }

    #[inline(never)]
    fn same(&self, expected: u32, found: u32) -> Check {
        self.ensure(expected == found, Fault::Shape { expected, found })
    }

    #[inline(never)]
    fn at_most(&self, expected: u32, found: u32) -> Check {
        self.ensure(found <= expected, Fault::Shape { expected, found })
    }
}
