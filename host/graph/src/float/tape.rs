//! What one shard's passes remember: every value, every gradient, and what the pass in reverse needs beside them.

use super::network::{Layer, PreparedGraph, swap_planes};
use crate::Real;
use crate::ops::{Backward, Batch, Forward, Gradients, Operator, Shape, Slopes, TimeFeatures};

/// Memory of one shard, sized for the samples of its latest call.
#[derive(Debug)]
pub(super) struct Tape<T> {
    n: usize,
    values: Vec<Vec<T>>,
    /// Gradients by value, empty where nobody needs them.
    slopes: Vec<Vec<T>>,
    saved: Vec<Vec<T>>,
    /// Where a rounded value was in range.
    inside: Vec<Vec<T>>,
    scratch: Vec<T>,
    gradient: Vec<T>,
    times: Vec<f64>,
    labels: Vec<usize>,
}

impl<T> Default for Tape<T> {
    fn default() -> Self {
        Self {
            n: 0,
            values: vec![],
            slopes: vec![],
            saved: vec![],
            inside: vec![],
            scratch: vec![],
            gradient: vec![],
            times: vec![],
            labels: vec![],
        }
    }
}

impl<T: Real> Tape<T> {
    /// Gradient by the parameters, of the latest [`Tape::backward`].
    pub fn gradient(&self) -> &[T] {
        &self.gradient
    }

    /// Gradient by the sample, `(sample, channel, row, col)`, of the latest [`Tape::backward`]; zeros where the sample has no part.
    pub fn by_sample(&self, network: &PreparedGraph) -> Vec<T> {
        let mut to = vec![T::ZERO; self.n * network.sample_len()];
        if let Some(input) = network.input.filter(|input| network.needed[*input]) {
            swap_planes([network.sample[0], self.n], &self.slopes[input], &mut to);
        }
        to
    }

    fn resize(&mut self, network: &PreparedGraph, n: usize) {
        self.n = n;
        let len = |shape: &Shape| n * shape.iter().product::<usize>();
        let shapes = || network.shapes.iter();
        fit(&mut self.values, shapes().map(len));
        let where_needed = |(shape, needed): (&Shape, &bool)| if *needed { len(shape) } else { 0 };
        fit(&mut self.slopes, shapes().zip(&network.needed).map(where_needed));
        let where_rounded = |(shape, fake): (&Shape, &Option<_>)| if fake.is_some() { len(shape) } else { 0 };
        fit(&mut self.inside, shapes().zip(&network.fake).map(where_rounded));
        let saved = |layer: &Layer| layer.op.saved_len(&layer.extents(n));
        fit(&mut self.saved, network.layers.iter().map(saved));
        let scratch = network
            .layers
            .iter()
            .map(|layer| layer.op.scratch_len(&layer.extents(n)));
        self.scratch.resize(scratch.max().unwrap_or(0), T::ZERO);
        let trained = if network.trains { network.layout.len() } else { 0 };
        self.gradient.resize(trained, T::ZERO);
    }

    /// Computes every value of `batch`.
    pub fn forward(&mut self, network: &PreparedGraph, params: &[T], batch: Batch<'_, T>) {
        self.resize(network, batch.times.len());
        self.times.clear();
        self.times.extend(batch.times);
        self.labels.clear();
        self.labels.extend(batch.labels);
        for (layer, saved) in network.layers.iter().zip(&mut self.saved) {
            let mut y = std::mem::take(&mut self.values[layer.output]);
            let x: Vec<&[T]> = layer.inputs.iter().map(|i| self.values[*i].as_slice()).collect();
            let pass = Forward {
                extents: layer.extents(self.n),
                batch,
                params: layer.params(params),
                x: &x,
                y: &mut y,
                saved,
                scratch: &mut self.scratch,
            };
            T::forward(&layer.op, pass);
            if let Some(fake) = &network.fake[layer.output] {
                fake.apply(&mut y, &mut self.inside[layer.output]);
            }
            self.values[layer.output] = y;
        }
    }

    /// The output as `(sample, channel, row, col)`.
    pub fn output(&self, network: &PreparedGraph, to: &mut [T]) {
        let channels = network.shapes[network.output][0];
        swap_planes([channels, self.n], &self.values[network.output], to);
    }

    /// Computes the gradients that the network is for from that of the output, `(sample, channel, row, col)`.
    pub fn backward(&mut self, network: &PreparedGraph, params: &[T], slope: &[T]) {
        self.gradient.fill(T::ZERO);
        self.slopes.iter_mut().for_each(|s| s.fill(T::ZERO));
        if !network.needed[network.output] {
            return;
        }
        let channels = network.shapes[network.output][0];
        swap_planes([self.n, channels], slope, &mut self.slopes[network.output]);
        for (layer, saved) in network.layers.iter().zip(&self.saved).rev() {
            if !network.needed[layer.output] {
                continue;
            }
            let mut dy = std::mem::take(&mut self.slopes[layer.output]);
            if network.fake[layer.output].is_some() {
                let pairs = dy.iter_mut().zip(&self.inside[layer.output]);
                pairs.for_each(|(d, inside)| *d *= *inside);
            }
            let x: Vec<&[T]> = layer.inputs.iter().map(|i| self.values[*i].as_slice()).collect();
            let pass = Backward {
                extents: layer.extents(self.n),
                batch: Batch {
                    x: &[],
                    times: &self.times,
                    labels: &self.labels,
                    condition: &[],
                    features: TimeFeatures::F64,
                },
                params: layer.params(params),
                x: &x,
                saved,
                dy: &dy,
                slopes: Slopes {
                    all: &mut self.slopes,
                    inputs: &layer.inputs,
                },
                gradients: Gradients {
                    all: &mut self.gradient,
                    ranges: &layer.ranges,
                },
                scratch: &mut self.scratch,
            };
            T::backward(&layer.op, pass);
            self.slopes[layer.output] = dy;
        }
    }
}

/// Makes `memory` so many vectors of these lengths. What is in them has no meaning.
fn fit<T: Real>(memory: &mut Vec<Vec<T>>, lengths: impl ExactSizeIterator<Item = usize>) {
    memory.resize(lengths.len(), vec![]);
    for (memory, len) in memory.iter_mut().zip(lengths) {
        memory.resize(len, T::ZERO);
    }
}
