//! Runs of a chain of 2015 of which something is known: its steps times a second factor ([`crate::schedule::posterior`]).

use super::{Sampler, output};
use crate::error::RunError;
use crate::model::crc::{crc32, joined};
use crate::numeric::normal::{normal_q24, uniform_word};
use crate::schedule::chain::{BitStep, KernelStep, bit_q24};
use crate::schedule::coefficients::Prediction;
use crate::schedule::posterior::{MOST_FLIP_Q31, SeenBit, SeenValue};

use super::UNKNOWN;

/// The stream of the words that move x_T. Steps draw from the streams behind 0, and there are fewer of them.
const START_STREAM: u32 = u32::MAX;

/// What was known of a run before it is given something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing.
    Nothing,
    /// The same.
    Same,
}

impl<'a> Sampler<'_, 'a> {
    /// Multiplies the steps of a chain by what is known of its elements: those of `seen_q24` (Q24, `(row, col, channel)`; a bit is set
    /// above 0) that are not [`UNKNOWN`]. Call it before the first step, and again after a resume.
    ///
    /// `noise` says how well they are known: of bits the probability that each was flipped, Q31, 0 to 2^30; of values the standard
    /// deviation, Q24, where `u32::MAX` is infinite. With 0 the elements are known exactly. Before the first step x_T is taken as drawn
    /// from the prior, and is multiplied too.
    ///
    /// # Errors
    /// `Length`; `NotBuilt`; `NoChain` for another model, which takes [`inpaint`](Self::inpaint); `KnownNoise` outside its range; `KnownImage` where
    /// the run was saved with something else known.
    pub fn posterior(&mut self, seen_q24: &'a [i32], noise: u32) -> Result<(), RunError> {
        let before = self.can_see(seen_q24, noise)?;
        (self.known, self.known_tag) = (Some(seen_q24), noise);
        self.begin_seen(before == Before::Nothing);
        Ok(())
    }

    /// Checks what is to be known from here on; gives what was before.
    pub(super) fn can_see(&self, seen_q24: &[i32], noise: u32) -> Result<Before, RunError> {
        if !self.is_chain() {
            return Err(RunError::NoChain);
        }
        self.fits(seen_q24)?;
        if matches!(self.model.header().prediction, Prediction::Bits { .. }) && noise > MOST_FLIP_Q31 {
            return Err(RunError::KnownNoise(noise));
        }
        match self.saved_tag() {
            0 => Ok(Before::Nothing),
            saved if saved == tag(seen_q24, noise) => Ok(Before::Same),
            _ => Err(RunError::KnownImage),
        }
    }

    /// The tag of what is known, or was when the run was saved; 0 without.
    pub(super) fn saved_tag(&self) -> u32 {
        match self.known {
            Some(seen_q24) if self.is_chain() => tag(seen_q24, self.known_tag),
            _ => self.known_tag,
        }
    }

    /// Moves x_T by what is known of it, once. What is known exactly is set wherever the run stands.
    pub(super) fn begin_seen(&mut self, fresh: bool) {
        let noise = self.known_tag;
        if noise != 0 && !(fresh && self.index == 0) {
            return;
        }
        let (seed, prediction) = (self.config.seed, self.model.header().prediction);
        let seen = self.known.unwrap_or_default();
        let known = self.x.iter_mut().zip(seen).enumerate();
        for (i, (x, &seen)) in known.filter(|(_, (_, seen))| **seen != UNKNOWN) {
            *x = match prediction {
                Prediction::Bits { prior_q31 } => {
                    let word = uniform_word(seed, START_STREAM, i as u32);
                    bit_q24(seen_bit(seen, noise).start(*x > 0, prior_q31, word))
                }
                _ => seen_value(seen, noise).start(*x),
            };
        }
    }

    /// Refuses a step of a run that was saved with something known and has not been given it again.
    pub(super) fn is_seen(&self) -> Result<(), RunError> {
        if self.known_tag != 0 && self.known.is_none() {
            return Err(RunError::KnownImage);
        }
        Ok(())
    }

    /// [`chain_step`](Self::chain_step) where `seen_q24` is known.
    pub(super) fn posterior_step(&mut self, now: u64, next: u64, seen_q24: &[i32]) -> Result<(), RunError> {
        let header = self.model.header();
        let (seed, stream, noise) = (self.config.seed, self.index + 1, self.known_tag);
        let out = output(self.model, self.activations)?;
        if let Prediction::Bits { prior_q31 } = header.prediction {
            let step = BitStep::new(now, next, prior_q31);
            for (i, ((x, out), &seen)) in self.x.iter_mut().zip(out).zip(seen_q24).enumerate() {
                let (set, word) = (*x > 0, uniform_word(seed, stream, i as u32));
                *x = bit_q24(match seen {
                    UNKNOWN => step.apply(set, *out, word),
                    _ => seen_bit(seen, noise).apply(&step, set, *out, word),
                });
            }
            return Ok(());
        }
        let step = KernelStep::new(now, next);
        let channels = usize::from(header.channels);
        for (i, (x, &seen)) in self.x.iter_mut().zip(seen_q24).enumerate() {
            let at = i / channels * 2 * channels + i % channels;
            let (Some(&m), Some(&v)) = (out.get(at), out.get(at + channels)) else {
                return Err(RunError::Memory { op: header.op_count });
            };
            let z = normal_q24(seed, stream, i as u32);
            *x = match seen {
                UNKNOWN => step.apply(*x, m, v, z),
                _ => seen_value(seen, noise).apply(&step, [*x, m, v, z]),
            };
        }
        Ok(())
    }
}

/// Tells what is known apart in a snapshot; not 0.
fn tag(seen_q24: &[i32], noise: u32) -> u32 {
    let seen: &[u8] = bytemuck::cast_slice(seen_q24);
    joined(crc32(&noise.to_le_bytes()), crc32(seen), seen.len()).max(1)
}

fn seen_bit(seen_q24: i32, flip_q31: u32) -> SeenBit {
    SeenBit {
        set: seen_q24 > 0,
        flip_q31,
    }
}

fn seen_value(value_q24: i32, deviation_q24: u32) -> SeenValue {
    SeenValue {
        value_q24,
        deviation_q24,
    }
}
