//! A network of normalized radial basis functions with a readout for every step.
//!
//! A unit's value is the softmax over all units of `-|x - c|^2 / (2 s^2)`. The width s is shared, so that `|x|^2` cancels: the units are
//! the softmax of a linear layer with weights `c / s^2` and biases `-|c|^2 / (2 s^2)`. So the network is a graph of a linear layer, a
//! softmax and a readout, whose first layer follows from centres and width.

use crate::random::Random;
use crate::{named_input, transposed};
use mote_graph::graph::{Builder, Graph, GraphError, Layout, Param};
use mote_graph::ops::{Conv, Readout, Softmax};

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

/// Keys of the graph's tensors.
const LINEAR: [&str; 2] = ["rbf.weight", "rbf.bias"];
const READOUT: [&str; 2] = ["readout.weight", "readout.bias"];

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

    fn steps(&self) -> usize {
        self.bias.len() / self.outputs
    }

    /// The graph's tensors with their keys and shapes; `shift` `(step, out)` is added to the readouts' biases.
    fn tensors(&self, shift: &[f64]) -> [(&'static str, Vec<usize>, Vec<f64>); 4] {
        let (precision, size, steps) = (self.precision(), self.size(), self.steps());
        let norm = |c: &[f64]| c.iter().map(|c| c * c).sum::<f64>();
        let weights = self.centres.iter().map(|c| c * precision).collect();
        let biases = self.centres.chunks_exact(size).map(|c| norm(c) * precision * -0.5);
        let shifted = self.bias.iter().zip(shift).map(|(bias, shift)| bias + shift);
        [
            (LINEAR[0], vec![self.units, size], weights),
            (LINEAR[1], vec![self.units], biases.collect()),
            (
                READOUT[0],
                vec![steps, self.outputs, self.units],
                transposed(&self.readout, [self.units, self.outputs]),
            ),
            (READOUT[1], vec![steps, self.outputs], shifted.collect()),
        ]
    }

    /// The network in f32, with a readout for every timestep; `shift` `(step, out)` is added to the readouts' biases.
    pub fn graph(&self, shift: &[f64]) -> Result<Graph, GraphError> {
        let mut b = Builder::new();
        for (key, shape, values) in self.tensors(shift) {
            let data = values.into_iter().map(|v| v as f32).collect();
            b.param(key, Param { shape, data });
        }
        let x = b.sample([self.size(), 1, 1])?;
        let linear = Conv::linear(LINEAR[0], Some(LINEAR[1].to_owned()));
        let scores = b.push("rbf", linear, &[x])?;
        let units = b.push("rbf.softmax", Softmax, &[scores])?;
        let readout = Readout {
            weight: READOUT[0].to_owned(),
            bias: READOUT[1].to_owned(),
            first: (0..self.steps()).collect(),
        };
        let out = b.push("readout", readout, &[units])?;
        Ok(named_input(b.finish(out)?))
    }

    /// The tensors of [`Rbf::graph`] in f64, flat in its layout.
    pub fn params(&self, layout: &Layout, shift: &[f64]) -> Vec<f64> {
        let mut params = vec![0.0; layout.len()];
        for (key, _, values) in self.tensors(shift) {
            params[layout.range(key).unwrap_or_default()].copy_from_slice(&values);
        }
        params
    }

    /// The gradient by the readouts' biases, of one by [`Rbf::params`].
    pub fn by_bias<'a>(&self, layout: &Layout, gradient: &'a [f64]) -> &'a [f64] {
        &gradient[layout.range(READOUT[1]).unwrap_or_default()]
    }

    /// From the gradient by [`Rbf::params`] to that by [`Rbf::flat`].
    pub fn pull(&self, layout: &Layout, gradient: &[f64]) -> Vec<f64> {
        let (precision, size) = (self.precision(), self.size());
        let by = |key| &gradient[layout.range(key).unwrap_or_default()];
        let weights = by(LINEAR[0]).chunks_exact(size).zip(by(LINEAR[1]));
        let mut pulled = Vec::with_capacity(self.len());
        let mut by_precision = 0.0;
        for (centre, (by_weight, by_bias)) in self.centres.chunks_exact(size).zip(weights) {
            for (c, by_weight) in centre.iter().zip(by_weight) {
                pulled.push(precision * (by_weight - by_bias * c));
                by_precision += c * by_weight - 0.5 * c * c * by_bias;
            }
        }
        pulled.push(-2.0 * precision * by_precision);
        pulled.extend(transposed(by(READOUT[0]), [self.outputs, self.units]));
        pulled.extend(by(READOUT[1]));
        pulled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mote_graph::float::{DType, Executor};

    #[test]
    fn the_gradient_goes_through_centres_and_width() {
        let mut random = Random::new(3, 0);
        let rbf = Rbf::new(&[[0.5, -1.0], [1.5, 0.25], [-0.75, 2.0]], 2, 2, 0.7, &mut random);
        let shift = [0.0, 0.1, 0.2, 0.3];
        let layout = Layout::of(&rbf.graph(&shift).unwrap());
        let loss = |values: &[f64]| -> f64 {
            let mut moved = rbf.clone();
            moved.set(values);
            let params = moved.params(&layout, &shift);
            params.iter().enumerate().map(|(i, v)| libm::sin(i as f64) * v).sum()
        };
        let values = rbf.flat();
        assert_eq!(values.len(), rbf.len());
        let slopes: Vec<f64> = (0..layout.len()).map(|i| libm::sin(i as f64)).collect();
        for (i, found) in rbf.pull(&layout, &slopes).into_iter().enumerate() {
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

    /// By the units' own formula: readouts of one give each unit's value back.
    #[test]
    fn units_are_normalized_radial_basis_functions() {
        let centres = [[0.5, -1.0], [1.5, 0.25]];
        let mut rbf = Rbf::new(&centres, 1, 2, 0.7, &mut Random::new(3, 0));
        rbf.readout.copy_from_slice(&[1.0, 0.0, 0.0, 1.0]);
        let graph = rbf.graph(&[0.0; 2]).unwrap();
        let x = [0.9, -0.3];
        let found = Executor::new(&graph, DType::F64).unwrap().run(&x, &[0], &[]).unwrap();
        let near = centres.map(|c| {
            let squared: f64 = c.iter().zip(x).map(|(c, x)| (x - c) * (x - c)).sum();
            libm::exp(-squared / (2.0 * 0.7 * 0.7))
        });
        for (found, one) in found.iter().zip(near) {
            // The graph's tensors are in f32.
            assert!((found - one / (near[0] + near[1])).abs() < 1e-6);
        }
    }
}
