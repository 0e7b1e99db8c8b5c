//! `mote merge`: the parts of a sharded run to the whole of it.

use super::failure::Failure;
use super::print::{self, Verdict, verdict};
use super::validate::distances;
use mote_tools::{Merged, merge};
use serde_json::json;
use std::path::PathBuf;

/// Join the parts of a run that was sharded with --shard
///
/// Parts are given in any order. Images are joined to the archive that the run writes on one machine, byte for byte. Statistics are joined
/// to those of all images, and the distances are printed. Parts of another run, parts that overlap and missing ones are refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote merge part-*.npz -o all.npz
  mote merge part-*.moments
  mote merge part-*.moments -o whole.moments --json")]
pub struct Args {
    /// The parts
    #[arg(required = true, value_name = "PART")]
    parts: Vec<PathBuf>,
    /// The file to write; distances need none
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    match merge(&args.parts, args.output.as_deref())? {
        Merged::Images { file, count, digest } => {
            let (parts, digest) = (args.parts.len(), format!("{digest:016x}"));
            if args.json {
                print::json(&json!({ "file": file, "parts": parts, "count": count, "digest": digest }))?;
            } else {
                print::text(&format!(
                    "{file}: {count} images of {parts} parts\n  digest {digest} (of the digests of all images)\n"
                ))?;
            }
            Ok(Verdict::Yes)
        }
        Merged::Statistics { file, statistics } => {
            let spread = statistics.distribution();
            let (parts, held) = (args.parts.len(), spread.held());
            if args.json {
                print::json(&json!({ "file": file, "parts": parts, "held": held, "distribution": spread }))?;
            } else {
                let head = file.map_or(String::new(), |file| {
                    format!("{file}: the statistics of {parts} parts\n")
                });
                print::text(&format!("{head}{}\n{}\n", distances(&spread), verdict(held)))?;
            }
            Ok(held.into())
        }
        other => Err(Failure::new(format_args!(
            "parts were joined to what is not shown here: {other:?}"
        ))),
    }
}
