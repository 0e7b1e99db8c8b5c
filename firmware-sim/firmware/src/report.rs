//! The lines that the runner reads back. Each starts with `@` and a word; numbers are decimal, bytes a list of hex.

use mote_runtime::internals::digest::Digest;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::sampler::q24_to_pixel;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Model, Observer, Step, StepObserver};

use crate::request::Observe;
use crate::{clock, hw};

/// The model is good; checking it took so many ticks.
pub fn model(model: &Model<'_>, ticks: u64) {
    defmt::info!(
        "model {=u32:08x}: {=u16} operators",
        model.crc(),
        model.header().op_count
    );
    defmt::info!("@model {=u64}", ticks);
}

/// An image is begun; its first state took so many ticks.
pub fn start(seed: u64, ticks: u64) {
    defmt::info!("@start {=u64} {=u64}", seed, ticks);
}

/// So many numbers of the condition are outside the model's range.
pub fn clamped(count: u32) {
    if count > 0 {
        defmt::info!("condition: {=u32} numbers clamped", count);
    }
}

/// A step is done, in so many ticks.
pub fn step(step: &Step, ticks: u64) {
    defmt::info!(
        "@step {=u32} {=u32} {=u64} {=u64}",
        step.index,
        step.timestep,
        step.digest,
        ticks
    );
}

/// The stack's high-water mark and its size, in bytes.
pub fn stack() {
    let stack = hw::stack_use();
    defmt::info!("@stack {=u32} {=u32}", stack.used, stack.total);
}

/// Bytes in one frame; they are gathered on the stack.
const CHUNK_BYTES: usize = 64;

/// A picture is made; its decoder took so many ticks, what was sent meanwhile included.
pub fn picture(digest: u64, ticks: u64) {
    defmt::info!("@picture {=u64} {=u64}", digest, ticks);
}

/// The image, a byte a pixel.
pub fn pixels(pixels: impl Iterator<Item = u8>) {
    chunks(pixels, |chunk| defmt::info!("@pixels {=[u8]:02x}", chunk));
}

/// The final state, Q24, each value's bytes little-endian.
pub fn state(state: &[i32]) {
    chunks(state.iter().flat_map(|x| x.to_le_bytes()), |chunk| {
        defmt::info!("@state {=[u8]:02x}", chunk)
    });
}

fn chunks(bytes: impl Iterator<Item = u8>, send: impl Fn(&[u8])) {
    let mut chunk = [0; CHUNK_BYTES];
    let mut filled = 0;
    for byte in bytes {
        chunk[filled] = byte;
        filled += 1;
        if filled == CHUNK_BYTES {
            send(&chunk);
            filled = 0;
        }
    }
    if filled > 0 {
        send(&chunk[..filled]);
    }
}

/// Reports each operator as the request asks: nothing, a digest, or its ticks.
pub struct Watch {
    observe: Observe,
    began: u64,
}

impl Watch {
    /// Before the first step.
    pub fn new(observe: Observe) -> Self {
        Self { observe, began: 0 }
    }
}

impl Observer for Watch {
    fn before(&mut self, _: u16, _: &Op) {
        if self.observe == Observe::OpTicks {
            self.began = clock::now();
        }
    }

    fn after(&mut self, index: u16, _: &Op, output: &View<'_>) {
        match self.observe {
            Observe::Steps => {}
            Observe::OpTicks => {
                let ticks = clock::now().wrapping_sub(self.began);
                defmt::info!("@ticks {=u16} {=u64}", index, ticks);
            }
            Observe::OpDigests => {
                let digest = Digest::of((0..output.len()).map(|i| output.get(i))).0;
                defmt::info!("@digest {=u16} {=u64}", index, digest);
            }
        }
    }
}

impl StepObserver for Watch {}

/// Sends the bands of a picture as they are made, and reports the decoder's operators as [`Watch`] does.
pub struct Drawn {
    watch: Watch,
    sends: bool,
    digest: Digest,
    /// Elements so far.
    count: u32,
}

impl Drawn {
    /// Before the first band; pixels are sent where `sends` says so.
    pub fn new(observe: Observe, sends: bool) -> Self {
        Self {
            watch: Watch::new(observe),
            sends,
            digest: Digest::default(),
            count: 0,
        }
    }

    /// Digest of the picture.
    pub fn digest(&self) -> u64 {
        self.digest.0
    }
}

impl Observer for Drawn {
    fn before(&mut self, index: u16, op: &Op) {
        self.watch.before(index, op);
    }

    fn after(&mut self, index: u16, op: &Op, output: &View<'_>) {
        self.watch.after(index, op, output);
        let View::Q24(rows) = output else { return };
        for value in rows.iter() {
            self.digest.add(self.count, *value);
            self.count = self.count.wrapping_add(1);
        }
        if self.sends {
            pixels(rows.iter().map(|&x| q24_to_pixel(x)));
        }
    }
}
