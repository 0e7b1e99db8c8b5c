//! `Scaled`: the unsigned software float of the sampler's coefficients.

use super::roots::isqrt;

/// `mant * 2^exp` with `mant` in [2^31, 2^32), or zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soft {
    /// Mantissa.
    pub mant: u128,
    /// Exponent.
    pub exp: i64,
}

impl Soft {
    /// 0.
    pub const ZERO: Self = Self { mant: 0, exp: 0 };
    /// 1.
    pub const ONE: Self = Self {
        mant: 1 << 31,
        exp: -31,
    };
    const MAX: Self = Self {
        mant: (1 << 32) - 1,
        exp: 32_767,
    };

    /// `v * 2^-frac`.
    pub fn from_q(v: u64, frac: i64) -> Self {
        Self::normalized(v.into(), -frac)
    }

    fn normalized(mut v: u128, mut exp: i64) -> Self {
        if v == 0 {
            return Self::ZERO;
        }
        while v < 1 << 63 {
            v *= 2;
            exp -= 1;
        }
        let mut mant = (v >> 32) + (v >> 31 & 1);
        exp += 32;
        if mant == 1 << 32 {
            mant /= 2;
            exp += 1;
        }
        match exp {
            32_768.. => Self::MAX,
            ..-32_768 => Self::ZERO,
            _ => Self { mant, exp },
        }
    }

    /// Whether this is 0.
    pub fn is_zero(self) -> bool {
        self.mant == 0
    }

    /// `self * other`.
    pub fn times(self, other: Self) -> Self {
        Self::normalized(self.mant * other.mant, self.exp + other.exp)
    }

    /// `self / other`.
    pub fn over(self, other: Self) -> Self {
        if self.is_zero() {
            return Self::ZERO;
        }
        if other.is_zero() {
            return Self::MAX;
        }
        let s = if self.mant >= other.mant { 31 } else { 32 };
        let numerator = self.mant << s;
        let quotient = numerator / other.mant + u128::from(2 * (numerator % other.mant) >= other.mant);
        Self::normalized(quotient, self.exp - other.exp - s)
    }

    /// `self + other`.
    pub fn plus(self, other: Self) -> Self {
        let (large, small) = if self.less(other) { (other, self) } else { (self, other) };
        Self::normalized((large.mant << 31) + small.under(large), large.exp - 31)
    }

    /// `self - other`, 0 at least.
    pub fn minus(self, other: Self) -> Self {
        if self.less(other) {
            return Self::ZERO;
        }
        Self::normalized((self.mant << 31) - other.under(self), self.exp - 31)
    }

    fn under(self, large: Self) -> u128 {
        let distance = large.exp - self.exp;
        if self.is_zero() || distance >= 64 {
            0
        } else {
            (self.mant << 31) >> distance
        }
    }

    /// Square root.
    pub fn sqrt(self) -> Self {
        let s = if self.exp % 2 == 0 { 32 } else { 31 };
        let n = self.mant << s;
        let r = isqrt(n);
        Self::normalized(r + u128::from(n - r * r > r), (self.exp - s) / 2)
    }

    /// `self * 2^frac` as an integer, half up.
    pub fn to_q(self, frac: i64) -> u64 {
        let shift = self.exp + frac;
        match shift {
            _ if self.is_zero() => 0,
            33.. => u64::MAX,
            0..=32 => (self.mant << shift) as u64,
            -32..=-1 => ((self.mant + (1 << (-shift - 1))) >> -shift) as u64,
            _ => 0,
        }
    }

    /// `self < other`.
    pub fn less(self, other: Self) -> bool {
        match (self.is_zero(), other.is_zero()) {
            (_, true) => false,
            (true, false) => true,
            _ => (self.exp, self.mant) < (other.exp, other.mant),
        }
    }
}
