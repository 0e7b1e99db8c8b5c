//! The two float types that the executor and the sampler run in.

use candle_core::WithDType;
use std::ops::{Add, Div, Mul, Sub};

/// `f32` or `f64`.
pub trait Real:
    WithDType + Copy + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// The nearest value.
    fn of(value: f64) -> Self;
    /// The same value in f64.
    fn wide(self) -> f64;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
}
