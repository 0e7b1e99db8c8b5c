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
    /// Radians a timestep.
    pub rate: f64,
    /// Radians at timestep 0.
    pub phase: f64,
}

impl Wave {
    /// Its value at timestep `t`.
    #[must_use]
    pub fn at(&self, t: f64, how: TimeFeatures) -> f64 {
        let round = |v: f64| match how {
            TimeFeatures::F32 => f64::from(v as f32),
            TimeFeatures::F64 => v,
        };
        let line = round(round(round(t) * round(self.rate)) + round(self.phase));
        match self.kind {
            WaveKind::Line => line,
            WaveKind::Sine => round(libm::sin(line)),
            WaveKind::Cosine => round(libm::cos(line)),
        }
    }
}

/// Features of the timestep, each with a frequency and a phase (Vaswani et al. 2017, section 3.5; Tancik et al. 2020): no inputs,
/// `(features, 1, 1)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Waves {
    /// The features in order.
    pub features: Vec<Wave>,
}

impl Operator for Waves {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(0)?;
        let finite = |wave: &Wave| wave.rate.is_finite() && wave.phase.is_finite();
        inputs.require(
            self.features.iter().all(finite),
            "frequencies and phases",
            "finite",
            "one that is not",
        )?;
        Ok([self.features.len(), 1, 1])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        for (sample, t) in pass.batch.times.iter().enumerate() {
            let column = pass.y.iter_mut().skip(sample).step_by(pass.extents.n);
            let values = self.features.iter().map(|wave| wave.at(*t, pass.batch.features));
            column.zip(values).for_each(|(y, v)| *y = T::of(v));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::features;
    use super::*;

    /// The same numbers as [`super::super::TimeProj`] has, in both types, from frequencies rounded as it rounds them.
    #[test]
    fn waves_are_sinusoidal_features_of_their_frequencies() {
        let frequency = |i: usize| f64::from(libm::exp(f64::from(-(1e4f64.ln()) as f32 * i as f32 / 4f32)) as f32);
        let wave = |kind| {
            move |i: usize| Wave {
                kind,
                rate: frequency(i),
                phase: 0.0,
            }
        };
        let sines = (0..4).map(wave(WaveKind::Sine));
        let waves: Vec<Wave> = sines.chain((0..4).map(wave(WaveKind::Cosine))).collect();
        let expected = features(733.0, 8, false, 0.0, 1e4, TimeFeatures::F32);
        let found: Vec<f64> = waves.iter().map(|wave| wave.at(733.0, TimeFeatures::F32)).collect();
        assert_eq!(found, expected);
        let line = Wave {
            kind: WaveKind::Line,
            rate: 2.0,
            phase: 1.0,
        };
        assert_eq!(line.at(3.0, TimeFeatures::F64), 7.0);
    }
}
