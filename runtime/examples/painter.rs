//! A state machine in a `static` that draws one image after the other, a few operators a call: as a firmware does that has a timer
//! interrupt (RTIC: a local resource; bare metal: a `static` behind a critical section).
//!
//! ```text
//! cargo run --release -p mote-runtime --example painter -- model.mote
//! ```
//!
//! The model and its memory are in the same struct as the run: nothing is borrowed between two calls.

use std::error::Error;
use std::sync::Mutex;

use mote_runtime::{Aligned, Config, Model, Poll, Run, RunError, Start};

/// `mote inspect` says how much a model needs; a product writes the very number.
const ARENA_BYTES: usize = 256 * 1024;

/// What has happened in a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A part of a step.
    Working,
    /// An image is there, with this digest; the next is begun.
    Drawn(u64),
    /// All are drawn.
    Idle,
}

/// The state machine.
#[derive(Debug)]
pub struct Painter {
    run: Run<'static, Aligned<[u8; ARENA_BYTES]>>,
    steps: u32,
    /// The seeds of the images to draw: the next, and that behind the last.
    seeds: (u64, u64),
}

impl Painter {
    /// Begins the first of `images`, with seeds from 0 on.
    pub fn new(model: Model<'static>, steps: u32, images: u64) -> Result<Self, RunError> {
        let mut painter = Self {
            run: Run::new(model, Aligned([0; ARENA_BYTES])),
            steps,
            seeds: (0, images),
        };
        painter.begin()?;
        Ok(painter)
    }

    fn begin(&mut self) -> Result<(), RunError> {
        let header = self.run.model().header();
        let config = Config {
            seed: self.seeds.0,
            class: (header.classes > 0).then_some(0),
            ..Config::of(header, self.steps)
        };
        self.run.start(&config, &Start::Seed)
    }

    /// A little work. The watchdog is fed between two ticks.
    pub fn tick(&mut self) -> Result<Event, RunError> {
        if self.seeds.0 == self.seeds.1 {
            return Ok(Event::Idle);
        }
        if self.run.poll(1)? != Poll::Finished {
            return Ok(Event::Working);
        }
        let digest = self.run.digest();
        self.seeds.0 += 1;
        if self.seeds.0 < self.seeds.1 {
            self.begin()?;
        }
        Ok(Event::Drawn(digest))
    }
}

/// What an interrupt handler finds.
static PAINTER: Mutex<Option<Painter>> = Mutex::new(None);

/// The digests of two images that the painter in the `static` draws.
pub fn two_images(model: Model<'static>, steps: u32) -> Result<Vec<u64>, RunError> {
    *PAINTER.lock().expect("nobody panics with it") = Some(Painter::new(model, steps, 2)?);
    let mut digests = Vec::new();
    loop {
        // The timer fires.
        match PAINTER
            .lock()
            .expect("nobody panics with it")
            .as_mut()
            .map(Painter::tick)
        {
            Some(Ok(Event::Drawn(digest))) => digests.push(digest),
            Some(Ok(Event::Working)) => {}
            Some(Ok(Event::Idle)) | None => return Ok(digests),
            Some(Err(error)) => return Err(error),
        }
    }
}

#[allow(dead_code, reason = "a test runs the function above")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give a model file: painter model.mote")?;
    let file = std::fs::read(path)?;
    // In flash, a static: here, memory that is never given back.
    let memory = Vec::leak(vec![0u8; file.len() + 16]);
    let start = memory.as_ptr().align_offset(16);
    let bytes = &mut memory[start..start + file.len()];
    bytes.copy_from_slice(&file);
    for digest in two_images(Model::parse(bytes)?, 20)? {
        println!("{digest:016x}");
    }
    Ok(())
}
