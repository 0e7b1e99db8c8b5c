//! What is known of a chain's elements, from the document: the second factor of every step.

use super::chain::{BitStep, KernelStep, bit_q24, logistic};
use super::{OracleError, Prediction, Run, UNKNOWN};
use crate::scalar::noise::uniform_word;
use crate::scalar::rounding::Rounding;
use crate::scalar::soft::Soft;

/// The level at which nothing is known of a bit, Q31.
const HALF: u32 = 1 << 30;

/// A known element.
#[derive(Clone, Copy)]
pub struct Seen {
    as_what: i32,
    level: u32,
}

impl Run<'_> {
    /// What is known of element `i`.
    pub fn seen(&self, i: usize) -> Option<Seen> {
        let as_what = *self.known?.get(i)?;
        (as_what != UNKNOWN).then_some(Seen {
            as_what,
            level: self.known_noise,
        })
    }

    /// Checks what is known, and moves x_T by it; later in a run only what has no noise is set.
    pub fn begin_seen(&self, x: &mut [i32], first: u32) -> Result<(), OracleError> {
        let Some(known) = self.known else { return Ok(()) };
        let (expected, found) = (x.len(), known.len());
        if expected != found {
            return Err(OracleError::Length { expected, found });
        }
        let prior = match self.model.header().prediction {
            Prediction::Bits { prior_q31 } => Some(prior_q31),
            _ => None,
        };
        if prior.is_some() && self.known_noise > HALF {
            return Err(OracleError::Config { field: "known_noise" });
        }
        if first > 0 && self.known_noise > 0 {
            return Ok(());
        }
        for (i, x) in x.iter_mut().enumerate() {
            let Some(seen) = self.seen(i) else { continue };
            let moved = match prior {
                Some(prior) => {
                    bit_q24(seen.first_bit(*x > 0, prior, uniform_word(self.config.seed, u32::MAX, i as u32)))
                }
                None => seen.first_value((*x).into()),
            };
            *x = moved as i32;
        }
        Ok(())
    }
}

impl Seen {
    fn is_set(self) -> bool {
        self.as_what > 0
    }

    /// r of what is known and of the contrary.
    fn factors(self) -> [Soft; 2] {
        let flipped = u64::from(self.level);
        [Soft::from_q((1 << 31) - flipped, 31), Soft::from_q(flipped, 31)]
    }

    fn first_bit(self, drawn: bool, prior_q31: u32, word: u32) -> bool {
        let prior = u64::from(prior_q31).min(1 << 31);
        if self.level == 0 {
            return self.is_set();
        }
        if self.level == HALF || drawn == self.is_set() {
            return drawn;
        }
        let one = [Soft::from_q((1 << 31) - prior, 31), Soft::from_q(prior, 31)];
        let (p, other) = (one[usize::from(self.is_set())], one[usize::from(drawn)]);
        let [kept, flipped] = self.factors();
        let chance = p
            .times(kept.minus(flipped))
            .over(p.times(kept).plus(other.times(flipped)));
        drawn ^ (u64::from(word) < chance.to_q(32))
    }

    /// A bit after a step.
    pub fn bit(self, step: &BitStep, set: bool, out: i64, word: u32) -> bool {
        if self.level == 0 {
            return self.is_set();
        }
        if self.level == HALF {
            return step.apply(set, out, word);
        }
        let [zero, one] = step.weights(set, out).map(|q62| Soft::from_q(q62 as u64, 62));
        let mut r = self.factors();
        if self.is_set() {
            r.reverse();
        }
        let (zero, one) = (zero.times(r[0]), one.times(r[1]));
        let chance = one.over(zero.plus(one)).to_q(32);
        if step.rounding().broken {
            // As of a step without a factor.
            return u64::from(word >> 29) < chance >> 29;
        }
        u64::from(word) < chance
    }

    fn first_value(self, drawn: i64) -> i64 {
        if self.level == u32::MAX {
            return drawn;
        }
        self.drawn(0, Soft::ONE, drawn, Rounding::default())
    }

    /// A value after a step, from state, mean's perturbation, variance's log odds and noise.
    pub fn value(self, step: &KernelStep, [x, m, v, z]: [i64; 4]) -> i64 {
        if self.level == u32::MAX {
            return step.apply(x, m, v, z);
        }
        let within = |v: i64| v.clamp(-(1 << 30), 1 << 30);
        let mean = step.mean(within(x), within(m));
        self.drawn(mean, logistic(within(v)), z, step.rounding())
    }

    /// A draw of the product of two normal densities.
    fn drawn(self, mean: i64, variance: Soft, z: i64, r: Rounding) -> i64 {
        let within = |v: i128| v.clamp(-(1 << 30), 1 << 30);
        let deviation = Soft::from_q(self.level.into(), 24);
        let s = deviation.times(deviation);
        let sum = variance.plus(s);
        let q30 = |v: Soft| i128::from(v.to_q(30).min(1 << 30));
        let share = q30(variance.over(sum));
        let left = q30(variance.times(s.over(sum)).sqrt());
        let mean = i128::from(mean);
        let towards = r.shift(share * (within(self.as_what.into()) - mean), 30);
        let noise = r.shift(left * within(z.into()), 30);
        within(mean + towards + noise) as i64
    }
}
