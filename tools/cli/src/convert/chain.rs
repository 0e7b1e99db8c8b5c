//! Conversion of the chains of 2015.

use super::Args;
use super::summary::{board_row, file_row, last_rows, row};
use crate::failure::Failure;
use crate::print::{self, Verdict, bytes, count, heading, table};
use crate::target::time_rows;
use mote_engine::memory::AlignedBytes;
use mote_runtime::Model;
use mote_tools::backend::footprint::Fit;
use mote_tools::chain::convert::convert;
use mote_tools::chain::files::{Chain, TENSORS};
use mote_tools::estimate::Estimate;
use mote_tools::files::{Expected, Format, OutputFile, read_file, sha256};
use mote_tools::inspect::tensors;
use mote_tools::{ErrorKind, Target, fitting};
use serde_json::json;

/// Converts, checks that a named board holds the model, writes it.
pub fn run(args: &Args, board: Option<&Target>) -> Result<Verdict, Failure> {
    let output = OutputFile::prepare(&args.output, Format::Model, &[&args.checkpoint])?;
    let given = [
        ("--calibration", args.calibration.is_some(), "takes no condition vector"),
        (
            "--condition-range",
            args.condition_range.is_some(),
            "takes no condition vector",
        ),
        (
            "--condition-null",
            args.condition_null.is_some(),
            "takes no condition vector",
        ),
        ("--null-class", args.null_class.is_some(), "has no labels"),
        ("--labels", args.labels.is_some(), "has no labels"),
        ("--latent", args.latent.is_some(), "makes no latents"),
        ("--name", args.name.is_some(), "is called as its preset"),
    ];
    if let Some((option, _, why)) = given.iter().find(|(_, given, _)| *given) {
        return Err(
            Failure::usage(format_args!("{option} would do nothing: a chain of 2015 {why}"))
                .help(format_args!("leave {option} out")),
        );
    }
    if args.report.is_some() {
        return Err(Failure::usage("--report: a chain's conversion has none")
            .help("leave --report out: `mote train` wrote the chain's own, report.html in its folder"));
    }
    let (chain, _) = Chain::read(&args.checkpoint)
        .map_err(|error| Failure::coded(ErrorKind::Input, error).help("train it again: `mote train --preset`"))?;
    let scheme = chain
        .scheme(args.scheme)
        .map_err(|problem| Failure::usage(problem).help("choose --scheme auto, f16, w8a16 or w16a16"))?;
    let hash = sha256(&read_file(
        &args.checkpoint.join(TENSORS),
        &Expected::any("a chain's tensors", "give a chain's folder", 1 << 32),
    )?);
    let mut converted = convert(&chain, scheme, args.arena.map(Into::into), &hash)
        .map_err(|error| Failure::coded(ErrorKind::Failed, error))?;
    if args.strip {
        converted.emitted.strip()?;
    }
    converted.notes.iter().for_each(print::note);
    let emitted = &converted.emitted;
    let file = AlignedBytes::copy_of(&emitted.bytes);
    let model = Model::parse(file.bytes())?;
    let size = file.bytes().len();
    let estimate = board.map(|board| Estimate::of(board, &model));
    let board = board.map(|board| Fit::of(board, &model, size, false));
    if let Some(fit) = board.as_ref().filter(|fit| !fit.fits) {
        let what = format!("the {} does not fit {}: it {}", chain.preset(), fit.name, fit.why);
        return Err(
            Failure::of(ErrorKind::TooLarge, what).help(format_args!("it fits {}", fitting(&model, size).join(", ")))
        );
    }
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
