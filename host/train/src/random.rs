//! Every random number of a training run is a function of the run's seed, what it is for, the step and an index: nothing has to be
//! remembered for a run to be taken up again.

use mote_runtime::internals::numeric::normal::fill_normal_q24;
use mote_runtime::internals::numeric::philox::philox4x32;

/// What numbers are drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// First weights.
    Weights = 1,
    /// Order of the images.
    Order = 2,
    /// Timesteps.
    Timesteps = 3,
    /// Noise added to images.
    Noise = 4,
    /// Augmentation.
    Augment = 5,
    /// Labels that are dropped.
    Dropout = 6,
    /// Images held out.
    HeldOut = 7,
    /// Noise of the held-out loss.
    Evaluation = 8,
}

/// Uniform in `[0, 1)`, 24 bits.
#[must_use]
pub fn uniform(seed: u64, purpose: Purpose, step: u64, index: u32) -> f32 {
    (word(seed, purpose, step, index) >> 8) as f32 / 16_777_216.0
}

/// Uniform below `bound`, which is not 0; 0 where it is.
#[must_use]
pub fn below(seed: u64, purpose: Purpose, step: u64, index: u32, bound: usize) -> usize {
    ((u64::from(word(seed, purpose, step, index)) * bound as u64) >> 32) as usize
}

/// Standard normal numbers, the `index`-th lot of a step.
pub fn normal(seed: u64, purpose: Purpose, step: u64, index: u32, out: &mut [f32]) {
    let [a, b, c, _] = block(seed, purpose, step, index);
    let mut fixed = vec![0; out.len()];
    fill_normal_q24(u64::from(a) << 32 | u64::from(b), c, &mut fixed);
    out.iter_mut()
        .zip(fixed)
        .for_each(|(o, q)| *o = q as f32 / 16_777_216.0);
}

/// A permutation of `0..n` (Fisher and Yates).
#[must_use]
pub fn permutation(seed: u64, purpose: Purpose, round: u64, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, below(seed, purpose, round, i as u32, i + 1));
    }
    order
}

fn word(seed: u64, purpose: Purpose, step: u64, index: u32) -> u32 {
    block(seed, purpose, step, index)[0]
}

fn block(seed: u64, purpose: Purpose, step: u64, index: u32) -> [u32; 4] {
    let counter = [index, step as u32, (step >> 32) as u32, purpose as u32];
    philox4x32(counter, [seed as u32, (seed >> 32) as u32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_hold_everything_once() {
        let mut order = permutation(5, Purpose::Order, 3, 100);
        assert_ne!(order, permutation(5, Purpose::Order, 4, 100));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..100));
    }

    #[test]
    fn normal_numbers_are_standard() {
        let mut out = vec![0.0; 10_000];
        normal(1, Purpose::Noise, 2, 3, &mut out);
        let mean = out.iter().sum::<f32>() / 10_000.0;
        let square = out.iter().map(|v| v * v).sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.04 && (square - 1.0).abs() < 0.05, "{mean}, {square}");
    }
}
