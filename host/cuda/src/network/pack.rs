//! A convolution's weights as the kernels read them.

use mote_runtime::internals::numeric::float::f32_to_f16_sat;

use crate::CudaError;

/// Taps of a step of the f32 kernel, fours of channels of a step of the tensor cores' kernel.
const STEP: usize = 16;
const FOURS: usize = 4;
/// Output channels of a column of fragments.
const COLUMN: usize = 8;
/// Marks a tap that pads the last step.
const NO_TAP: u32 = u32::MAX;

/// Weights `(out, in, row, col)` of a square kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'g> {
    pub data: &'g [f32],
    pub outs: usize,
    pub channels: usize,
    pub side: usize,
}

impl Weights<'_> {
    fn at(&self, out: usize, tap: usize, channel: usize) -> f32 {
        self.data[(out * self.channels + channel) * self.side * self.side + tap]
    }

    /// The word of a tap: kernel row (4 bits), column (4 bits), channel (24 bits).
    fn word(&self, tap: usize, channel: usize) -> u32 {
        (((tap / self.side) << 28) | ((tap % self.side) << 24) | channel) as u32
    }

    /// For the f32 kernel: weights `(tap, out)` and the words of the taps, whole steps of both.
    pub fn rows(&self) -> (Vec<f32>, Vec<u32>) {
        let taps = (0..self.side * self.side).flat_map(|tap| (0..self.channels).map(move |channel| (tap, channel)));
        let count = (self.side * self.side * self.channels).next_multiple_of(STEP);
        let mut words: Vec<u32> = taps.clone().map(|(tap, channel)| self.word(tap, channel)).collect();
        words.resize(count, NO_TAP);
        let mut weights: Vec<f32> = taps
            .flat_map(|(tap, channel)| (0..self.outs).map(move |out| self.at(out, tap, channel)))
            .collect();
        weights.resize(count * self.outs, 0.0);
        (weights, words)
    }

    /// For the tensor cores: f16 weights as fragments `(column, step, lane, register, half)` and the words of the fours of channels.
    pub fn fragments(&self) -> Result<(Vec<u16>, Vec<u32>), CudaError> {
        let fours = self.channels.div_ceil(4);
        let steps = (self.side * self.side * fours).div_ceil(FOURS);
        let mut words = vec![NO_TAP; steps * FOURS];
        for (i, word) in words.iter_mut().enumerate().take(self.side * self.side * fours) {
            *word = self.word(i / fours, i % fours * 4);
        }
        let mut halves = vec![0; self.outs.div_ceil(COLUMN) * steps * 128];
        for (i, half) in halves.iter_mut().enumerate() {
            let (in_four, lane, fragment) = (i % 4, i / 4 % 32, i / 128);
            let (out, four) = (
                fragment / steps * COLUMN + lane / 4,
                fragment % steps * FOURS + lane % 4,
            );
            let (tap, channel) = (four / fours, four % fours * 4 + in_four);
            if out < self.outs && tap < self.side * self.side && channel < self.channels {
                let weight = self.at(out, tap, channel);
                if weight.is_nan() || weight.abs() >= 65520.0 {
                    return Err(CudaError::Range);
                }
                *half = f32_to_f16_sat(weight).to_bits();
            }
        }
        Ok((halves, words))
    }
}
