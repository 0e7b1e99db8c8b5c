//! Starts and steps of the chains of 2015: draws from the reverse kernels that the network gives.

use super::{Sampler, output};
use crate::error::RunError;
use crate::numeric::normal::{fill_normal_q24, normal_q24, uniform_word};
use crate::schedule::chain::{BitStep, KernelStep, bit_q24, noised_bit};
use crate::schedule::coefficients::Prediction;

impl Sampler<'_, '_> {
    /// A state that was given, as bits where the chain is of bits.
    pub(super) fn given_bits(&mut self) {
        if let Prediction::Bits { .. } = self.model.header().prediction {
            self.x.iter_mut().for_each(|x| *x = bit_q24(*x > 0));
        }
    }

    /// x_T from the prior.
    pub(super) fn draw_prior(&mut self) {
        let seed = self.config.seed;
        let Prediction::Bits { prior_q31 } = self.model.header().prediction else {
            return fill_normal_q24(seed, 0, self.x);
        };
        for (i, x) in self.x.iter_mut().enumerate() {
            *x = bit_q24(noised_bit(0, prior_q31, false, uniform_word(seed, 0, i as u32)));
        }
    }

    /// x_t of a state that holds x_0, where the chain is of bits.
    pub(super) fn noise_bits(&mut self, alpha_bar_q62: u64, prior_q31: u32) {
        let seed = self.config.seed;
        for (i, x) in self.x.iter_mut().enumerate() {
            let word = uniform_word(seed, 0, i as u32);
            *x = bit_q24(noised_bit(alpha_bar_q62, prior_q31, *x > 0, word));
        }
    }

    /// Moves the state from level `now` to `next`, cumulative alphas in Q62, by the network's output, which is in the arena.
    #[inline(never)]
    pub(super) fn chain_step(&mut self, now: u64, next: u64) -> Result<(), RunError> {
        #[cfg(feature = "posterior")]
        if let Some(seen_q24) = self.known {
            return self.posterior_step(now, next, seen_q24);
        }
        let header = self.model.header();
        let (seed, stream) = (self.config.seed, self.index + 1);
        let out = output(self.model, self.activations)?;
        if let Prediction::Bits { prior_q31 } = header.prediction {
            let step = BitStep::new(now, next, prior_q31);
            for (i, (x, out)) in self.x.iter_mut().zip(out).enumerate() {
                *x = bit_q24(step.apply(*x > 0, *out, uniform_word(seed, stream, i as u32)));
            }
            return Ok(());
        }
        let step = KernelStep::new(now, next);
        // Each position has its channels' means, then their variances.
        let channels = usize::from(header.channels);
        for (i, x) in self.x.iter_mut().enumerate() {
            let at = i / channels * 2 * channels + i % channels;
            let (Some(&m), Some(&v)) = (out.get(at), out.get(at + channels)) else {
                return Err(RunError::Memory { op: header.op_count });
            };
            *x = step.apply(*x, m, v, normal_q24(seed, stream, i as u32));
        }
        Ok(())
    }
}
