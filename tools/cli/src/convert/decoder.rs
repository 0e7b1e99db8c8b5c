//! Conversion of an autoencoder's decoder alone.

use super::Args;
use super::summary::{drawing, drawing_row, file_row, last_rows};
use crate::failure::Failure;
use crate::print::{self, Verdict, heading, table};
use mote_tools::backend::footprint::Fit;
use mote_tools::convert::decoder::{DecoderOptions, convert_decoder, noise};
use mote_tools::files::{Format, OutputFile};
use mote_tools::import::autoencoder;
use mote_tools::request::noise_of_file;
use mote_tools::{ErrorKind, ModelFile, Target, fitting, images, plan};
use serde_json::json;
use std::path::Path;

/// Converts, checks that a named board holds it, writes it.
pub fn run(args: &Args, board: Option<&Target>, folder: &Path) -> Result<Verdict, Failure> {
    let output = OutputFile::prepare(&args.output, Format::Model, &[&args.checkpoint])?;
    let given = [
        ("--name", args.name.is_some()),
        ("--null-class", args.null_class.is_some()),
        ("--labels", args.labels.is_some()),
        ("--condition-range", args.condition_range.is_some()),
        ("--condition-null", args.condition_null.is_some()),
        ("--report", args.report.is_some()),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
        return Err(
            Failure::usage(format_args!("{option}: a decoder alone has none")).help(format_args!("leave {option} out"))
        );
    }
    let latent = args.latent.map(|[rows, cols]| [0, rows, cols]);
    let decoder = autoencoder::read(folder, latent).map_err(mote_tools::Error::from)?;
    let [channels, rows, cols] = decoder.graph.sample_shape();
    let latents = match &args.calibration {
        Some(file) => noise_of_file(file, images::Shape { rows, cols, channels })?,
        None => {
            print::note("calibrated on latents of normal noise: --calibration FILE.safetensors[:KEY] takes real ones");
            noise(&decoder)
        }
    };
    let options = DecoderOptions {
        scheme: args.scheme,
        arena: args.arena.map_or(plan::Arena::Fast, Into::into),
        enough: 0,
    };
    let mut made = convert_decoder(&decoder, &latents, options).map_err(mote_tools::Error::from)?;
    made.notes.iter().for_each(print::note);
    if args.strip {
        made.emitted.strip()?;
    }
    let file = ModelFile::from_bytes(&made.emitted.bytes)?;
    let (model, size) = (file.model(), file.bytes().len());
    let board = board.map(|board| Fit::of(board, model, size, false));
    if let Some(fit) = board.as_ref().filter(|fit| !fit.fits) {
        let what = format!("the decoder does not fit {}: it {}", fit.name, fit.why);
        return Err(
            Failure::of(ErrorKind::TooLarge, what).help(format_args!("it fits {}", fitting(model, size).join(", ")))
        );
    }
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
