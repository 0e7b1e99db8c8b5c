//! What a model file says of itself.

use crate::names::Names;
use crate::ops::{Cost, cost};
use crate::plan::Arena;
use mote_runtime::Model;
use mote_runtime::internals::model::header::Arithmetic;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::{Dtype, Tensor, TensorId};

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
            let out = model.tensor(op.slots().out())?;
            let Cost {
                weights,
                macs,
                weight_bytes,
            } = cost(model, &op, &out);
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
