//! A run that outlives a reset: it is saved after every step, and goes on where it was.
//!
//! ```text
//! cargo run --release -p mote-runtime --example snapshot -- model.mote
//! ```
//!
//! Flash is an array here. The crate `mote-store` keeps snapshots in two slots of real flash, so that power may be lost at any time.

use std::error::Error;

use mote_runtime::{Arena, Config, Model, RunError, Sampler, Start, arena_bytes};

/// `N` bytes from a multiple of 16 on.
fn memory(bytes: usize) -> Vec<u128> {
    vec![0; bytes.div_ceil(16)]
}

/// What lies in flash; empty where nothing was saved.
type Flash = Vec<u8>;

/// From power-up until the image is done, or until power goes after `steps` steps. Gives the digest of the last step.
pub fn powered(model: &Model<'_>, config: &Config, flash: &mut Flash, steps: u32) -> Result<Option<u64>, RunError> {
    let mut memory = memory(arena_bytes(model, config));
    let mut arena = Arena::new(bytemuck::cast_slice_mut(&mut memory))?;
    // What is damaged, or of another model, is refused: the run then begins anew.
    let resumed = if flash.is_empty() {
        Err(RunError::Snapshot)
    } else {
        Sampler::resume_slot(model, &mut arena, flash).map(|_| ())
    };
    let mut run = match resumed {
        Ok(()) => Sampler::resume_slot(model, &mut arena, flash)?,
        Err(_) => Sampler::new(model, &mut arena, config, &Start::Seed)?,
    };
    let mut room = vec![0xFF; Sampler::snapshot_bytes(model, config)];
    for _ in 0..steps {
        if run.step()?.is_none() {
            flash.clear();
            return Ok(Some(run.digest()));
        }
        run.snapshot(&mut room)?;
        flash.clone_from(&room);
    }
    Ok(None)
}

#[allow(dead_code, reason = "a test runs the function above")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("give a model file: snapshot model.mote")?;
    let file = std::fs::read(path)?;
    let mut aligned = memory(file.len());
    let bytes: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut aligned)[..file.len()];
    bytes.copy_from_slice(&file);
    let model = Model::parse(bytes)?;
    let config = Config::of(model.header(), 20);
    let mut flash = Flash::new();
    let mut lives = 1;
    let digest = loop {
        match powered(&model, &config, &mut flash, 7)? {
            Some(digest) => break digest,
            None => lives += 1,
        }
    };
    println!("{digest:016x} after {lives} lives");
    Ok(())
}
