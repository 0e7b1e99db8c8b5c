//! `mote decode`: pictures of latents, by a decoder alone or by the decoder of a model.

use super::failure::Failure;
use super::hints;
use super::print::{self, Verdict};
use mote_tools::backend::pictures;
use mote_tools::files::{Format, OutputFile};
use mote_tools::images::{Picture, encode, grid};
use mote_tools::request::{file_of_noise, noise_of_file};
use mote_tools::{Backend, ModelFile};
use serde_json::json;
use std::ffi::OsString;
use std::path::PathBuf;

/// Make pictures of latents with a decoder, and write them as one PNG
///
/// The decoder is a file of its own (`mote convert` of an autoencoder's folder), or that of a model which samples latents.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mote decode decoder.mote latents.safetensors -o pictures.png\n  mote decode decoder.mote latents.safetensors:z -o same.png --backend oracle"
)]
pub struct Args {
    /// The model file
    model: PathBuf,
    /// The latents, float (sample, channel, row, col) [KEY default: noise]
    #[arg(value_name = "FILE.safetensors[:KEY]")]
    latents: OsString,
    /// The PNG file to write
    #[arg(short, long, value_name = "OUT.png")]
    output: PathBuf,
    /// Write each pixel as a square of N by N
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=64))]
    zoom: u32,
    /// Where to run: cpu, portable or oracle
    #[arg(long, value_name = "BACKEND", default_value = "cpu", value_parser = hints::backend(), hide_possible_values = true)]
    backend: Backend,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    let inputs = [args.model.clone(), file_of_noise(&args.latents)];
    let inputs: Vec<_> = inputs.iter().map(PathBuf::as_path).collect();
    let output = OutputFile::prepare(&args.output, Format::Png, &inputs)?;
    let file = ModelFile::open(&args.model)?;
    let latents = noise_of_file(&args.latents, file.shape())?;
    let made = pictures(file.opened(), args.backend, &latents)?;
    let shape = file.picture_shape();
    let shown: Vec<Picture> = made
        .iter()
        .map(|one| Picture::of_sample(&one.pixels(), shape))
        .collect();
    let square = (1..).find(|side| side * side >= shown.len()).unwrap_or(1);
    output.write(&encode(&grid(&shown, square).enlarged(args.zoom as usize))?)?;
    let digests: Vec<String> = made.iter().map(|one| format!("{:016x}", one.digest)).collect();
    if args.json {
        print::json(&json!({
            "file": output.shown(), "backend": args.backend.to_string(), "count": made.len(), "digests": digests,
        }))?;
    } else {
        let mut text = format!("{}: {} pictures on {}\n", output.shown(), made.len(), args.backend);
        digests
            .iter()
            .take(8)
            .for_each(|digest| text += &format!("  digest {digest}\n"));
        print::text(&text)?;
    }
    Ok(Verdict::Yes)
}
