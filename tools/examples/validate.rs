//! Holds a model file to the same bits on every backend, and compares it with the float network it came from.
//!
//!     cargo run --release -p mote-tools --example validate -- MODEL.mote [CHECKPOINT]

use mote_tools::{Backend, Checkpoint, Error, FloatDevice, ModelFile, Request, RunOptions, Validation};
use std::path::{Path, PathBuf};

fn main() -> Result<(), Error> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let model = args
        .next()
        .ok_or_else(|| Error::usage("no model file").help("give MODEL.mote"))?;
    let (held, psnr_db) = run(&model, args.next().as_deref())?;
    println!("same bits: {held}; x0 PSNR against the float network: {psnr_db:.1} dB");
    Ok(())
}

/// Whether every backend gave the reference's bits, and the mean PSNR of the images against the float network's, dB.
pub fn run(model: &Path, checkpoint: Option<&Path>) -> Result<(bool, f64), Error> {
    let file = ModelFile::open(model)?;
    let request = Request {
        run: RunOptions {
            steps: Some(5),
            ..RunOptions::default()
        },
        ..Request::default()
    };
    let validation = Validation {
        request: request.clone(),
        seeds: 2,
        backends: vec![Backend::Oracle(None), Backend::Cpu, Backend::Portable],
        ..Validation::default()
    };
    let held = file.validate(&validation)?.iter().all(|outcome| outcome.held);
    let checkpoint = checkpoint.map_or_else(Checkpoint::bundled, Checkpoint::open)?;
    let float = file.compare(&checkpoint, &request, 2, FloatDevice::Cpu)?;
    Ok((held, float.x0_psnr_db_mean))
}
