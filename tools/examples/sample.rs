//! Samples images from a model file, and writes them as one picture.
//!
//!     cargo run --release -p mote-tools --example sample -- MODEL.mote [OUT.png]

use mote_tools::files::{Format, OutputFile};
use mote_tools::images::{encode, sheet};
use mote_tools::{Error, Method, ModelFile, Request, RunOptions};
use std::path::{Path, PathBuf};

fn main() -> Result<(), Error> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let model = args
        .next()
        .ok_or_else(|| Error::usage("no model file").help("give MODEL.mote"))?;
    let output = args.next().unwrap_or_else(|| "example.png".into());
    for (seed, digest) in run(&model, &output)? {
        println!("seed {seed}: digest {digest:016x}");
    }
    Ok(())
}

/// Makes four images in ten steps each; seeds and digests, which are the same on every machine.
pub fn run(model: &Path, output: &Path) -> Result<Vec<(u64, u64)>, Error> {
    let file = ModelFile::open(model)?;
    let request = Request {
        run: RunOptions {
            sampler: Some(Method::DpmSolver2M),
            steps: Some(10),
            ..RunOptions::default()
        },
        seed: 7,
        count: Some(4),
        ..Request::default()
    };
    let images = file.sample(&request)?;
    let picture = sheet(&images, file.model(), None, 4);
    OutputFile::prepare(output, Format::Png, &[model])?.write(&encode(&picture)?)?;
    Ok(images.iter().map(|image| (image.seed, image.digest())).collect())
}
