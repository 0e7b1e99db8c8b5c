//! Steps of the chains of 2015, from the document; probabilities in 128 bits.

use super::coefficients::Form;
use crate::scalar::rounding::{Rounding, saturate};
use crate::scalar::sigmoid::exp2_neg_q16;
use crate::scalar::soft::Soft;

/// +1 or -1.
pub fn bit_q24(set: bool) -> i64 {
    if set { 1 << 24 } else { -(1 << 24) }
}

/// One step of a binomial chain; every probability is Q31.
pub struct BitStep {
    prior: i128,
    next: i128,
    redrawn: i128,
    kept: i128,
    r: Rounding,
}

const ONE: i128 = 1 << 31;

impl BitStep {
    /// Between two cumulative alphas, Q62.
    pub fn new(now: u64, next: u64, prior_q31: u32, r: Rounding) -> Self {
        let next = next.min(1 << 62);
        let prior = i128::from(prior_q31).min(ONE);
        let ratio = Soft::from_q(now.min(next), 62).over(Soft::from_q(next, 62));
        let kept = if next == 0 {
            0
        } else {
            (ratio.to_q(31) as i128).min(ONE)
        };
        Self {
            prior,
            next: i128::from(next >> 31),
            redrawn: r.shift((ONE - kept) * prior, 31),
            kept,
            r,
        }
    }

    /// The bit before.
    pub fn apply(&self, set: bool, out: i64, word: u32) -> bool {
        let [zero, mut one] = self.weights(set, out);
        let mut sum = one + zero;
        // The upper 32 bits of the sum, where it has more.
        while sum >= 1 << 32 {
            let shift = 128 - sum.leading_zeros() - 32;
            (one, sum) = (one >> shift, sum >> shift);
        }
        if self.r.broken {
            // An error of a probability's last digit shows in one bit of millions: a broken step keeps three digits.
            return i128::from(word >> 29) < (one << 3) / sum.max(1);
        }
        i128::from(word) * sum < one << 32
    }

    /// What speaks for 0 and for 1, Q62.
    pub fn weights(&self, set: bool, out: i64) -> [i128; 2] {
        let product = |a: i128, b: i128| self.r.shift(a * b, 31);
        let s = (logistic(out.clamp(-(1 << 30), 1 << 30)).to_q(31) as i128).min(ONE);
        let believed = [product(ONE - s, ONE - self.prior), product(s, self.prior)];
        let norm = believed[0] + believed[1];
        let priors = [ONE - self.prior, self.prior];
        let seen = |x: usize| {
            let one = self.redrawn + if x == 1 { self.kept } else { 0 };
            if set { one.min(ONE) } else { ONE - one.min(ONE) }
        };
        let weight = |x: usize| {
            let carried = product(self.next, believed[x]) + product(ONE - self.next, product(priors[x], norm));
            seen(x) * carried
        };
        [weight(0), weight(1)]
    }

    /// How it rounds.
    pub fn rounding(&self) -> Rounding {
        self.r
    }

    /// `q(x_now = 1 | x_next)` against a word.
    pub fn forward(&self, set: bool, word: u32) -> bool {
        let one = (self.redrawn + if set { self.kept } else { 0 }).min(ONE);
        i128::from(word) < 2 * one
    }
}

/// One step of a Gaussian chain.
pub struct KernelStep {
    mean: Form,
    r: Rounding,
}

impl KernelStep {
    /// Between two cumulative alphas, Q62.
    pub fn new(now: u64, next: u64, r: Rounding) -> Self {
        let next = next.min(1 << 62);
        let now = now.min(next);
        let part = |q62| (false, Soft::from_q(q62, 62).over(Soft::from_q(next.max(1), 62)).sqrt());
        Self {
            mean: Form::new(&[part(now), part(next - now)]),
            r,
        }
    }

    /// The next state from state, mean's perturbation, variance's log odds and noise, Q24.
    pub fn apply(&self, x: i64, m: i64, v: i64, z: i64) -> i64 {
        let within = |v: i64| v.clamp(-(1 << 30), 1 << 30);
        let mean = self.mean(x, m);
        let noise = self
            .r
            .shift(i128::from(deviation_q30(within(v))) * i128::from(within(z)), 30);
        within(saturate(i128::from(mean) + noise, 64))
    }
}

impl KernelStep {
    /// The mean alone.
    pub fn mean(&self, x: i64, m: i64) -> i64 {
        self.mean.apply(&[x, m], self.r)
    }

    /// How it rounds.
    pub fn rounding(&self) -> Rounding {
        self.r
    }
}

fn deviation_q30(v: i64) -> i64 {
    (logistic(v).sqrt().to_q(30) as i64).min(1 << 30)
}

/// Of a clamped v.
pub fn logistic(v: i64) -> Soft {
    let power_q16 = (i128::from(v.abs()) * 1_549_082_005 + (1 << 37)) >> 38;
    let (whole, within) = (power_q16 as i64 / 65_536, power_q16 as i64 % 65_536);
    let e = Soft::from_q(exp2_neg_q16(within) as u64, 16 + whole);
    let one = Soft::ONE;
    if v < 0 { e } else { one }.over(one.plus(e))
}
