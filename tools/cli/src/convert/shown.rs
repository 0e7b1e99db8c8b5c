//! What a conversion made, as JSON and as text.

use super::Args;
use crate::model_file::sha256;
use crate::output_file::OutputFile;
use crate::print::{self, bytes, count};
use mote_runtime::Model;
use mote_runtime::blob::tensor::TensorId;
use mote_tools::backend::footprint::Fit;
use mote_tools::convert::Converted;
use mote_tools::emit::Emitted;
use mote_tools::import::Checkpoint;
use mote_tools::names::Names;
use mote_tools::report::{MemoryMap, OperatorRow};
use serde_json::{Value, json};

/// As JSON.
pub fn object(
    args: &Args,
    output: &OutputFile,
    model: &Model<'_>,
    converted: &Converted,
    checkpoint: &Checkpoint,
) -> Value {
    let (header, emitted) = (model.header(), &converted.emitted);
    json!({
        "file": output.shown(),
        "bytes": emitted.bytes.len(),
        "sha256": sha256(&emitted.bytes),
        "crc32": format!("{:08x}", model.crc()),
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": checkpoint.sha256,
        "scheme": args.scheme.name(),
        "packing": "portable",
        "arena": converted.arena.name(),
        "params": checkpoint.graph.param_count(),
        "weight_bytes": emitted.weight_bytes,
        "arena_bytes": header.arena_bytes,
        "arena_lower_bound_bytes": emitted.plan.lower_bound_bytes,
        "macs_per_step": header.macs,
        "board": args.board.map(|board| Fit::of(board, model, emitted.bytes.len(), false)),
        "tensors": tensors(model),
    })
}

/// Activations first, then weights.
pub fn tensors(model: &Model<'_>) -> Vec<Value> {
    let names = Names::of(model);
    let blocks = MemoryMap::of(model).blocks;
    let activations = blocks
        .iter()
        .enumerate()
        .filter(|(_, block)| !block.scratch)
        .map(|(i, block)| {
            let tensor = model.tensor(TensorId(i as u16));
            json!({
                "name": names.tensor(i), "kind": "activation", "dtype": block.dtype, "bytes": block.bytes,
                "shape": tensor.map(|t| [t.rows, t.cols, t.channels]), "scale": tensor.map(|t| t.scale),
                "zero_point": tensor.map(|t| t.zero_point), "offset": block.offset,
            })
        });
    let rows = OperatorRow::all(model);
    let weights = rows.iter().filter(|row| !row.weights.is_empty()).map(|row| {
        json!({ "name": format!("{}.weight", row.name), "kind": "weight", "dtype": row.weights, "bytes": row.weight_bytes })
    });
    activations.chain(weights).collect()
}

/// A row of the summary.
pub fn row(label: &str, value: String) -> Vec<String> {
    vec![label.to_owned(), value]
}

/// How large the file is.
pub fn file_row(emitted: &Emitted) -> Vec<String> {
    let (size, weights) = (emitted.bytes.len(), bytes(emitted.weight_bytes as u64));
    row(
        "file",
        format!("{} ({size} bytes), weights {weights}", bytes(size as u64)),
    )
}

/// What a step costs, which boards hold the model, and its hash.
pub fn last_rows(model: &Model<'_>, emitted: &Emitted) -> [Vec<String>; 3] {
    let work = format!("{} multiply-accumulates", count(model.header().macs));
    let fits = match fitting(model, emitted.bytes.len())[..] {
        [] => "no board here".into(),
        ref fits => fits.join(", "),
    };
    [
        row("work a step", work),
        row("fits", fits),
        row("sha256", sha256(&emitted.bytes)),
    ]
}

/// Names of the boards that hold a model of so many bytes.
pub fn fitting(model: &Model<'_>, size: usize) -> Vec<&'static str> {
    let all = Fit::of_all(model, size, false);
    all.iter().filter(|fit| fit.fits).map(|fit| fit.name).collect()
}

/// As text.
pub fn summary(
    args: &Args,
    output: &OutputFile,
    model: &Model<'_>,
    converted: &Converted,
    checkpoint: &Checkpoint,
) -> String {
    let (header, emitted) = (model.header(), &converted.emitted);
    let mut rows = vec![
        row(
            "checkpoint",
            format!(
                "{}, {} parameters",
                checkpoint.name,
                count(checkpoint.graph.param_count() as u64)
            ),
        ),
        row("scheme", args.scheme.to_string()),
        file_row(emitted),
        row(
            "arena",
            format!(
                "{}, {} (no plan of it can be below {})",
                bytes(header.arena_bytes.into()),
                converted.arena.name(),
                bytes(emitted.plan.lower_bound_bytes as u64)
            ),
        ),
    ];
    rows.extend(last_rows(model, emitted));
    if let Some(report) = &args.report {
        rows.push(row("report", report.join("report.html").display().to_string()));
    }
    format!("{}\n{}", print::heading(&output.shown()), print::table(&rows))
}
