//! A network of normalized radial basis functions with a readout for every step.
//!
//! A unit's value is the softmax over all units of `-|x - c|^2 / (2 s^2)`. The width s is shared, so that `|x|^2` cancels: the units are
//! the softmax of a linear layer with weights `c / s^2` and biases `-|c|^2 / (2 s^2)`.

use super::network::{Layer, Network};
use super::random::Random;

/// Centres, width and readouts.
#[derive(Debug, Clone, PartialEq)]
pub struct Rbf {
    /// `(unit, D)`.
    pub centres: Vec<f64>,
    /// log s.
    pub log_width: f64,
    /// `(step, unit, out)`.
    pub readout: Vec<f64>,
    /// `(step, out)`.
    pub bias: Vec<f64>,
    units: usize,
    outputs: usize,
}

impl Rbf {
    /// Centres `(unit, D)` and readouts of `outputs` near 0 for `steps` steps. Those of the first step, which is fixed, are 0.
    pub fn new<const D: usize>(
        centres: &[[f64; D]],
        steps: usize,
        outputs: usize,
        width: f64,
        random: &mut Random,
    ) -> Self {
        let units = centres.len();
        let values: Vec<f64> = (0..steps * units * outputs).map(|_| random.normal() * 1e-2).collect();
        let first = core::iter::repeat_n(0.0, units * outputs);
        Self {
            centres: centres.concat(),
            log_width: libm::log(width),
            readout: first.chain(values.into_iter().skip(units * outputs)).collect(),
            bias: vec![0.0; steps * outputs],
            units,
            outputs,
        }
    }

    /// Number of trained values.
    pub fn len(&self) -> usize {
        self.centres.len() + 1 + self.readout.len() + self.bias.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All values: centres, width, readouts, biases.
    pub fn flat(&self) -> Vec<f64> {
        let parts = [&self.centres[..], &[self.log_width], &self.readout, &self.bias];
        parts.concat()
    }

    /// Takes values as [`Rbf::flat`] gives them.
    pub fn set(&mut self, values: &[f64]) {
        let (centres, values) = values.split_at(self.centres.len());
        let (width, values) = values.split_at(1);
        let (readout, bias) = values.split_at(self.readout.len());
        self.centres.copy_from_slice(centres);
        self.log_width = width[0];
        self.readout.copy_from_slice(readout);
        self.bias.copy_from_slice(bias);
    }

    /// `1 / s^2`.
    fn precision(&self) -> f64 {
        libm::exp(self.log_width * -2.0)
    }

    fn size(&self) -> usize {
        self.centres.len() / self.units
    }

    /// The linear layer under the softmax: weights `(D, unit)` and biases.
    pub fn linear(&self) -> (Vec<f64>, Vec<f64>) {
        let (precision, size) = (self.precision(), self.size());
        let weight = |i: usize| self.centres[i % self.units * size + i / self.units] * precision;
        let norm = |c: &[f64]| c.iter().map(|c| c * c).sum::<f64>();
        (
            (0..self.centres.len()).map(weight).collect(),
            self.centres
                .chunks_exact(size)
                .map(|c| norm(c) * precision * -0.5)
                .collect(),
        )
    }

    /// As layers; `shift` `(step, out)` is added to the readouts' biases.
    pub fn network(&self, shift: &[f64]) -> Network<f64> {
        let (weights, biases) = self.linear();
        let steps = self.bias.len() / self.outputs;
        let linear = |groups, ins, outs| Layer::Linear { groups, ins, outs };
        let layers = [
            linear(1, self.size(), self.units),
            Layer::Softmax,
            linear(steps, self.units, self.outputs),
        ];
        let shifted = self.bias.iter().zip(shift).map(|(bias, shift)| bias + shift).collect();
        Network {
            layers: layers.to_vec(),
            params: [weights, biases, self.readout.clone(), shifted].concat(),
        }
    }

    /// From the gradient by [`Rbf::network`]'s parameters to that by [`Rbf::flat`].
    pub fn pull(&self, gradient: &[f64]) -> Vec<f64> {
        let (precision, size, units) = (self.precision(), self.size(), self.units);
        let (linear, readouts) = gradient.split_at((size + 1) * units);
        let (by_weight, by_bias) = linear.split_at(size * units);
        let mut pulled = Vec::with_capacity(self.len());
        let mut by_precision = 0.0;
        for (unit, centre) in self.centres.chunks_exact(size).enumerate() {
            for (i, c) in centre.iter().enumerate() {
                let (weight, bias) = (by_weight[i * units + unit], by_bias[unit]);
                pulled.push(precision * (weight - bias * c));
                by_precision += c * weight - 0.5 * c * c * bias;
            }
        }
        pulled.push(-2.0 * precision * by_precision);
        pulled.extend(readouts);
        pulled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_goes_through_centres_and_width() {
        let mut random = Random::new(3, 0);
        let rbf = Rbf::new(&[[0.5, -1.0], [1.5, 0.25], [-0.75, 2.0]], 2, 2, 0.7, &mut random);
        let shift = [0.0, 0.1, 0.2, 0.3];
        let loss = |values: &[f64]| -> f64 {
            let mut moved = rbf.clone();
            moved.set(values);
            let params = moved.network(&shift).params;
            params.iter().enumerate().map(|(i, v)| libm::sin(i as f64) * v).sum()
        };
        let values = rbf.flat();
        assert_eq!(values.len(), rbf.len());
        let slopes: Vec<f64> = (0..rbf.network(&shift).params.len())
            .map(|i| libm::sin(i as f64))
            .collect();
        for (i, found) in rbf.pull(&slopes).into_iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = values.clone();
                moved[i] += by;
                loss(&moved)
            };
            let expected = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!(
                (found - expected).abs() < 1e-7 * (1.0 + expected.abs()),
                "{i}: {found}, not {expected}"
            );
        }
    }

    /// What a unit is, by its own formula.
    #[test]
    fn units_are_normalized_radial_basis_functions() {
        let centres = [[0.5, -1.0], [1.5, 0.25]];
        let network = Rbf::new(&centres, 2, 2, 0.7, &mut Random::new(3, 0)).network(&[0.0; 4]);
        let x = [0.9, -0.3];
        let found = network.features(&x);
        let near = centres.map(|c| {
            let squared: f64 = c.iter().zip(x).map(|(c, x)| (x - c) * (x - c)).sum();
            libm::exp(-squared / (2.0 * 0.7 * 0.7))
        });
        for (found, near_one) in found.iter().zip(near) {
            assert!((found - near_one / (near[0] + near[1])).abs() < 1e-12);
        }
    }
}
