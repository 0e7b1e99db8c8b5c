//! What a conversion made, as JSON and as text.

use super::Args;
use crate::print::{self, bytes, count};
use crate::target::time_rows;
use mote_runtime::Model;
use mote_tools::convert::decoder::Drawing;
use mote_tools::emit::Emitted;
use mote_tools::estimate::Estimate;
use mote_tools::files::{OutputFile, sha256};
use mote_tools::inspect::tensors;
use mote_tools::{Checkpoint, Converted, Fit, ModelFile, Target, fitting};
use serde_json::{Value, json};

/// As JSON.
pub fn object(
    args: &Args,
    board: Option<&Target>,
    output: &OutputFile,
    file: &ModelFile,
    converted: &Converted,
    checkpoint: &Checkpoint,
) -> Value {
    let (model, emitted) = (file.model(), &converted.emitted);
    let header = model.header();
    json!({
        "file": output.shown(),
        "bytes": emitted.bytes.len(),
        "sha256": file.sha256(),
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
        "decoder": converted.decoder.as_ref().map(drawing),
        "board": board.map(|board| file.fit(board.clone())),
        "estimate": board.map(|board| Estimate::of(board, model)),
        "tensors": tensors(model),
    })
}

/// A decoder as JSON.
pub fn drawing(drawing: &Drawing) -> Value {
    json!({
        "scheme": drawing.scheme.name(), "bands": drawing.bands, "bytes": drawing.emitted.bytes.len(),
        "weight_bytes": drawing.emitted.weight_bytes, "arena_bytes": drawing.emitted.plan.arena_bytes,
        "macs": drawing.program.total_macs(), "psnr_db_to_f16": drawing.psnr_db,
    })
}

/// A decoder in a line.
pub fn drawing_row(drawing: &Drawing) -> Vec<String> {
    let psnr = drawing
        .psnr_db
        .map_or(String::new(), |psnr| format!(", {psnr:.1} dB from its f16 form"));
    row(
        "decoder",
        format!(
            "{}, {} bands, arena {}, {} multiply-accumulates{psnr}",
            drawing.scheme,
            drawing.bands,
            bytes(drawing.emitted.plan.arena_bytes as u64),
            count(drawing.program.total_macs()),
        ),
    )
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

/// What it takes of the board that it is for.
pub fn board_row(fit: &Fit) -> Vec<String> {
    let of = |needed: u64, total: u64| format!("{} of {}", bytes(needed), bytes(total));
    let (flash, ram) = (
        of(fit.flash_bytes, fit.flash_total_bytes),
        of(fit.ram_bytes, fit.ram_total_bytes),
    );
    row(
        "board",
        format!("{}, {}: {flash} of flash, {ram} of RAM", fit.name, fit.core),
    )
}

/// As text.
pub fn summary(
    args: &Args,
    board: Option<&Target>,
    output: &OutputFile,
    file: &ModelFile,
    converted: &Converted,
    checkpoint: &Checkpoint,
) -> String {
    let (model, emitted) = (file.model(), &converted.emitted);
    let header = model.header();
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
    rows.extend(converted.decoder.iter().map(drawing_row));
    rows.extend(last_rows(model, emitted));
    if let Some(board) = board {
        rows.push(board_row(&file.fit(board.clone())));
        rows.extend(time_rows(&Estimate::of(board, model)));
    }
    if let Some(report) = &args.report {
        rows.push(row("report", report.join("report.html").display().to_string()));
    }
    format!("{}\n{}", print::heading(&output.shown()), print::table(&rows))
}
