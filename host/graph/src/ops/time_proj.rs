//! Sinusoidal features of the timestep.

use super::{Forward, Inputs, Operator, Shape, library};
use crate::graph::GraphError;
use crate::{DType, Real};

/// Sinusoidal timestep features (Vaswani et al. 2017, section 3.5; Ho et al. 2020): no inputs, `(dim, 1, 1)`.
/// `freq_i = exp(-ln(max_period) * i / (dim/2 - freq_shift))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeProj {
    /// Number of features, even.
    pub dim: usize,
    /// Cosines first when set.
    pub flip_sin_to_cos: bool,
    /// Subtracted from the divisor of the exponent.
    pub freq_shift: f64,
    /// 10,000 in every known checkpoint.
    pub max_period: f64,
}

impl Operator for TimeProj {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(0)?;
        inputs.require(
            self.dim.is_multiple_of(2),
            "the number of timestep features",
            "even",
            self.dim,
        )?;
        let divisor = self.dim as f64 / 2.0 - self.freq_shift;
        inputs.require(divisor != 0.0, "dim / 2 - freq_shift", "other than 0", divisor)?;
        Ok([self.dim, 1, 1])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let Self {
            dim,
            flip_sin_to_cos,
            freq_shift,
            max_period,
        } = *self;
        for (sample, t) in pass.batch.times.iter().enumerate() {
            let row = features(*t, dim, flip_sin_to_cos, freq_shift, max_period, pass.batch.features);
            let column = pass.y.iter_mut().skip(sample).step_by(pass.extents.n);
            column.zip(row).for_each(|(y, f)| *y = T::of(f));
        }
    }
}

/// In which arithmetic the features are computed. The reference always computes them in f32, whatever the network's own
/// type, and at t = 999 an f32 phase is off by up to 3e-5: enough to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFeatures {
    /// Phase and sine in f64, where the network does not itself ask for f32.
    F64,
    /// Phase and sine in f64, whatever the network asks for.
    F64Throughout,
    /// Every intermediate rounded to f32.
    F32,
    /// Every intermediate in f32 as PyTorch's x86 builds round it ([`library`]).
    Library,
    /// Frequencies as [`Self::Library`] has them, phase and sine in f64.
    LibraryRates,
}

impl TimeFeatures {
    /// What goes with a network of that type.
    #[must_use]
    pub fn of(dtype: DType) -> Self {
        match dtype {
            DType::F32 => Self::F32,
            DType::F64 => Self::F64,
        }
    }

    /// The sine of a phase in radians.
    #[must_use]
    pub fn sin(self, phase: f64) -> f64 {
        match self {
            Self::F64 | Self::F64Throughout | Self::LibraryRates => libm::sin(phase),
            Self::F32 => f64::from(libm::sin(phase) as f32),
            Self::Library => f64::from(library::sin(phase as f32)),
        }
    }

    /// The cosine of a phase in radians.
    #[must_use]
    pub fn cos(self, phase: f64) -> f64 {
        match self {
            Self::F64 | Self::F64Throughout | Self::LibraryRates => libm::cos(phase),
            Self::F32 => f64::from(libm::cos(phase) as f32),
            Self::Library => f64::from(library::cos(phase as f32)),
        }
    }
}

/// The `dim` features of timestep `t`: sines then cosines of `t * exp(-ln(max_period) * i / (dim / 2 - freq_shift))`, or
/// cosines first when `flip` is set.
#[must_use]
pub fn features(t: f64, dim: usize, flip: bool, freq_shift: f64, max_period: f64, how: TimeFeatures) -> Vec<f64> {
    let half = dim / 2;
    let phases: Vec<f64> = (0..half)
        .map(|i| phase(t, i, half, freq_shift, max_period, how))
        .collect();
    let sines = phases.iter().map(|p| how.sin(*p));
    let cosines = phases.iter().map(|p| how.cos(*p));
    if flip {
        cosines.chain(sines).collect()
    } else {
        sines.chain(cosines).collect()
    }
}

fn phase(t: f64, i: usize, half: usize, freq_shift: f64, max_period: f64, how: TimeFeatures) -> f64 {
    let rate = -libm::log(max_period);
    let divisor = half as f64 - freq_shift;
    let exponent = || (rate as f32 * i as f32) / divisor as f32;
    match how {
        TimeFeatures::F64 | TimeFeatures::F64Throughout => t * libm::exp(rate * i as f64 / divisor),
        TimeFeatures::F32 => {
            let frequency = libm::exp(f64::from(exponent())) as f32;
            f64::from(t as f32 * frequency)
        }
        TimeFeatures::Library => f64::from(t as f32 * library::exp(exponent())),
        TimeFeatures::LibraryRates => t * f64::from(library::exp(exponent())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_by_hand() {
        // dim 4: frequencies 1 and 1e4^(-1/2) = 0.01; with freq_shift 1: 1 and 1e4^(-1) = 1e-4.
        let library = features(3.0, 4, true, 0.0, 1e4, TimeFeatures::F64);
        let expected = [3f64.cos(), 0.03f64.cos(), 3f64.sin(), 0.03f64.sin()];
        assert!(library.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-14));
        let original = features(3.0, 4, false, 1.0, 1e4, TimeFeatures::F64);
        let expected = [3f64.sin(), 3e-4f64.sin(), 3f64.cos(), 3e-4f64.cos()];
        assert!(original.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-14));
    }
}
