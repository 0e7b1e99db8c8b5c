//! A watchdog that bites sooner than a step is done: it is fed between operators, and the longest wait is known.
//!
//! ```text
//! cargo run --release -p mote-runtime --example watchdog -- model.mote
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use mote_runtime::{Config, Memory, Model, Poll, Run, RunError, Start, arena_bytes};

/// What a firmware has as a peripheral.
pub trait Watchdog {
    /// Begins its time anew.
    fn feed(&mut self);
}

/// Draws an image. No more than a share of a step's products, 1 of `parts`, is computed between two feedings.
pub fn fed<M: Memory>(
    run: &mut Run<'_, M>,
    config: &Config,
    parts: u32,
    watchdog: &mut impl Watchdog,
) -> Result<u64, RunError> {
    run.split(run.model().header().macs as u32 / parts.max(1));
    run.start(config, &Start::Seed)?;
    loop {
        watchdog.feed();
        // One operator, or a piece of a long one.
        if run.poll(1)? == Poll::Finished {
            return Ok(run.digest());
        }
    }
}

/// Notes the longest wait.
#[derive(Debug)]
pub struct Timed {
    last: Instant,
    longest: Duration,
}

impl Watchdog for Timed {
    fn feed(&mut self) {
        let now = Instant::now();
        self.longest = self.longest.max(now - self.last);
        self.last = now;
    }
}

#[allow(dead_code, reason = "a test runs the function above")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("give a model file: watchdog model.mote")?;
    let file = std::fs::read(path)?;
    let mut memory = vec![0u128; file.len().div_ceil(16)];
    let bytes: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut memory)[..file.len()];
    bytes.copy_from_slice(&file);
    let model = Model::parse(bytes)?;
    let config = Config::of(model.header(), 20);
    let mut memory = vec![0u128; arena_bytes(&model, &config).div_ceil(16)];
    let mut run = Run::new(model, bytemuck::cast_slice_mut::<_, u8>(&mut memory));
    let mut watchdog = Timed {
        last: Instant::now(),
        longest: Duration::ZERO,
    };
    let digest = fed(&mut run, &config, 20, &mut watchdog)?;
    println!("{digest:016x}, fed every {:?} at the latest", watchdog.longest);
    Ok(())
}
