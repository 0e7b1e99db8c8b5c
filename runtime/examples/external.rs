//! An image from a model whose weights lie behind a reader: here a file, on a device SPI flash or an SD card.
//!
//! ```text
//! mote split my.mote -o small.mote
//! cargo run --release -p mote-runtime --example external -- small.mote small.weights
//! ```
//!
//! A thread does what a DMA does on a device: it fills one buffer while the core computes with the other.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::thread;

use mote_runtime::{
    Config, Model, ReadFailed, Run, RunError, Start, Streamed, Unobserved, WeightReader, arena_bytes, stream_bytes,
};

/// Output channels of a block: 8 gather a convolution's input a few times, and take little RAM.
const CHANNELS: usize = 8;

/// A file of weights.
#[derive(Debug)]
pub struct Card(pub File);

impl WeightReader for Card {
    fn read(&mut self, at: u32, into: &mut [u8], meanwhile: impl FnOnce()) -> Result<(), ReadFailed> {
        let file = &mut self.0;
        let done = thread::scope(|scope| {
            // A device writes the DMA's registers here, ...
            let transfer = scope.spawn(move || {
                file.seek(SeekFrom::Start(at.into()))?;
                file.read_exact(into)
            });
            meanwhile();
            // ... and waits for its flag here.
            transfer.join()
        });
        match done {
            Ok(Ok(())) => Ok(()),
            _ => Err(ReadFailed),
        }
    }
}

/// The digest of an image of `seed`. A product's buffers are statics, whose sizes `mote split` says.
pub fn draw(model: Model<'_>, reader: impl WeightReader, seed: u64, steps: u32) -> Result<u64, RunError> {
    let header = model.header();
    let config = Config {
        seed,
        class: (header.classes > 0).then_some(0),
        ..Config::of(header, steps)
    };
    let (mut arena, mut buffers) = (vec![0u128; 1 + arena_bytes(&model, &config) / 16], vec![]);
    buffers.resize(stream_bytes(&model, CHANNELS).div_ceil(16), 0u128);
    let mut buffers = mote_runtime::Arena::new(bytemuck::cast_slice_mut(&mut buffers))?;
    // Every weight is read once, and held to the model's checksum.
    let mut network = Streamed::new(&model, reader, &mut buffers)?;
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut arena);
    let mut run = Run::new(model, memory);
    run.start(&config, &Start::Seed)?;
    while run.step_by(&mut network, &mut Unobserved)?.is_some() {
        // Feed the watchdog, log, save. Where a reader failed, the step can be run again.
    }
    Ok(run.digest())
}

#[allow(dead_code, reason = "a test runs the function above")]
fn main() -> Result<(), Box<dyn Error>> {
    let usage = "give a model and its weights: external small.mote small.weights";
    let mut paths = std::env::args().skip(1);
    let (model, weights) = (paths.next().ok_or(usage)?, paths.next().ok_or(usage)?);
    let file = std::fs::read(model)?;
    let mut memory = vec![0u128; file.len().div_ceil(16)];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    let bytes = bytes.get_mut(..file.len()).ok_or(usage)?;
    bytes.copy_from_slice(&file);
    println!(
        "{:016x}",
        draw(Model::parse_apart(bytes)?, Card(File::open(weights)?), 0, 20)?
    );
    Ok(())
}
