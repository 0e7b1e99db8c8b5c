//! Factors of activations.

use super::requant::{Requant, high_product};

/// A [`Requant`] made ready for values of 16 bits, such as activations: the same results, from the high
/// word of one product whatever the shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmallRequant {
    /// Left shift before the product; [`SmallRequant::EXACT`] where it would need more than 16.
    up: u8,
    shift: u8,
    round: i32,
    mult: i32,
    exact: Requant,
}

impl SmallRequant {
    const EXACT: u8 = 255;

    /// Prepares a factor.
    #[inline(never)]
    pub fn new(exact: Requant) -> Self {
        let up = 33u8.saturating_sub(exact.shift);
        let shift = (exact.shift + up - 32) & 31;
        Self {
            up: if up > 16 { Self::EXACT } else { up },
            shift,
            round: 1 << (shift - 1),
            mult: exact.mult,
            exact,
        }
    }

    /// `(left shift, multiplier, rounding, right shift)` of the high word: `(high(v << up, mult) + round) >> shift`; `None` where
    /// a left shift does not do.
    pub fn parts(&self) -> Option<(u32, i32, i32, u32)> {
        (self.up != Self::EXACT).then(|| (self.up.into(), self.mult, self.round, self.shift.into()))
    }

    /// [`Requant::apply`] for `-2^15 <= v < 2^15`.
    #[inline(always)]
    pub fn apply(&self, v: i32) -> i32 {
        if self.up == Self::EXACT {
            return self.exact.times(v);
        }
        (high_product(v << self.up, self.mult) + self.round) >> self.shift
    }
}
