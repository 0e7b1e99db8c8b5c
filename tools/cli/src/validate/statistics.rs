//! `mote validate --out`: statistics instead of distances, of one shard of the images.

use super::Args;
use crate::failure::Failure;
use crate::print::{self, Verdict};
use crate::progress;
use mote_tools::Backend;
use mote_tools::files::{Format, OutputFile};
use mote_tools::validate::Survey;
use serde_json::json;
use std::time::Instant;

/// Where they go, checked before anything is made.
pub fn prepare(args: &Args) -> Result<Option<OutputFile>, Failure> {
    let Some(out) = &args.out else { return Ok(None) };
    if !matches!(
        args.backends[..],
        [] | [Backend::Cpu | Backend::Portable | Backend::Cuda(_)]
    ) {
        return Err(
            Failure::usage("--out is of the images of one backend that makes many quickly")
                .help("give --backends cpu, portable or cuda"),
        );
    }
    OutputFile::prepare(out, Format::Moments, &args.inputs()).map(Some)
}

/// Gathers the statistics of `survey`'s shard and writes them.
pub fn write(args: &Args, survey: &Survey<'_>, out: &OutputFile) -> Result<Verdict, Failure> {
    let shard = args.shard.unwrap_or_default();
    let bar = progress::bar(
        format!("statistics of shard {shard}"),
        3 * shard.range(survey.count).len() as u64,
    );
    let began = Instant::now();
    let gathered = survey.statistics(shard, &|images| bar.inc(images));
    bar.finish_and_clear();
    let (statistics, seconds) = (gathered?, began.elapsed().as_secs_f64());
    statistics.write(out)?;
    let (file, images) = (out.shown(), statistics.images());
    if args.json {
        print::json(&json!({
            "file": file, "shard": shard.to_string(), "first": images.start, "images": images.end - images.start,
            "count": survey.count, "seconds": seconds,
        }))?;
    } else {
        let of = survey.count;
        let made = match images.end - images.start {
            0 => "no images".to_owned(),
            _ => format!("images {} to {} of {of}", images.start, images.end - 1),
        };
        print::text(&format!(
            "{file}: {made}, in {seconds:.2} s\n  `mote merge` joins the shards and prints the distances\n"
        ))?;
    }
    Ok(Verdict::Yes)
}
