//! Features of the timestep with frequencies of their own.

use super::{Forward, Inputs, Operator, Shape, TimeFeatures};
use crate::Real;
use crate::graph::GraphError;

/// What a feature is of its line `rate * t + phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaveKind {
    /// The line itself.
    Line,
    /// Its sine.
    Sine,
    /// Its cosine.
    Cosine,
}

/// A feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wave {
    /// Sine, cosine or neither.
    pub kind: WaveKind,
    /// Radians a unit of the network's time.
    pub rate: f64,
    /// The same as the network computes it in f32, from exponents and powers that were rounded on the way. A quotient has more bits: the
    /// network divides by the number, which was not inverted before.
    pub single: f64,
    /// The same as PyTorch's x86 builds compute it in f32 ([`super::library`]).
    pub library: f64,
    /// By what the network multiplies its time first, which f32 rounds apart.
    pub before: f64,
    /// Radians at time 0.
    pub phase: f64,
}

/// A frequency in each of the arithmetics of [`TimeFeatures`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// In f64.
    pub exact: f64,
    /// In f32, every step rounded to the nearest.
    pub single: f32,
    /// In f32 as PyTorch's x86 builds round it.
    pub library: f32,
}

impl Rate {
    /// `e` to an exponent, in f64 and as f32 arithmetic has it.
    #[must_use]
    pub fn exp(exact: f64, single: f32) -> Self {
        Self {
            exact: libm::exp(exact),
            single: libm::exp(f64::from(single)) as f32,
            library: super::library::exp(single),
        }
    }

    /// A frequency that no exponential made.
    #[must_use]
    pub fn plain(exact: f64, single: f32) -> Self {
        Self {
            exact,
            single,
            library: single,
        }
    }
}

impl Wave {
    /// A feature of that frequency, with no phase.
    #[must_use]
    pub fn of(kind: WaveKind, rate: Rate) -> Self {
        Self {
            kind,
            rate: rate.exact,
            single: f64::from(rate.single),
            library: f64::from(rate.library),
            before: 1.0,
            phase: 0.0,
        }
    }

    /// Its value at the network's time `t`.
    #[must_use]
    pub fn at(&self, t: f64, how: TimeFeatures) -> f64 {
        let line = match how {
            TimeFeatures::F32 => self.line(t, self.single),
            TimeFeatures::F64 | TimeFeatures::F64Throughout => t * self.rate + self.phase,
            TimeFeatures::Library => self.line(t, self.library),
            TimeFeatures::LibraryRates => t * self.before * self.library + self.phase,
        };
        match self.kind {
            WaveKind::Line => line,
            WaveKind::Sine => how.sin(line),
            WaveKind::Cosine => how.cos(line),
        }
    }

    /// The line in f32, each product and the sum rounded by itself. A product of two f32 is exact in f64.
    fn line(&self, t: f64, rate: f64) -> f64 {
        let own = (f64::from(t as f32) * self.before) as f32;
        f64::from((f64::from(own) * rate) as f32 + self.phase as f32)
    }
}

/// Features of the timestep, each with a frequency and a phase (Vaswani et al. 2017, section 3.5; Tancik et al. 2020): no inputs,
/// `(features, 1, 1)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Waves {
    /// The features in order.
    pub features: Vec<Wave>,
    /// The network's time of timestep `t` is `time[0] * t + time[1]`.
    pub time: [f64; 2],
    /// Whether the network computes them in f32 even where all else is in f64.
    pub single: bool,
}

impl Operator for Waves {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(0)?;
        let finite = |wave: &Wave| wave.rate.is_finite() && wave.phase.is_finite() && wave.single.is_finite();
        inputs.require(
            self.features.iter().all(finite) && self.time.iter().all(|v| v.is_finite()),
            "frequencies and phases",
            "finite",
            "one that is not",
        )?;
        Ok([self.features.len(), 1, 1])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let how = match pass.batch.features {
            TimeFeatures::F64 if self.single => TimeFeatures::F32,
            other => other,
        };
        for (sample, t) in pass.batch.times.iter().enumerate() {
            let time = self.time[0] * *t + self.time[1];
            let column = pass.y.iter_mut().skip(sample).step_by(pass.extents.n);
            let values = self.features.iter().map(|wave| wave.at(time, how));
            column.zip(values).for_each(|(y, v)| *y = T::of(v));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::features;
    use super::*;

    /// The same numbers as [`super::super::TimeProj`] has, in both types.
    #[test]
    fn waves_are_sinusoidal_features_of_their_frequencies() {
        let wave = |kind| {
            move |i: usize| {
                let exponent = -(1e4f64.ln()) as f32 * i as f32 / 4f32;
                let rate = Rate::exp(-libm::log(1e4) * i as f64 / 4.0, exponent);
                Wave::of(kind, rate)
            }
        };
        let sines = (0..4).map(wave(WaveKind::Sine));
        let waves: Vec<Wave> = sines.chain((0..4).map(wave(WaveKind::Cosine))).collect();
        use TimeFeatures::{F32, F64, F64Throughout, Library, LibraryRates};
        for how in [F32, F64, F64Throughout, Library, LibraryRates] {
            let expected = features(733.0, 8, false, 0.0, 1e4, how);
            let found: Vec<f64> = waves.iter().map(|wave| wave.at(733.0, how)).collect();
            assert_eq!(found, expected);
        }
    }
}
