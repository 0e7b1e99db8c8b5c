//! What a model file says of itself.

use crate::names::Names;
use crate::plan::Arena;
use mote_runtime::Model;
use mote_runtime::blob::header::Arithmetic;
use mote_runtime::blob::int4;
use mote_runtime::blob::op::{Conv, NormConv, Op, Weights};
use mote_runtime::blob::tensor::{Dtype, Tensor, TensorId};
use mote_runtime::kernels::family::padded;

use super::data::{Block, MemoryMap, OperatorRow, ReportData};
use super::text::{bytes, count, grouped};

impl ReportData {
    /// Title, facts, memory map and operators of `model`, whose file has `file_bytes` bytes. The rest is left empty.
    pub fn of(model: &Model<'_>, file_bytes: usize) -> Self {
        let provenance: serde_json::Value = serde_json::from_slice(model.provenance()).unwrap_or_default();
        let word = |key: &str| provenance[key].as_str().unwrap_or("unknown").to_owned();
        let (header, memory) = (model.header(), MemoryMap::of(model));
        let arithmetic = match header.arithmetic {
            Arithmetic::Integer => "integers only",
            Arithmetic::F16 => "f16 storage, f32 arithmetic",
        };
        let classes = match (header.classes, header.null_class) {
            (0, _) => "none".to_owned(),
            (n, None) => n.to_string(),
            (n, Some(null)) => format!("{n}, of which {null} stands for no class"),
        };
        let facts = [
            ("Scheme", format!("{}, {arithmetic}", word("scheme"))),
            (
                "Sample",
                format!("{} × {} × {}", header.rows, header.cols, header.channels),
            ),
            ("Classes", classes),
            ("Predicts", format!("{:?}", header.prediction).to_lowercase()),
            (
                "Model file",
                format!("{} ({} bytes)", bytes(file_bytes as u64), grouped(file_bytes as u64)),
            ),
            ("Weights", bytes(model.weights().len() as u64)),
            (
                "Arena",
                format!(
                    "{} ({} bytes), {}",
                    bytes(memory.arena_bytes as u64),
                    grouped(memory.arena_bytes as u64),
                    provenance["arena"].as_str().unwrap_or(Arena::Fast.name())
                ),
            ),
            (
                "Work a network call",
                format!("{} multiply-accumulates", count(header.macs)),
            ),
            ("Operators", header.op_count.to_string()),
            ("Checkpoint SHA-256", word("checkpoint_sha256")),
            ("Converter", word("converter")),
            ("Model CRC-32", format!("{:08x}", model.crc())),
        ];
        Self {
            title: word("model"),
            facts: facts.map(|(label, value)| (label.to_owned(), value)).into(),
            memory: Some(memory),
            operators: OperatorRow::all(model),
            ..Self::default()
        }
    }
}

impl MemoryMap {
    /// The arena of `model`, with the lower bound that follows from its lifetimes.
    pub fn of(model: &Model<'_>) -> Self {
        let names = Names::of(model);
        let tensors: Vec<Tensor> = (0..model.tensor_count())
            .filter_map(|i| model.tensor(TensorId(i)))
            .collect();
        let operators = usize::from(model.header().op_count);
        let live = |op: usize| {
            let alive = |t: &&Tensor| usize::from(t.def) <= op && op <= usize::from(t.last);
            union_bytes(
                tensors
                    .iter()
                    .filter(alive)
                    .map(|t| (t.range().start, t.range().end.next_multiple_of(4)))
                    .collect(),
            )
        };
        let block = |(i, t): (usize, &Tensor)| Block {
            name: if t.dtype == Dtype::Scratch {
                format!("scratch of {}", names.op(t.def.into()))
            } else {
                names.tensor(i)
            },
            dtype: dtype(t.dtype).to_owned(),
            offset: t.offset as usize,
            bytes: t.bytes(),
            def: t.def.into(),
            last: t.last.into(),
            scratch: t.dtype == Dtype::Scratch,
        };
        Self {
            arena_bytes: model.header().arena_bytes as usize,
            lower_bound_bytes: (0..operators).map(live).max().unwrap_or(0),
            operators,
            blocks: tensors.iter().enumerate().map(block).collect(),
        }
    }
}

/// Bytes that are in at least one of the ranges: memory that is taken over in place counts once.
fn union_bytes(mut ranges: Vec<(usize, usize)>) -> usize {
    ranges.sort_unstable();
    let (mut total, mut reached) = (0, 0);
    for (start, end) in ranges {
        total += end.saturating_sub(start.max(reached));
        reached = reached.max(end);
    }
    total
}

impl OperatorRow {
    /// A row for every operator of `model`.
    pub fn all(model: &Model<'_>) -> Vec<Self> {
        let names = Names::of(model);
        let row = |(i, op): (usize, Op)| {
            let out = model.tensor(op.io().out())?;
            let (weights, macs, weight_bytes) = weights(model, &op, &out);
            Some(Self {
                name: names.op(i),
                kind: op.kind().to_owned(),
                shape: format!("{} × {} × {}", out.rows, out.cols, out.channels),
                dtype: dtype(out.dtype).to_owned(),
                weights: weights.to_owned(),
                macs,
                elements: out.len() as u64,
                weight_bytes,
                out_bytes: out.bytes() as u64,
            })
        };
        model.ops().enumerate().filter_map(row).collect()
    }
}

/// Number format of the weights, multiply-accumulates, bytes of weights with biases and multipliers.
fn weights(model: &Model<'_>, op: &Op, out: &Tensor) -> (&'static str, u64, u64) {
    let outs = u64::from(out.channels);
    match op {
        Op::Readout(r) => {
            let (dtype, macs, bytes) = conv_weights(model, &r.conv, out);
            (dtype, macs, bytes * u64::from(r.groups))
        }
        Op::Conv(c) => conv_weights(model, c, out),
        Op::NormConv(NormConv { norm, conv }) => {
            let (weights, macs, bytes) = conv_weights(model, conv, out);
            let channels = model.tensor(norm.out).map_or(0, |t| t.channels);
            (weights, macs, bytes + 8 * u64::from(channels))
        }
        Op::GroupNorm(_) => ("", 0, 8 * outs),
        Op::Attention(_) => ("", 2 * (out.positions() as u64).pow(2) * outs, 0),
        Op::ClassEmbed(_) => ("", 0, u64::from(model.header().classes) * outs * 2),
        Op::TimeProj(_) => ("", 0, outs * 2),
        Op::Input(_) | Op::Silu(_) | Op::Softmax(_) | Op::Upsample(_) | Op::AvgPool(_) => ("", 0, 0),
    }
}

fn conv_weights(model: &Model<'_>, c: &Conv, out: &Tensor) -> (&'static str, u64, u64) {
    let outs = u64::from(out.channels);
    let second = c.source.second.map(|(id, _)| id);
    let sources = [Some(c.source.first), second].into_iter().flatten();
    let ins: u64 = sources
        .filter_map(|id| model.tensor(id))
        .map(|t| u64::from(t.channels))
        .sum();
    let taps = u64::from(c.kernel).pow(2) * ins;
    let row = padded(taps as usize) as u64;
    let macs = out.positions() as u64 * taps * outs;
    match c.weights {
        Weights::W8 { .. } => ("int8", macs, outs * (row + 4 + 5)),
        Weights::W4 { .. } => ("int4", macs, outs * (4 * int4::row_words(taps as usize) as u64 + 4 + 5)),
        Weights::W16 { .. } => ("int16", macs, outs * (2 * row + 8 + 5)),
        Weights::F16 { .. } => ("f16", macs, outs * (2 * taps + 4)),
    }
}

/// Number format by the name that people use.
pub(crate) fn dtype(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::I8 => "int8",
        Dtype::I16 => "int16",
        Dtype::F16 => "f16",
        Dtype::Q24 => "int32 Q24",
        Dtype::Scratch => "scratch",
    }
}
