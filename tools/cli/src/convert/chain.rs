//! Conversion of the chains of 2015.

use super::Args;
use super::summary::{board_row, file_row, last_rows, row};
use crate::failure::Failure;
use crate::print::{self, Verdict, bytes, count, heading, table};
use crate::target::time_rows;
use mote_engine::memory::AlignedBytes;
use mote_runtime::Model;
use mote_tools::ConversionRequest;
use mote_tools::backend::footprint::Fit;
use mote_tools::estimate::Estimate;
use mote_tools::files::{Format, OutputFile, sha256};
use mote_tools::inspect::tensors;
use mote_tools::request::conversion::ConvertedChain;
use serde_json::json;

/// Converts, checks that a named board holds the model, writes it.
pub fn run(args: &Args, request: &ConversionRequest) -> Result<Verdict, Failure> {
    let output = OutputFile::prepare(&args.output, Format::Model, &[&args.checkpoint])?;
    let ConvertedChain {
        chain,
        scheme,
        sha256: hash,
        converted,
    } = request.chain(&args.checkpoint)?;
    converted.notes.iter().for_each(print::note);
    let emitted = &converted.emitted;
    let file = AlignedBytes::copy_of(&emitted.bytes);
    let model = Model::parse(file.bytes())?;
    let size = file.bytes().len();
    let board = request.board.as_ref();
    let estimate = board.map(|board| Estimate::of(board, &model));
    let board = board.map(|board| Fit::of(board, &model, size, false));
    output.write(file.bytes())?;
    let header = model.header();
    if args.json {
        print::json(&json!({
            "file": output.shown(), "bytes": size, "sha256": sha256(file.bytes()), "crc32": format!("{:08x}", model.crc()),
            "checkpoint": chain.preset(), "checkpoint_sha256": hash, "scheme": scheme.name(), "packing": "portable",
            "arena": converted.arena.name(), "params": chain.params(), "weight_bytes": emitted.weight_bytes, "arena_bytes": header.arena_bytes,
            "arena_lower_bound_bytes": emitted.plan.lower_bound_bytes, "macs_per_step": header.macs, "board": board, "estimate": estimate,
            "tensors": tensors(&model),
        }))?;
    } else {
        let mut rows = vec![
            row(
                "chain",
                format!(
                    "{}, {} steps, {} parameters",
                    chain.preset(),
                    chain.steps(),
                    count(chain.params() as u64)
                ),
            ),
            row("scheme", scheme.name().to_owned()),
            file_row(emitted),
            row("arena", bytes(header.arena_bytes.into())),
        ];
        rows.extend(last_rows(&model, emitted));
        rows.extend(board.as_ref().map(board_row));
        rows.extend(estimate.iter().flat_map(time_rows));
        print::text(&format!("{}\n{}", heading(&output.shown()), table(&rows)))?;
    }
    Ok(Verdict::Yes)
}
