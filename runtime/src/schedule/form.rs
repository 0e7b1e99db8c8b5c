//! Linear forms in fixed point: signed coefficients under one common fraction, one 64-bit sum, one rounding.

use crate::numeric::scaled::Scaled;

/// Largest magnitude of a state element: +-64.0 in Q24.
pub const STATE_MAX_Q24: i32 = 1 << 30;

/// Clamps to +-[`STATE_MAX_Q24`].
#[must_use]
#[inline]
pub fn saturate_state(v_q24: i32) -> i32 {
    v_q24.clamp(-STATE_MAX_Q24, STATE_MAX_Q24)
}

/// `sum(mant[i] * v[i]) * 2^-shift`, rounded half up once, saturated to +-2^30.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Form<const N: usize> {
    /// Mantissas; their magnitudes sum to at most 2^32 + N.
    mant: [i32; N],
    /// Fraction bits of the mantissas, 1..=40.
    shift: u8,
}

impl<const N: usize> Form<N> {
    /// The mantissas.
    #[must_use]
    pub const fn mant(&self) -> [i32; N] {
        self.mant
    }

    /// Fraction bits of the mantissas, 1..=40.
    #[must_use]
    pub const fn shift(&self) -> u8 {
        self.shift
    }

    /// Brings the coefficients under the largest common fraction at which the greatest is below 2^31 and the sum of the
    /// magnitudes below 2^32. With N <= 4 (and coefficients below 2^29: more saturates) the sum of `apply` is then
    /// below 2^63.
    pub(super) fn new(coefficients: [Signed; N]) -> Self {
        let mut sum = Scaled::ZERO;
        let mut largest = Scaled::ZERO;
        for c in coefficients {
            sum = sum.add(c.magnitude);
            largest = largest.max(c.magnitude);
        }
        // A value is below 2^(exp + 32).
        let fits = (-i32::from(sum.exp())).min(-1 - i32::from(largest.exp()));
        let shift = if largest.is_zero() { 30 } else { fits.clamp(1, 40) };
        let most = if fits < 1 { 1 << 30 } else { i32::MAX as u64 };
        let mant = coefficients.map(|c| {
            let magnitude = c.magnitude.to_q(shift as u32).min(most) as i32;
            if c.negative { -magnitude } else { magnitude }
        });
        Self {
            mant,
            shift: shift as u8,
        }
    }

    /// Applies the form to values within +-2^30.
    #[must_use]
    #[inline]
    pub fn apply(&self, values_q24: [i32; N]) -> i32 {
        let mut sum = 1i64 << (self.shift - 1);
        for (mant, value_q24) in self.mant.iter().zip(values_q24) {
            sum += i64::from(*mant) * i64::from(value_q24);
        }
        (sum >> self.shift).clamp(-i64::from(STATE_MAX_Q24), i64::from(STATE_MAX_Q24)) as i32
    }
}

/// A signed coefficient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed {
    negative: bool,
    magnitude: Scaled,
}

impl Signed {
    pub(super) const ZERO: Self = Self {
        negative: false,
        magnitude: Scaled::ZERO,
    };

    pub(super) fn plus(magnitude: Scaled) -> Self {
        Self {
            negative: false,
            magnitude,
        }
    }

    pub(super) fn minus(magnitude: Scaled) -> Self {
        Self {
            negative: true,
            magnitude,
        }
    }

    /// `a - b`.
    pub(super) fn difference(a: Scaled, b: Scaled) -> Self {
        if a < b {
            Self::minus(b.sub(a))
        } else {
            Self::plus(a.sub(b))
        }
    }

    pub(super) fn negated(self) -> Self {
        Self {
            negative: !self.negative,
            magnitude: self.magnitude,
        }
    }

    pub(super) fn times(self, factor: Scaled) -> Self {
        Self {
            negative: self.negative,
            magnitude: self.magnitude.mul(factor),
        }
    }
}
