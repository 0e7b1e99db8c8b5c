//! A chain's network: a few layers over vectors, forward and backward.
//!
//! A batch is `(row, channel)`. Weights are `(in, out)`. Parameters and gradients are flat vectors: of every layer in turn first the
//! weights, then the biases.

use core::ops::{Add, AddAssign, Div, Mul, Neg, Range, Sub};

/// f32 or f64.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + AddAssign
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// 1.
    const ONE: Self;
    /// The nearest.
    fn of(value: f64) -> Self;
    /// Exactly.
    fn f64(self) -> f64;
    /// e to this power.
    fn exp(self) -> Self;
}

impl Real for f32 {
    const ONE: Self = 1.0;
    fn of(value: f64) -> Self {
        value as Self
    }
    fn f64(self) -> f64 {
        self.into()
    }
    fn exp(self) -> Self {
        libm::expf(self)
    }
}

impl Real for f64 {
    const ONE: Self = 1.0;
    fn of(value: f64) -> Self {
        value
    }
    fn f64(self) -> f64 {
        self
    }
    fn exp(self) -> Self {
        libm::exp(self)
    }
}

/// What stands between two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// `x W + b`, with a W and a b for each group of steps.
    Linear {
        /// Groups that have parameters of their own; 1 where all steps share them.
        groups: usize,
        /// Channels in.
        ins: usize,
        /// Channels out.
        outs: usize,
    },
    /// `x sigmoid(x)`.
    Silu,
    /// Softmax over the channels.
    Softmax,
}

impl Layer {
    /// Its parameters.
    pub fn params(&self) -> usize {
        match *self {
            Self::Linear { groups, ins, outs } => groups * (ins + 1) * outs,
            Self::Silu | Self::Softmax => 0,
        }
    }
}

/// Layers whose last one is linear, and their parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Network<F> {
    /// In order.
    pub layers: Vec<Layer>,
    /// Flat.
    pub params: Vec<F>,
}

/// What the way back needs of a forward pass.
#[derive(Debug)]
pub struct Tape<F> {
    /// The input, then every layer's output.
    values: Vec<Vec<F>>,
    /// SiLU's sigmoids, by layer.
    sigmoids: Vec<Vec<F>>,
    groups: Vec<usize>,
}

impl<F> Tape<F> {
    /// The last layer's output.
    pub fn output(&self) -> &[F] {
        self.values.last().map_or(&[], Vec::as_slice)
    }
}

impl<F: Real> Network<F> {
    /// Every parameter 0.
    pub fn zeros(layers: &[Layer]) -> Self {
        Self {
            layers: layers.to_vec(),
            params: vec![F::default(); layers.iter().map(Layer::params).sum()],
        }
    }

    /// Where weights and biases of a layer lie in the flat vector.
    pub fn places(&self, layer: usize) -> [Range<usize>; 2] {
        let start: usize = self.layers[..layer].iter().map(Layer::params).sum();
        match self.layers[layer] {
            Layer::Linear { groups, ins, outs } => {
                let biases = start + groups * ins * outs;
                [start..biases, biases..biases + groups * outs]
            }
            Layer::Silu | Layer::Softmax => [start..start, start..start],
        }
    }

    /// Every layer over rows of inputs; `groups` has the group of each row.
    pub fn forward(&self, x: Vec<F>, groups: Vec<usize>) -> Tape<F> {
        let mut tape = Tape {
            values: vec![x],
            sigmoids: Vec::with_capacity(self.layers.len()),
            groups,
        };
        for layer in 0..self.layers.len() {
            let (y, sigmoids) = self.layer(layer, &tape.values[layer], |row| tape.groups[row]);
            tape.values.push(y);
            tape.sigmoids.push(sigmoids);
        }
        tape
    }

    /// What the last layer reads, for rows of inputs.
    pub fn features(&self, x: &[F]) -> Vec<F> {
        let last = self.layers.len() - 1;
        (0..last).fold(x.to_vec(), |x, layer| self.layer(layer, &x, |_| 0).0)
    }

    /// The last layer over rows of [`Network::features`], all of one group.
    pub fn read(&self, features: &[F], group: usize) -> Vec<F> {
        self.layer(self.layers.len() - 1, features, |_| group).0
    }

    fn layer(&self, layer: usize, x: &[F], group: impl Fn(usize) -> usize) -> (Vec<F>, Vec<F>) {
        match self.layers[layer] {
            Layer::Linear { groups, ins, outs } => {
                let [weights, biases] = self.places(layer);
                let (weights, biases) = (&self.params[weights], &self.params[biases]);
                let mut y = vec![F::default(); x.len() / ins * outs];
                for (row, (x, y)) in x.chunks_exact(ins).zip(y.chunks_exact_mut(outs)).enumerate() {
                    let group = if groups == 1 { 0 } else { group(row) };
                    y.copy_from_slice(&biases[group * outs..][..outs]);
                    let weights = weights[group * ins * outs..].chunks_exact(outs);
                    x.iter().zip(weights).for_each(|(x, w)| add_scaled(y, *x, w));
                }
                (y, vec![])
            }
            Layer::Silu => {
                let sigmoids: Vec<F> = x.iter().map(|x| F::ONE / (F::ONE + (-*x).exp())).collect();
                (x.iter().zip(&sigmoids).map(|(x, s)| *x * *s).collect(), sigmoids)
            }
            Layer::Softmax => {
                let mut y = x.to_vec();
                y.chunks_exact_mut(self.width(layer)).for_each(softmax);
                (y, vec![])
            }
        }
    }

    /// Channels of a layer's output: those of the last linear layer up to it.
    fn width(&self, layer: usize) -> usize {
        let outs = |layer: &Layer| match layer {
            Layer::Linear { outs, .. } => Some(*outs),
            Layer::Silu | Layer::Softmax => None,
        };
        self.layers[..=layer].iter().rev().find_map(outs).unwrap_or(1)
    }

    /// From a loss's gradient by the output to that by the parameters, which is added to `gradient`, and that by the input.
    pub fn backward(&self, tape: &Tape<F>, slope: &[F], gradient: &mut [F]) -> Vec<F> {
        let mut dy = slope.to_vec();
        for (layer, kind) in self.layers.iter().enumerate().rev() {
            let (x, y) = (&tape.values[layer], &tape.values[layer + 1]);
            dy = match *kind {
                Layer::Linear { groups, ins, outs } => {
                    let [weights, biases] = self.places(layer);
                    let mut dx = vec![F::default(); x.len()];
                    let rows = x
                        .chunks_exact(ins)
                        .zip(dy.chunks_exact(outs))
                        .zip(dx.chunks_exact_mut(ins));
                    for (row, ((x, dy), dx)) in rows.enumerate() {
                        let group = if groups == 1 { 0 } else { tape.groups[row] };
                        let weight = weights.start + group * ins * outs;
                        add_scaled(&mut gradient[biases.start + group * outs..][..outs], F::ONE, dy);
                        let to = gradient[weight..].chunks_exact_mut(outs);
                        x.iter().zip(to).for_each(|(x, to)| add_scaled(to, *x, dy));
                        let from = self.params[weight..].chunks_exact(outs);
                        dx.iter_mut().zip(from).for_each(|(dx, w)| *dx = dot(w, dy));
                    }
                    dx
                }
                Layer::Silu => {
                    let each = x.iter().zip(&tape.sigmoids[layer]).zip(&dy);
                    each.map(|((x, s), dy)| *dy * *s * (F::ONE + *x * (F::ONE - *s)))
                        .collect()
                }
                Layer::Softmax => {
                    let width = self.width(layer);
                    let rows = y.chunks_exact(width).zip(dy.chunks_exact(width));
                    rows.flat_map(|(y, dy)| {
                        let mean = dot(y, dy);
                        y.iter().zip(dy).map(move |(y, dy)| *y * (*dy - mean))
                    })
                    .collect()
                }
            };
        }
        dy
    }
}

fn softmax<F: Real>(row: &mut [F]) {
    let top = row.iter().copied().fold(row[0], |a, b| if b > a { b } else { a });
    row.iter_mut().for_each(|v| *v = (*v - top).exp());
    let mut sum = F::default();
    row.iter().for_each(|v| sum += *v);
    row.iter_mut().for_each(|v| *v = *v / sum);
}

/// `to += factor * from`.
fn add_scaled<F: Real>(to: &mut [F], factor: F, from: &[F]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * *from);
}

/// Sum of products, in a fixed order that is wide.
fn dot<F: Real>(a: &[F], b: &[F]) -> F {
    const LANES: usize = 8;
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [F::default(); LANES];
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += *a * *b;
        }
    }
    let mut sum = F::default();
    lanes.iter().for_each(|lane| sum += *lane);
    a_rest.iter().zip(b_rest).for_each(|(a, b)| sum += *a * *b);
    sum
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    fn network(hidden: Layer) -> Network<f64> {
        let linear = |groups, ins, outs| Layer::Linear { groups, ins, outs };
        let mut network = Network::zeros(&[linear(1, 3, 9), hidden, linear(2, 9, 2)]);
        let mut random = Random::new(1, 0);
        network.params.iter_mut().for_each(|p| *p = random.normal());
        network
    }

    /// A loss that weighs every output differently.
    fn loss(network: &Network<f64>, x: &[f64]) -> f64 {
        let tape = network.forward(x.to_vec(), vec![0, 1, 1, 0]);
        let each = tape.output().iter().enumerate();
        each.map(|(i, v)| libm::sin(i as f64 + 1.0) * v).sum()
    }

    #[test]
    fn gradients_are_finite_differences() {
        for hidden in [Layer::Silu, Layer::Softmax] {
            let network = network(hidden);
            let mut random = Random::new(2, 0);
            let x: Vec<f64> = (0..12).map(|_| random.normal()).collect();
            let tape = network.forward(x.clone(), vec![0, 1, 1, 0]);
            let slope: Vec<f64> = (0..8).map(|i| libm::sin(i as f64 + 1.0)).collect();
            let mut gradient = vec![0.0; network.params.len()];
            let by_x = network.backward(&tape, &slope, &mut gradient);
            let close = |found: f64, plus: f64, minus: f64| {
                let expected = (plus - minus) / 2e-6;
                assert!(
                    (found - expected).abs() < 1e-7 * (1.0 + expected.abs()),
                    "{found}, not {expected}"
                );
            };
            for (i, found) in gradient.into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = network.clone();
                    moved.params[i] += by;
                    loss(&moved, &x)
                };
                close(found, moved(1e-6), moved(-1e-6));
            }
            for (i, found) in by_x.into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = x.clone();
                    moved[i] += by;
                    loss(&network, &moved)
                };
                close(found, moved(1e-6), moved(-1e-6));
            }
        }
    }

    #[test]
    fn features_and_a_readout_are_the_whole() {
        let network = network(Layer::Softmax);
        let x = [0.3, -1.0, 0.7, 0.1, 0.2, -0.4];
        let whole = network.forward(x.to_vec(), vec![1, 1]);
        assert_eq!(whole.output(), network.read(&network.features(&x), 1));
    }
}
