//! The two float types that networks run in.

use crate::matrix::Product;
use crate::ops::Passes;
use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// Which of the two, where it is chosen as a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// `f32`.
    F32,
    /// `f64`.
    F64,
}

/// Numbers of either type.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// `f32`.
    F32(&'a [f32]),
    /// `f64`.
    F64(&'a [f64]),
}

impl Values<'_> {
    /// The `i`-th in f64.
    #[must_use]
    pub fn wide(&self, i: usize) -> f64 {
        match self {
            Self::F32(values) => values[i].into(),
            Self::F64(values) => values[i],
        }
    }
}

/// `f32` or `f64`, and no other type.
pub trait Real:
    Product
    + Passes
    + Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Sum
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    /// The type's own name.
    const DTYPE: DType;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// The nearest value.
    fn of(value: f64) -> Self;
    /// The same value in f64.
    fn wide(self) -> f64;
    /// The square root.
    fn sqrt(self) -> Self;
    /// `e^self`.
    fn exp(self) -> Self;
    /// `1 / (1 + e^-self)` without a branch, with a relative error below 4e-7 in f32, below 1e-15 in f64.
    fn sigmoid(self) -> Self;
    /// The larger of two, neither of which is NaN.
    fn larger(self, other: Self) -> Self;
    /// The largest whole number that is not larger.
    fn floor(self) -> Self;
    /// The nearest value from `low` to `high`.
    fn limited(self, low: Self, high: Self) -> Self;
    /// Values of this type as those of either.
    fn values(values: &[Self]) -> Values<'_>;
}

impl Real for f32 {
    const DTYPE: DType = DType::F32;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn of(value: f64) -> Self {
        value as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    fn exp(self) -> Self {
        f32::exp(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        /// 1.5 * 2^23: adding and subtracting it rounds to the nearest integer.
        const ROUND: f32 = 12_582_912.0;
        let x = (-self).clamp(-80.0, 80.0);
        let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
        let r = (x - n * (355.0 / 512.0)) - n * -2.121_944_4e-4;
        let mut p = 1.0 / 720.0;
        for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            p = p * r + c;
        }
        1.0 / (1.0 + p * f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    fn larger(self, other: Self) -> Self {
        self.max(other)
    }
    fn floor(self) -> Self {
        f32::floor(self)
    }
    fn limited(self, low: Self, high: Self) -> Self {
        self.clamp(low, high)
    }
    fn values(values: &[Self]) -> Values<'_> {
        Values::F32(values)
    }
}

impl Real for f64 {
    const DTYPE: DType = DType::F64;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        /// 1.5 * 2^52: adding and subtracting it rounds to the nearest integer.
        const ROUND: f64 = 6_755_399_441_055_744.0;
        /// ln 2 in two parts. The first has zeros in its low bits, so that its multiples are exact.
        const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
        // Taylor's series of e^r: at |r| < 0.35 the next term is below 1e-17.
        const TERMS: [f64; 13] = [
            1.0 / 479_001_600.0,
            1.0 / 39_916_800.0,
            1.0 / 3_628_800.0,
            1.0 / 362_880.0,
            1.0 / 40_320.0,
            1.0 / 5_040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ];
        let x = (-self).clamp(-700.0, 700.0);
        let shifted = x * std::f64::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (x - n * LN_2[0]) - n * LN_2[1];
        let mut p = 1.0 / 6_227_020_800.0;
        for c in TERMS {
            p = p * r + c;
        }
        // The integer stands in the low bits of `shifted`.
        1.0 / (1.0 + p * f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52)))
    }
    fn larger(self, other: Self) -> Self {
        self.max(other)
    }
    fn floor(self) -> Self {
        f64::floor(self)
    }
    fn limited(self, low: Self, high: Self) -> Self {
        self.clamp(low, high)
    }
    fn values(values: &[Self]) -> Values<'_> {
        Values::F64(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sigmoid_is_close() {
        for i in -4000..4000 {
            let x = i as f32 * 0.01;
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(x.sigmoid()) / exact - 1.0).abs() < 4e-7, "{x}");
            assert!((f64::from(x).sigmoid() / exact - 1.0).abs() < 1e-15, "{x}");
        }
        assert_eq!((1e30f32.sigmoid(), f32::NEG_INFINITY.sigmoid() < 1e-30), (1.0, true));
        assert_eq!((1e300f64.sigmoid(), f64::NEG_INFINITY.sigmoid() < 1e-300), (1.0, true));
    }
}
