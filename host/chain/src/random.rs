//! Seeded draws from the contract's Philox.

use mote_runtime::internals::numeric::philox::philox4x32;

/// A stream of draws: a pure function of (seed, stream, number of the draw).
#[derive(Debug, Clone)]
pub struct Random {
    key: [u32; 2],
    stream: u32,
    block: u64,
    words: [u32; 4],
    left: usize,
}

impl Random {
    /// The beginning of a stream.
    pub fn new(seed: u64, stream: u32) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            stream,
            block: 0,
            words: [0; 4],
            left: 0,
        }
    }

    /// Blocks drawn so far: with the seed and the stream, the whole state once the words left of a block are dropped.
    pub fn word(&mut self) -> u32 {
        if self.left == 0 {
            let counter = [self.block as u32, (self.block >> 32) as u32, self.stream, 0x2015];
            self.words = philox4x32(counter, self.key);
            self.block += 1;
            self.left = 4;
        }
        self.left -= 1;
        self.words[self.left]
    }

    /// Uniform in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        (f64::from(self.word()) + 0.5) / 4_294_967_296.0
    }

    /// Uniform in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.word()) * n as u64) >> 32) as usize
    }

    /// Standard normal (Box and Muller, the cosine).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.uniform()));
        radius * libm::cos(core::f64::consts::TAU * self.uniform())
    }
}
