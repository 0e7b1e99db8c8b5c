//! The second factor r(x) of a chain's steps: Sohl-Dickstein et al. 2015, section 2.5, "computing posteriors".
//!
//! A chain's distribution times what is known of a sample is a chain again: every reverse kernel is multiplied by r and
//! normalized. A bit that was seen through a channel which flips it, and a value that was seen with normal noise, leave the kernel in
//! its family. Without noise the element is known.

use super::chain::{BitStep, KernelStep, ONE_Q31, logistic};
use super::form::saturate_state;
use crate::numeric::scaled::Scaled;

/// The largest probability of a flip, Q31: a half, with which nothing is known of a bit.
pub const MOST_FLIP_Q31: u32 = 1 << 30;

/// The deviation with which nothing is known of a value.
pub const INFINITE_Q24: u32 = u32::MAX;

/// A bit that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenBit {
    /// As what.
    pub set: bool,
    /// Probability that the bit was flipped on the way, Q31: 0 to [`MOST_FLIP_Q31`].
    pub flip_q31: u32,
}

impl SeenBit {
    /// r of what was seen and of its contrary: both are above 0 where they are asked for.
    fn factors(self) -> [Scaled; 2] {
        let flip = u64::from(self.flip_q31.min(MOST_FLIP_Q31));
        [ONE_Q31 - flip, flip].map(|q31| Scaled::from_q(q31, 31))
    }

    /// A bit of x_T from one that was drawn from the prior (Q31), with a uniform word: what was seen, or the draw as it was.
    #[must_use]
    pub fn start(self, drawn: bool, prior_q31: u32, word: u32) -> bool {
        if drawn == self.set || self.flip_q31 == 0 || self.flip_q31 >= MOST_FLIP_Q31 {
            return if self.flip_q31 == 0 { self.set } else { drawn };
        }
        let prior = u64::from(prior_q31).min(ONE_Q31);
        let [mut of_seen, mut of_other] = [prior, ONE_Q31 - prior];
        if !self.set {
            (of_seen, of_other) = (of_other, of_seen);
        }
        let [kept, flipped] = self.factors();
        let [of_seen, of_other] = [of_seen, of_other].map(|q31| Scaled::from_q(q31, 31));
        let norm = of_seen.mul(kept).add(of_other.mul(flipped));
        let moved = of_seen.mul(kept.sub(flipped)).div(norm);
        let moved = u64::from(word) < moved.to_q(32);
        if moved { self.set } else { drawn }
    }

    /// [`BitStep::apply`] of a bit that was seen.
    #[must_use]
    pub fn apply(self, step: &BitStep, set: bool, out_q24: i32, word: u32) -> bool {
        match self.flip_q31 {
            0 => return self.set,
            MOST_FLIP_Q31.. => return step.apply(set, out_q24, word),
            _ => {}
        }
        let [zero, one] = step.weights_q62(set, out_q24).map(|q62| Scaled::from_q(q62, 62));
        let [kept, flipped] = self.factors();
        let (one, zero) = if self.set {
            (one.mul(kept), zero.mul(flipped))
        } else {
            (one.mul(flipped), zero.mul(kept))
        };
        u64::from(word) < one.div(one.add(zero)).to_q(32)
    }
}

/// A value that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenValue {
    /// As what, Q24; clamped to +-2^30.
    pub value_q24: i32,
    /// Standard deviation of what was seen, Q24; [`INFINITE_Q24`] says nothing of the value.
    pub deviation_q24: u32,
}

impl SeenValue {
    /// A value of x_T from one that was drawn from the prior, Q24.
    #[must_use]
    pub fn start(self, drawn_q24: i32) -> i32 {
        match self.deviation_q24 {
            INFINITE_Q24 => drawn_q24,
            _ => self.moved(0, Scaled::ONE, drawn_q24),
        }
    }

    /// [`KernelStep::apply`] of a value that was seen.
    #[must_use]
    pub fn apply(self, step: &KernelStep, [x_q24, m_q24, v_q24, z_q24]: [i32; 4]) -> i32 {
        if self.deviation_q24 == INFINITE_Q24 {
            return step.apply(x_q24, m_q24, v_q24, z_q24);
        }
        let mean_q24 = step.mean().apply([saturate_state(x_q24), saturate_state(m_q24)]);
        self.moved(mean_q24, logistic(v_q24), z_q24)
    }

    /// A draw of `N(mean, variance)` times r, by a standard normal: the mean moves towards what was seen by the share that the variance has
    /// of the sum of both.
    fn moved(self, mean_q24: i32, variance: Scaled, z_q24: i32) -> i32 {
        let deviation = Scaled::from_q(self.deviation_q24.into(), 24);
        let seen = deviation.mul(deviation);
        let sum = variance.add(seen);
        let share_q30 = variance.div(sum).to_q(30).min(1 << 30) as i64;
        let left = variance.mul(seen.div(sum)).sqrt();
        let left_q30 = left.to_q(30).min(1 << 30) as i64;
        let off_q24 = i64::from(saturate_state(self.value_q24)) - i64::from(mean_q24);
        // Within +-2^31, +-2^30 and +-2^30: nothing leaves 64 bits, and the sum is within +-2^32.
        let moved_q24 = i64::from(mean_q24) + ((share_q30 * off_q24 + (1 << 29)) >> 30);
        let noise_q24 = (left_q30 * i64::from(saturate_state(z_q24)) + (1 << 29)) >> 30;
        (moved_q24 + noise_q24).clamp(-(1 << 30), 1 << 30) as i32
    }
}
