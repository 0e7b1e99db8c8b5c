//! Samples an image from a model file on a desktop, by the steps that a device takes.
//!
//! ```text
//! cargo run --release -p mote-runtime --example image -- model.mote [SEED]
//! ```
//!
//! Prints the digest of every step, then the first channel of the image: a character a pixel, dark to light.

use std::error::Error;

use mote_runtime::{Arena, Config, Model, Sampler, Start, arena_bytes};

/// Files and arenas start at a multiple of 16 bytes. A device has static arrays in [`mote_runtime::Aligned`] instead.
const ALIGN: usize = 16;

/// The part of `memory` that starts at a multiple of 16 and has `len` bytes.
fn aligned(memory: &mut Vec<u8>, len: usize) -> &mut [u8] {
    memory.resize(len + ALIGN, 0);
    let start = memory.as_ptr().align_offset(ALIGN);
    &mut memory[start..start + len]
}

/// The digest of every step of a run with `steps`, and the pixels `(row, col, channel)`.
pub fn sample(file: &[u8], steps: u32, seed: u64) -> Result<(Vec<u64>, Vec<u8>), Box<dyn Error>> {
    // A model is borrowed from its bytes, which a device leaves in flash.
    let mut memory = Vec::new();
    let bytes = aligned(&mut memory, file.len());
    bytes.copy_from_slice(file);
    let model = Model::parse(bytes)?;
    let header = model.header();

    // All that the run needs beside: its size is known before it starts.
    let mut config = Config::of(header, steps);
    config.seed = seed;
    config.class = (header.classes > 0).then_some(0);
    let mut memory = Vec::new();
    let mut arena = Arena::new(aligned(&mut memory, arena_bytes(&model, &config)))?;

    // One network call a step: between two of them a device can do other things, save the run, or stop it.
    let mut run = Sampler::new(&model, &mut arena, &config, &Start::Seed)?;
    let mut digests = Vec::new();
    while let Some(step) = run.step()? {
        digests.push(step.digest);
    }
    let mut pixels = vec![0; header.sample_len()];
    run.image(&mut pixels)?;
    Ok((digests, pixels))
}

#[allow(dead_code, reason = "a test runs the function above")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give a model file: sample model.mote [SEED]")?;
    let seed = arguments.next().map_or(Ok(0), |seed| seed.parse())?;
    let file = std::fs::read(path)?;
    let (digests, pixels) = sample(&file, 20, seed)?;
    for (step, digest) in digests.iter().enumerate() {
        println!("step {step}: {digest:016x}");
    }
    let mut memory = Vec::new();
    let bytes = aligned(&mut memory, file.len());
    bytes.copy_from_slice(&file);
    let model = Model::parse(bytes)?;
    let (cols, channels) = (model.header().cols.into(), model.header().channels.into());
    let row: usize = channels * usize::from(model.header().cols);
    let shades = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];
    for line in pixels.chunks(row) {
        let shade = |pixel: &u8| shades[usize::from(*pixel) * shades.len() / 256];
        println!(
            "{}",
            line.iter().step_by(channels).take(cols).map(shade).collect::<String>()
        );
    }
    Ok(())
}
