//! Steps of the diffusion chains of Sohl-Dickstein et al., "Deep unsupervised learning using nonequilibrium thermodynamics", ICML 2015.
//!
//! The network gives the reverse kernel as a perturbation around the equilibrium's: outputs of 0 leave the prior alone. A state is Q24
//! as everywhere; a bit is +1 or -1.

use super::form::{Form, Signed, saturate_state};
use crate::numeric::exp2::exp2_neg_q16;
use crate::numeric::scaled::Scaled;

/// A bit that is set, Q24; a bit that is not is its negative.
pub const BIT_Q24: i32 = 1 << 24;
/// 1.0 as a probability.
pub(super) const ONE_Q31: u64 = 1 << 31;
/// log2(e) * 2^30.
const LOG2_E_Q30: u64 = 1_549_082_005;

/// A state that is a bit: what is above 0 is set.
#[must_use]
pub fn bit_q24(set: bool) -> i32 {
    if set { BIT_Q24 } else { -BIT_Q24 }
}

/// One step of a binomial chain, from cumulative alpha `now` to `next`: the probability that a bit was never redrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitStep {
    prior: u64,
    /// Probability that a bit was never redrawn before the step's end.
    next: u64,
    /// `q(x_now = 1 | x_next)`, of 0 and of 1.
    forward: [u64; 2],
}

impl BitStep {
    /// From cumulative alphas in Q62 (above 1.0 counts as 1.0; `now` above `next` counts as `next`) and the prior in Q31.
    #[must_use]
    #[inline(never)]
    pub fn new(now_q62: u64, next_q62: u64, prior_q31: u32) -> Self {
        let next_q62 = next_q62.min(1 << 62);
        let prior = u64::from(prior_q31).min(ONE_Q31);
        let ratio = Scaled::from_q(now_q62.min(next_q62), 62).div(Scaled::from_q(next_q62, 62));
        let kept = if next_q62 == 0 { 0 } else { ratio.to_q(31).min(ONE_Q31) };
        let redrawn = product(ONE_Q31 - kept, prior);
        Self {
            prior,
            next: next_q62 >> 31,
            forward: [redrawn, (redrawn + kept).min(ONE_Q31)],
        }
    }

    /// The prior, the probability that a bit was never redrawn before the step's end, and `q(x_now = 1 | x_next)` of 0 and of 1: Q31, at most
    /// 2^31.
    #[must_use]
    pub const fn probabilities_q31(&self) -> [u64; 4] {
        let [of_zero, of_one] = self.forward;
        [self.prior, self.next, of_zero, of_one]
    }

    /// The bit before the step's end, from the bit after it, the network's output in Q24 and a uniform word.
    #[must_use]
    pub fn apply(&self, set: bool, out_q24: i32, word: u32) -> bool {
        let [zero_q62, one_q62] = self.weights_q62(set, out_q24);
        let sum_q62 = one_q62 + zero_q62;
        let shift = 32u32.saturating_sub(sum_q62.leading_zeros());
        u64::from(word) * (sum_q62 >> shift) < (one_q62 >> shift) << 32
    }

    /// What speaks for a 0 and for a 1 before the step's end, Q62: their sum is at most 2.0, and need not be 1.0.
    #[inline(always)]
    pub(super) fn weights_q62(&self, set: bool, out_q24: i32) -> [u64; 2] {
        let for_one = logistic(out_q24).to_q(31).min(ONE_Q31);
        let (one, zero) = (
            product(for_one, self.prior),
            product(ONE_Q31 - for_one, ONE_Q31 - self.prior),
        );
        // The belief about x_0 becomes one about x_next; the norm keeps it exact without a division.
        let norm = one + zero;
        let carried = |belief, prior| product(self.next, belief) + product(ONE_Q31 - self.next, product(prior, norm));
        let (one, zero) = (carried(one, self.prior), carried(zero, ONE_Q31 - self.prior));
        let [seen_zero, seen_one] = if set {
            self.forward
        } else {
            self.forward.map(|p| ONE_Q31 - p)
        };
        [seen_zero * zero, seen_one * one]
    }
}

/// `a * b` of probabilities in Q31, half up.
fn product(a_q31: u64, b_q31: u64) -> u64 {
    (a_q31 * b_q31 + (1 << 30)) >> 31
}

/// Bit `x_t` from bit `x_0`: kept with probability `alpha_bar`, else drawn from the prior.
#[must_use]
pub fn noised_bit(alpha_bar_q62: u64, prior_q31: u32, set: bool, word: u32) -> bool {
    let step = BitStep::new(alpha_bar_q62, 1 << 62, prior_q31);
    u64::from(word) < step.forward[usize::from(set)] << 1
}

/// One step of a Gaussian chain: `mean = sqrt(1 - beta) x + sqrt(beta) m`, `variance = sigmoid(v)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelStep {
    mean: Form<2>,
}

impl KernelStep {
    /// From cumulative alphas in Q62, `1 - beta = now / next` (above 1 counts as 1).
    #[must_use]
    #[inline(never)]
    pub fn new(now_q62: u64, next_q62: u64) -> Self {
        let next_q62 = next_q62.min(1 << 62);
        let now_q62 = now_q62.min(next_q62);
        let next = Scaled::from_q(next_q62.max(1), 62);
        let part = |q62: u64| Signed::plus(Scaled::from_q(q62, 62).div(next).sqrt());
        Self {
            mean: Form::new(&[part(now_q62), part(next_q62 - now_q62)]),
        }
    }

    /// The mean from (x, m).
    #[must_use]
    pub const fn mean(&self) -> Form<2> {
        self.mean
    }

    /// The next state in Q24, saturated to +-2^30, from the state, the network's two outputs and a standard normal, all Q24.
    #[must_use]
    pub fn apply(&self, x_q24: i32, m_q24: i32, v_q24: i32, z_q24: i32) -> i32 {
        let mean_q24 = self.mean.apply([saturate_state(x_q24), saturate_state(m_q24)]);
        let noise_q54 = i64::from(deviation_q30(v_q24)) * i64::from(saturate_state(z_q24));
        saturate_state(mean_q24.saturating_add(((noise_q54 + (1 << 29)) >> 30) as i32))
    }
}

/// `sqrt(sigmoid(v))` in Q30, 0..=2^30.
#[must_use]
pub fn deviation_q30(v_q24: i32) -> u32 {
    logistic(v_q24).sqrt().to_q(30).min(1 << 30) as u32
}

/// `sigmoid(v)`, as exact relative to its size where it is small.
#[inline(never)]
pub(super) fn logistic(v_q24: i32) -> Scaled {
    let v_q24 = saturate_state(v_q24);
    let power_q16 = ((u64::from(v_q24.unsigned_abs()) * LOG2_E_Q30 + (1 << 37)) >> 38) as u32;
    // 2^-whole is the exponent's, so that no digit is lost.
    let e = Scaled::from_q(exp2_neg_q16(power_q16 & 0xFFFF).into(), 16 + (power_q16 >> 16));
    let above = Scaled::ONE.add(e);
    if v_q24 < 0 { e } else { Scaled::ONE }.div(above)
}
