//! Linear forms in fixed point: signed coefficients under one common fraction, one 64-bit sum, one rounding.

use super::program::Operation;
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

    /// The form of these coefficients.
    pub(super) fn new(coefficients: &[Signed; N]) -> Self {
        let mut mant = [0; N];
        let shift = bring(coefficients, &mut mant);
        Self { mant, shift }
    }

    /// The form of mantissas and fraction bits that are in their ranges.
    pub(crate) const fn from_parts(mant: [i32; N], shift: u8) -> Self {
        Self { mant, shift }
    }

    /// Applies the form to values within +-2^30.
    #[must_use]
    pub fn apply(&self, values_q24: [i32; N]) -> i32 {
        applied(&self.mant, self.shift, &values_q24)
    }
}

/// [`Form::apply`] of any number of values.
#[inline(never)]
fn applied(mant: &[i32], shift: u8, values_q24: &[i32]) -> i32 {
    let shift = u32::from(shift) & 63;
    let mut sum = 1i64 << (shift - 1);
    for (&mant, &value_q24) in mant.iter().zip(values_q24) {
        sum += i64::from(mant) * i64::from(value_q24);
    }
    (sum >> shift).clamp(-i64::from(STATE_MAX_Q24), i64::from(STATE_MAX_Q24)) as i32
}

/// Brings the coefficients under the largest common fraction at which the greatest is below 2^31 and the sum of the
/// magnitudes below 2^32. With at most four (and coefficients below 2^29: more saturates) the sum of [`Form::apply`] is then
/// below 2^63.
#[inline(never)]
fn bring(coefficients: &[Signed], mant: &mut [i32]) -> u8 {
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
    for (mant, c) in mant.iter_mut().zip(coefficients) {
        let magnitude = c.magnitude.to_q(shift as u32).min(most) as i32;
        *mant = if c.negative { -magnitude } else { magnitude };
    }
    shift as u8
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

    /// The result of an operation.
    pub(super) fn by(self, operation: Operation, other: Self) -> Self {
        let (a, b) = (self.magnitude, other.magnitude);
        let magnitude = match operation {
            Operation::Times => a.mul(b),
            Operation::Over => a.div(b),
            Operation::Plus if other.negative => a.sub(b),
            Operation::Plus => a.add(b),
            Operation::Minus => return Self::difference(a, b),
            Operation::Root => a.sqrt(),
        };
        Self {
            negative: self.negative != other.negative && matches!(operation, Operation::Times | Operation::Over),
            magnitude,
        }
    }
}
