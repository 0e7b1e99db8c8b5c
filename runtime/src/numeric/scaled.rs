//! A tiny unsigned software float, for the sampler's coefficients: a handful of operations a step, on any core.

use core::cmp::Ordering;

use super::divide::continued;
use super::rsqrt::isqrt_u64;

/// `mant * 2^exp` with `mant >= 2^31`, or zero (`mant = 0`, `exp = 0`).
///
/// Every operation rounds its result to 32 bits, half up: relative error at most 2^-32 (addition and subtraction:
/// 2^-32 plus 2^-62 of the larger operand). Exponents saturate: overflow gives [`Scaled::MAX`], underflow zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scaled {
    mant: u32,
    exp: i16,
}

impl Scaled {
    /// Zero.
    pub const ZERO: Self = Self { mant: 0, exp: 0 };
    /// One.
    pub const ONE: Self = Self {
        mant: 1 << 31,
        exp: -31,
    };
    /// The largest value, which overflow and division by zero give.
    pub const MAX: Self = Self {
        mant: u32::MAX,
        exp: i16::MAX,
    };

    /// `v * 2^-frac`, rounded to 32 bits.
    #[must_use]
    pub const fn from_q(v: u64, frac: u32) -> Self {
        Self::normalize(v, -(if frac > 0x7FFF { 0x7FFF } else { frac as i32 }))
    }

    /// `numerator / denominator`; each is rounded to 32 bits first. A zero denominator gives what [`Scaled::div`] does.
    #[must_use]
    pub const fn from_ratio(numerator: u64, denominator: u64) -> Self {
        Self::from_q(numerator, 0).div(Self::from_q(denominator, 0))
    }

    /// The mantissa: zero, or in `[2^31, 2^32)`.
    #[must_use]
    pub const fn mant(self) -> u32 {
        self.mant
    }

    /// The exponent of the mantissa's lowest bit.
    #[must_use]
    pub const fn exp(self) -> i16 {
        self.exp
    }

    /// Whether this is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.mant == 0
    }

    /// Product.
    #[must_use]
    #[inline(never)]
    pub const fn mul(self, other: Self) -> Self {
        Self::normalize(self.mant as u64 * other.mant as u64, self.exp as i32 + other.exp as i32)
    }

    /// Quotient; `x / 0` is [`Scaled::MAX`], `0 / x` and `0 / 0` are zero.
    #[must_use]
    pub const fn div(self, other: Self) -> Self {
        if self.mant == 0 {
            return Self::ZERO;
        }
        if other.mant == 0 {
            return Self::MAX;
        }
        // A quotient of exactly 32 bits: the numerator's shift depends on which mantissa is larger.
        let (first, rest) = match self.mant.checked_sub(other.mant) {
            Some(rest) => (1, rest),
            None => (0, self.mant),
        };
        let (shift, denominator) = (32 - first, other.mant as u64);
        let (quotient, remainder) = continued(rest as u64, 0, shift, denominator);
        let up = (2 * remainder >= denominator) as u64;
        let exp = self.exp as i32 - other.exp as i32 - shift as i32;
        Self::normalize(((first as u64) << 31) + quotient + up, exp)
    }

    /// Sum.
    #[must_use]
    pub const fn add(self, other: Self) -> Self {
        let (large, small) = if self.less_than(other) {
            (other, self)
        } else {
            (self, other)
        };
        Self::normalize(
            ((large.mant as u64) << 31) + aligned(small, large),
            large.exp as i32 - 31,
        )
    }

    /// Difference, zero where `other` is the larger.
    #[must_use]
    pub const fn sub(self, other: Self) -> Self {
        if self.less_than(other) {
            return Self::ZERO;
        }
        Self::normalize(((self.mant as u64) << 31) - aligned(other, self), self.exp as i32 - 31)
    }

    /// Square root.
    #[must_use]
    pub fn sqrt(self) -> Self {
        let shift = if self.exp & 1 == 0 { 32 } else { 31 };
        let n = u64::from(self.mant) << shift;
        let root = u64::from(isqrt_u64(n));
        let up = u64::from(n - root * root > root);
        Self::normalize(root + up, (i32::from(self.exp) - shift) >> 1)
    }

    /// `value * 2^frac` as an integer, half up, saturating at `u64::MAX`.
    #[must_use]
    pub const fn to_q(self, frac: u32) -> u64 {
        if self.mant == 0 {
            return 0;
        }
        let shift = self.exp as i32 + (if frac > 0x7FFF { 0x7FFF } else { frac as i32 });
        match shift {
            33.. => u64::MAX,
            0..=32 => (self.mant as u64) << shift,
            -32..=-1 => (self.mant as u64 + (1 << (-shift - 1))) >> -shift,
            _ => 0,
        }
    }

    /// Rounds `v * 2^exp` to 32 bits, half up.
    const fn normalize(v: u64, exp: i32) -> Self {
        if v == 0 {
            return Self::ZERO;
        }
        let zeros = v.leading_zeros();
        let n = v << zeros;
        let mut exp = exp + 32 - zeros as i32;
        let mut mant = (n >> 32) + ((n >> 31) & 1);
        if mant >> 32 != 0 {
            mant >>= 1;
            exp += 1;
        }
        if exp > i16::MAX as i32 {
            Self::MAX
        } else if exp < i16::MIN as i32 {
            Self::ZERO
        } else {
            Self {
                mant: mant as u32,
                exp: exp as i16,
            }
        }
    }

    const fn less_than(self, other: Self) -> bool {
        if self.mant == 0 || other.mant == 0 || self.exp == other.exp {
            // Of two non-zero values with one exponent, and of any value and zero, the mantissas decide.
            self.mant < other.mant
        } else {
            self.exp < other.exp
        }
    }
}

impl PartialOrd for Scaled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scaled {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.less_than(*other), other.less_than(*self)) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => Ordering::Equal,
        }
    }
}

/// `small`'s mantissa, shifted left by 31, in units of `large`'s; what falls below is dropped.
const fn aligned(small: Scaled, large: Scaled) -> u64 {
    let distance = large.exp as i32 - small.exp as i32;
    if small.mant == 0 || distance > 63 {
        0
    } else {
        ((small.mant as u64) << 31) >> distance
    }
}
