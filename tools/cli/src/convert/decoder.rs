//! Conversion of an autoencoder's decoder alone.

use super::Args;
use super::summary::{drawing, drawing_row, file_row, last_rows};
use crate::failure::Failure;
use crate::print::{self, Verdict, heading, table};
use mote_tools::backend::footprint::Fit;
use mote_tools::files::{Format, OutputFile};
use mote_tools::{ConversionRequest, ModelFile};
use serde_json::json;
use std::path::Path;

/// Converts, checks that a named board holds it, writes it.
pub fn run(args: &Args, request: &ConversionRequest, folder: &Path) -> Result<Verdict, Failure> {
    let output = OutputFile::prepare(&args.output, Format::Model, &[&args.checkpoint])?;
    let (decoder, made) = request.decoder(folder)?;
    made.notes.iter().for_each(print::note);
    let file = ModelFile::from_bytes(&made.emitted.bytes)?;
    let (model, size) = (file.model(), file.bytes().len());
    let board = request.board.as_ref();
    let board = board.map(|board| Fit::of(board, model, size, false));
    output.write(file.bytes())?;
    if args.json {
        print::json(&json!({
            "file": output.shown(), "bytes": size, "sha256": file.sha256(), "checkpoint": decoder.name(),
            "checkpoint_sha256": decoder.sha256, "params": decoder.graph.param_count(), "decoder": drawing(&made), "board": board,
        }))?;
    } else {
        let mut rows = vec![file_row(&made.emitted), drawing_row(&made)];
        rows.extend(last_rows(model, &made.emitted));
        print::text(&format!("{}\n{}", heading(&output.shown()), table(&rows)))?;
    }
    Ok(Verdict::Yes)
}
