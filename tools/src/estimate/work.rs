//! What an operator does, in amounts that a core has a cost for: multiply-accumulates, taps that are gathered, outputs that are rounded.
//!
//! The names of amounts are keys of `assets/costs.json`, which holds the instructions that each takes on a core.

use std::collections::BTreeMap;

use mote_runtime::Model;
use mote_runtime::internals::family::{COLUMNS, Layout, padded};
use mote_runtime::internals::model::header::Arithmetic;
use mote_runtime::internals::ops::conv::Source;
use mote_runtime::internals::ops::{Attention, Conv, GroupNorm, Norm, NormConv, Op, Pointwise, Weights};
use mote_runtime::internals::tensor::slots::slot;
use mote_runtime::internals::tensor::{Dtype, Tensor, TensorId};

/// Amounts by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Work(pub BTreeMap<String, f64>);

impl Work {
    fn add(&mut self, name: impl Into<String>, amount: impl TryInto<u64>) {
        let amount: u64 = amount.try_into().unwrap_or(0);
        if amount > 0 {
            *self.0.entry(name.into()).or_default() += amount as f64;
        }
    }

    /// Of every operator of `model`, in the order of the file.
    #[must_use]
    pub fn of_operators(model: &Model<'_>) -> Vec<Self> {
        model.ops().map(|op| Self::of(model, &op)).collect()
    }

    /// Of a step outside the network: coefficients, noise, the update of the state, its digest.
    #[must_use]
    pub fn of_sampler(model: &Model<'_>) -> Self {
        let header = model.header();
        let mut work = Self::default();
        work.add("step", 1_u32);
        work.add("step operator", u32::from(header.op_count));
        let elements = u32::from(header.rows) * u32::from(header.cols) * u32::from(header.channels);
        work.add("step element", elements);
        work
    }

    /// Of an operator for a block of its output channels, [first, end, all]. A normalization inside it is made once where its window has
    /// every row.
    #[must_use]
    pub fn of_block(model: &Model<'_>, op: &Op, [first, end, all]: [usize; 3], is_first: bool) -> Self {
        let mut work = Self::of(model, op);
        let whole = |both: &NormConv| {
            let shapes = Shapes(model);
            shapes.of(both.norm.out).rows == shapes.of(both.norm.source.first).rows
        };
        let again = !is_first && !matches!(op, Op::NormConv(both) if !whole(both));
        work.0
            .retain(|name, _| !(again && name.trim_start_matches("f16 ").starts_with("group_norm")));
        // Outputs are the block's; what is gathered for them is not.
        let share = (end - first) as f64 / all.max(1) as f64;
        for (name, amount) in &mut work.0 {
            if ["mac ", "output ", "addend "].iter().any(|part| name.contains(part)) {
                *amount *= share;
            }
        }
        work
    }

    /// Of one operator.
    fn of(model: &Model<'_>, op: &Op) -> Self {
        let mut work = Self::default();
        let shapes = Shapes(model);
        let out = shapes.of(op.slots().out());
        match op {
            Op::Conv(conv) => work.conv(&shapes, conv, &shapes.of(conv.source.first), &out),
            Op::Readout(readout) => work.conv(&shapes, &readout.conv, &shapes.of(readout.conv.source.first), &out),
            Op::Grouped(grouped) => {
                let from = shapes.of(grouped.conv.source.first);
                let seen = usize::from(from.channels / grouped.groups.max(1));
                let products = out.len() * grouped.conv.kernel().area() * seen;
                work.add(format!("{} {}>{}", op.kind(), format(&from), format(&out)), products);
            }
            Op::GroupNorm(norm) => work.group_norm(&shapes, norm, &out),
            Op::NormConv(both) => {
                // The window holds some rows at a time; together they are those of the source.
                let rows = shapes.of(both.norm.source.first).rows;
                let whole = Tensor {
                    rows,
                    ..shapes.of(both.norm.out)
                };
                work.group_norm(&shapes, &both.norm, &whole);
                work.conv(&shapes, &both.conv, &whole, &out);
            }
            Op::Norm(norm) => work.norm(&shapes, norm, &out),
            Op::Attention(attention) => work.attention(&shapes, attention, &out),
            Op::Pointwise(pointwise) => work.pointwise(&shapes, pointwise, &out),
            other => {
                work.add(other.kind(), 1_u32);
                let from = other.slots().tensors[slot::FIRST].map_or("", |id| format(&shapes.of(id)));
                work.add(format!("{} {from}>{}", other.kind(), format(&out)), out.len());
            }
        }
        if model.header().arithmetic == Arithmetic::F16 {
            work.0 = work
                .0
                .into_iter()
                .map(|(name, amount)| (format!("f16 {name}"), amount))
                .collect();
        }
        work
    }

    /// `input` is the first source, with all of its rows.
    fn conv(&mut self, shapes: &Shapes<'_, '_>, conv: &Conv, input: &Tensor, out: &Tensor) {
        let channels = shapes.joined(&conv.source);
        let [kernel, stride] = [conv.kernel, conv.stride].map(|s| [usize::from(s.rows()), usize::from(s.cols())]);
        let (positions, outs) = (out.positions(), usize::from(out.channels));
        // Kernel rows outside the input are left out, and not so columns.
        let rows = usize::from(input.rows) * if conv.upsample { 2 } else { 1 };
        let inside = |row: usize| {
            let first = (row * stride[0]) as isize - isize::from(conv.pad[0] as i8);
            (0..kernel[0])
                .filter(|k| (0..rows as isize).contains(&(first + *k as isize)))
                .count()
        };
        let kernel_rows: usize = (0..usize::from(out.rows)).map(inside).sum();
        let runs = kernel_rows * usize::from(out.cols);
        let taps = runs * kernel[1] * channels;
        let weights = match conv.weights {
            Weights::W8 { .. } => "w8",
            Weights::W16 { .. } => "w16",
            Weights::W4 { .. } => "w4",
            Weights::F16 { .. } => "f16",
        };
        let joined = if conv.source.second.is_some() { "joined " } else { "" };
        let (from, to) = (format(input), format(out));
        let columns = if joined.is_empty() { from } else { "16" };
        let block = Layout::elements(COLUMNS, kernel[0] * kernel[1] * channels);
        // f16 convolutions take a column at a time.
        let whole = positions > 1 && weights != "f16" && shapes.of(conv.scratch).bytes() >= 2 * block;
        let lanes = if whole { "" } else { "single " };
        let blocks = if whole { positions.div_ceil(COLUMNS) } else { positions };
        self.add("conv", 1_u32);
        // Rows of weights are padded.
        let full = kernel[0] * kernel[1] * channels;
        self.add(
            format!("{lanes}mac {weights} {columns}"),
            taps * padded(full) / full.max(1) * outs,
        );
        self.add(format!("{lanes}output {weights} {to}"), blocks * outs);
        self.add(format!("{lanes}block"), blocks);
        let fours = channels.is_multiple_of(COLUMNS) && usize::from(out.cols).is_multiple_of(COLUMNS);
        let strips = kernel == [3, 3] && stride == [1, 1] && joined.is_empty() && from == "8" && fours && whole;
        let way = match (strips, kernel) {
            (true, _) => "strip ",
            (_, [1, 1]) => "point ",
            _ => "",
        };
        let up = if conv.upsample { "upsampled " } else { "" };
        self.add(format!("tap {way}{up}{joined}{from}"), taps);
        self.add(format!("run {way}{up}{joined}"), runs);
        if let Some(addend) = &conv.addend {
            let added = shapes.of(addend.tensor);
            let kind = if added.positions() == positions {
                "whole"
            } else {
                "vector"
            };
            self.add(format!("addend {kind} {}", format(&added)), out.len());
        }
    }

    fn group_norm(&mut self, shapes: &Shapes<'_, '_>, norm: &GroupNorm, out: &Tensor) {
        let from = format(&shapes.of(norm.source.first));
        let silu = if norm.silu { " silu" } else { "" };
        self.add("group_norm", 1_u32);
        self.add(format!("group_norm {from}>{}{silu}", format(out)), out.len());
        self.add("group_norm channel", out.channels);
        self.add("group_norm group", norm.groups);
        if norm.source.second.is_some() {
            self.add("group_norm joined", out.len());
        }
        if norm.scale_shift.is_some() {
            self.add("group_norm scale", out.channels);
        }
    }

    fn norm(&mut self, shapes: &Shapes<'_, '_>, norm: &Norm, out: &Tensor) {
        let from = format(&shapes.of(norm.source.first));
        let silu = if norm.silu { " silu" } else { "" };
        self.add("norm", 1_u32);
        self.add(format!("norm {from}>{}{silu}", format(out)), out.len());
        let sets = if norm.by_position { out.positions() } else { 1 };
        self.add("norm set", sets * usize::from(norm.groups));
        if norm.source.second.is_some() {
            self.add("norm joined", out.len());
        }
        if norm.scale_shift.is_some() {
            self.add("norm scale", out.channels);
        }
    }

    fn attention(&mut self, shapes: &Shapes<'_, '_>, attention: &Attention, out: &Tensor) {
        let keys = shapes.of(attention.k).positions();
        let pairs = out.positions() * keys;
        self.add("attention", 1_u32);
        self.add(
            format!("attention mac {}", format(&shapes.of(attention.k))),
            pairs * usize::from(out.channels) * 2,
        );
        self.add("attention pair", pairs * usize::from(attention.heads));
        self.add("attention position", out.positions() * usize::from(attention.heads));
    }

    fn pointwise(&mut self, shapes: &Shapes<'_, '_>, pointwise: &Pointwise, out: &Tensor) {
        let from = format(&shapes.of(pointwise.src));
        let (to, elements) = (format(out), out.len());
        self.add("pointwise", 1_u32);
        let table = if pointwise.table.is_some() { "table" } else { "copy" };
        self.add(format!("pointwise {table} {from}>{to}"), elements);
        let Some(affine) = &pointwise.affine else { return };
        self.add("pointwise affine", elements);
        let beside = |id: TensorId| {
            let other = shapes.of(id);
            let whole = other.positions() == out.positions() && other.channels == out.channels;
            (if whole { "whole" } else { "vector" }, format(&other))
        };
        if let Some(factor) = &affine.factor {
            let (kind, of) = beside(factor.tensor);
            self.add(format!("pointwise factor {kind} {of}"), elements);
        }
        if let Some(addend) = &affine.addend {
            let (kind, of) = addend.tensor.map_or(("vector", "16"), beside);
            self.add(format!("pointwise addend {kind} {of}"), elements);
        }
    }
}

/// Tensors of a model by their numbers.
struct Shapes<'m, 'f>(&'m Model<'f>);

impl Shapes<'_, '_> {
    fn of(&self, id: TensorId) -> Tensor {
        // A parsed model names no tensor that it does not have.
        self.0.tensor(id).unwrap_or(Tensor::scratch(0, 0))
    }

    /// Channels of a source.
    fn joined(&self, source: &Source) -> usize {
        let second = source.second.map_or(0, |(id, _)| usize::from(self.of(id).channels));
        usize::from(self.of(source.first).channels) + second
    }
}

fn format(tensor: &Tensor) -> &'static str {
    match tensor.dtype {
        Dtype::I8 => "8",
        Dtype::I16 => "16",
        Dtype::F16 => "f16",
        Dtype::Q24 => "32",
        Dtype::Scratch => "",
    }
}
