//! What one shard's passes remember: every value, every gradient, and what the way back needs beside them.

use super::layer::{Kind, Layer};
use super::{Call, Network, pointwise};
use mote_graph::float::{TimeFeatures, features};

/// Memory of one shard, sized for the samples of its latest call.
#[derive(Debug, Default)]
pub struct Tape {
    n: usize,
    values: Vec<Vec<f32>>,
    /// Gradients by value, empty where no parameter has a part.
    slopes: Vec<Vec<f32>>,
    saved: Vec<Vec<f32>>,
    /// Where a rounded value was in range.
    inside: Vec<Vec<f32>>,
    scratch: Vec<f32>,
    gradient: Vec<f32>,
    labels: Vec<usize>,
}

impl Tape {
    /// Gradient by the parameters, of the latest [`Tape::backward`].
    pub fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    fn resize(&mut self, network: &Network, n: usize) {
        if self.n == n && self.values.len() == network.shapes.len() {
            return;
        }
        self.n = n;
        let len = |shape: &[usize; 3]| n * shape.iter().product::<usize>();
        self.values = network.shapes.iter().map(|s| vec![0.0; len(s)]).collect();
        let slope = |(shape, trained): (&[usize; 3], &bool)| vec![0.0; if *trained { len(shape) } else { 0 }];
        self.slopes = network.shapes.iter().zip(&network.trained).map(slope).collect();
        let inside = |(shape, fake): (&[usize; 3], &Option<_>)| vec![0.0; if fake.is_some() { len(shape) } else { 0 }];
        self.inside = network.shapes.iter().zip(&network.fake).map(inside).collect();
        let saved = |l: &Layer| vec![0.0; l.kind.saved_len(n, network.shapes[l.output].iter().product())];
        self.saved = network.layers.iter().map(saved).collect();
        let scratch = network.layers.iter().map(|l| l.kind.scratch_len(n)).max();
        self.scratch = vec![0.0; scratch.unwrap_or(0)];
        self.gradient = vec![0.0; network.layout.len()];
    }

    /// Computes every value of `call`.
    pub fn forward(&mut self, network: &Network, params: &[f32], call: Call<'_>) {
        self.resize(network, call.timesteps.len());
        self.labels.clear();
        self.labels.extend(call.labels);
        for (i, layer) in network.layers.iter().enumerate() {
            let mut out = std::mem::take(&mut self.values[layer.output]);
            self.layer(network, i, layer, params, call, &mut out);
            if let Some(fake) = &network.fake[layer.output] {
                fake.apply(&mut out, &mut self.inside[layer.output]);
            }
            self.values[layer.output] = out;
        }
    }

    /// The output as `(sample, channel, row, col)`.
    pub fn output(&self, network: &Network, to: &mut [f32]) {
        let p = network.positions(network.output);
        let planes = self.values[network.output].chunks_exact(p);
        let channels = network.shapes[network.output][0];
        for (i, plane) in planes.enumerate() {
            let (channel, sample) = (i / self.n, i % self.n);
            to[(sample * channels + channel) * p..][..p].copy_from_slice(plane);
        }
    }

    fn layer(&mut self, network: &Network, i: usize, layer: &Layer, params: &[f32], call: Call<'_>, y: &mut [f32]) {
        let n = self.n;
        let x = |i: usize| self.values[layer.inputs[i]].as_slice();
        let p = network.positions(layer.output);
        match &layer.kind {
            Kind::Sample => {
                let channels = network.sample[0];
                for (i, plane) in call.x.chunks_exact(p).enumerate() {
                    let (sample, channel) = (i / channels, i % channels);
                    y[(channel * n + sample) * p..][..p].copy_from_slice(plane);
                }
            }
            Kind::Affine { scale, shift } => y.iter_mut().zip(x(0)).for_each(|(y, x)| *y = scale * x + shift),
            Kind::TimeProj {
                dim,
                flip,
                freq_shift,
                max_period,
            } => {
                for (sample, t) in call.timesteps.iter().enumerate() {
                    let row = features(*t as f64, *dim, *flip, *freq_shift, *max_period, TimeFeatures::F32);
                    let column = y.iter_mut().skip(sample).step_by(n);
                    column.zip(row).for_each(|(y, f)| *y = f as f32);
                }
            }
            Kind::ClassEmbed { table } => {
                let width = y.len() / n;
                for (sample, label) in call.labels.iter().enumerate() {
                    let row = &params[table.clone()][label * width..][..width];
                    let column = y.iter_mut().skip(sample).step_by(n);
                    column.zip(row).for_each(|(y, v)| *y = *v);
                }
            }
            Kind::Conv(conv) => {
                let x = self.values[layer.inputs[0]].as_slice();
                conv.forward(n, params, x, y, &mut self.scratch);
            }
            Kind::Norm(norm) => {
                let x = self.values[layer.inputs[0]].as_slice();
                norm.forward(n, params, x, &mut self.saved[i], y);
            }
            Kind::Silu => {
                let x = self.values[layer.inputs[0]].as_slice();
                pointwise::silu(x, &mut self.saved[i], y);
            }
            Kind::Add { factor } => {
                let pairs = y.iter_mut().zip(x(0).iter().zip(x(1)));
                pairs.for_each(|(y, (a, b))| *y = (a + b) * factor);
            }
            Kind::AddChannel => {
                let planes = y.chunks_exact_mut(p).zip(x(0).chunks_exact(p)).zip(x(1));
                for ((y, x), v) in planes {
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = x + v);
                }
            }
            Kind::ScaleShift => {
                let (scale, shift) = x(1).split_at(x(1).len() / 2);
                let planes = y.chunks_exact_mut(p).zip(x(0).chunks_exact(p));
                for ((y, x), (scale, shift)) in planes.zip(scale.iter().zip(shift)) {
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = x * (1.0 + scale) + shift);
                }
            }
            Kind::Concat => {
                let mut first = 0;
                for input in &layer.inputs {
                    let x = &self.values[*input];
                    y[first..first + x.len()].copy_from_slice(x);
                    first += x.len();
                }
            }
            Kind::Upsample => {
                let [_, rows, cols] = network.shapes[layer.inputs[0]];
                pointwise::upsample(cols, rows, x(0), y);
            }
            Kind::AvgPool => {
                let [_, rows, cols] = network.shapes[layer.output];
                y.fill(0.0);
                pointwise::gather_windows(cols, rows, 0.25, x(0), y);
            }
            Kind::Attention(a) => {
                let qkv = [0, 1, 2].map(|i: usize| self.values[layer.inputs[i]].as_slice());
                a.forward(n, qkv, &mut self.saved[i], y);
            }
        }
    }

    /// Computes the gradient of every parameter from that of the output, `(sample, channel, row, col)`.
    pub fn backward(&mut self, network: &Network, params: &[f32], slope: &[f32]) {
        self.gradient.fill(0.0);
        self.slopes.iter_mut().for_each(|s| s.fill(0.0));
        let p = network.positions(network.output);
        let channels = network.shapes[network.output][0];
        for (i, plane) in self.slopes[network.output].chunks_exact_mut(p).enumerate() {
            let (channel, sample) = (i / self.n, i % self.n);
            plane.copy_from_slice(&slope[(sample * channels + channel) * p..][..p]);
        }
        for (i, layer) in network.layers.iter().enumerate().rev() {
            if !network.trained[layer.output] {
                continue;
            }
            let mut dy = std::mem::take(&mut self.slopes[layer.output]);
            if network.fake[layer.output].is_some() {
                let pairs = dy.iter_mut().zip(&self.inside[layer.output]);
                pairs.for_each(|(d, inside)| *d *= inside);
            }
            self.layer_backward(network, i, layer, params, &dy);
            self.slopes[layer.output] = dy;
        }
    }

    fn layer_backward(&mut self, network: &Network, i: usize, layer: &Layer, params: &[f32], dy: &[f32]) {
        let n = self.n;
        let p = network.positions(layer.output);
        let input = |i: usize| layer.inputs[i];
        let trained = |i: usize| network.trained[input(i)];
        match &layer.kind {
            Kind::Sample | Kind::TimeProj { .. } => {}
            Kind::Affine { scale, .. } => {
                let dx = &mut self.slopes[input(0)];
                dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += scale * dy);
            }
            Kind::ClassEmbed { table } => {
                let width = dy.len() / n;
                for (sample, label) in self.labels.iter().enumerate() {
                    let row = &mut self.gradient[table.clone()][label * width..][..width];
                    let column = dy.iter().skip(sample).step_by(n);
                    row.iter_mut().zip(column).for_each(|(d, dy)| *d += dy);
                }
            }
            Kind::Conv(conv) => {
                let x = &self.values[input(0)];
                let dx = trained(0).then_some(self.slopes[input(0)].as_mut_slice());
                conv.backward(n, params, x, dy, dx, &mut self.gradient, &mut self.scratch);
            }
            Kind::Norm(norm) => {
                let (x, dx) = (&self.values[input(0)], &mut self.slopes[input(0)]);
                // A normalization of what nothing trains still has parameters; its input's gradient goes nowhere.
                let mut nowhere = vec![0.0; if dx.is_empty() { x.len() } else { 0 }];
                let dx = if dx.is_empty() { &mut nowhere } else { dx };
                norm.backward(n, params, x, &self.saved[i], dy, dx, &mut self.gradient);
            }
            Kind::Silu => {
                let (x, dx) = (&self.values[input(0)], &mut self.slopes[input(0)]);
                pointwise::silu_backward(x, &self.saved[i], dy, dx);
            }
            Kind::Add { factor } => {
                for i in [0, 1] {
                    let dx = &mut self.slopes[input(i)];
                    dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += factor * dy);
                }
            }
            Kind::AddChannel => {
                pointwise::add(&mut self.slopes[input(0)], dy);
                let dv = &mut self.slopes[input(1)];
                let planes = dv.iter_mut().zip(dy.chunks_exact(p));
                planes.for_each(|(dv, dy)| *dv += pointwise::sum(dy));
            }
            Kind::ScaleShift => {
                let (x, v) = (&self.values[input(0)], &self.values[input(1)]);
                let half = v.len() / 2;
                let dx = &mut self.slopes[input(0)];
                for ((dx, dy), scale) in dx.chunks_exact_mut(p).zip(dy.chunks_exact(p)).zip(v) {
                    dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += dy * (1.0 + scale));
                }
                if trained(1) {
                    let (scales, shifts) = self.slopes[input(1)].split_at_mut(half);
                    let planes = x.chunks_exact(p).zip(dy.chunks_exact(p));
                    for ((x, dy), (scale, shift)) in planes.zip(scales.iter_mut().zip(shifts)) {
                        *scale += pointwise::dot(x, dy);
                        *shift += pointwise::sum(dy);
                    }
                }
            }
            Kind::Concat => {
                let mut first = 0;
                for input in &layer.inputs {
                    let len = self.values[*input].len();
                    pointwise::add(&mut self.slopes[*input], &dy[first..first + len]);
                    first += len;
                }
            }
            Kind::Upsample => {
                let [_, rows, cols] = network.shapes[input(0)];
                pointwise::gather_windows(cols, rows, 1.0, dy, &mut self.slopes[input(0)]);
            }
            Kind::AvgPool => {
                let [_, rows, cols] = network.shapes[layer.output];
                pointwise::spread_windows(cols, rows, 0.25, dy, &mut self.slopes[input(0)]);
            }
            Kind::Attention(a) => {
                let qkv = [0, 1, 2].map(|i: usize| self.values[input(i)].as_slice());
                // Taken out, so that one value may be queries, keys and values at once.
                let mut slopes = [0, 1, 2].map(|i: usize| vec![0.0; self.values[input(i)].len()]);
                let [dq, dk, dv] = &mut slopes;
                a.backward(n, qkv, &self.saved[i], dy, [dq, dk, dv], &mut self.scratch);
                for (i, slope) in slopes.iter().enumerate() {
                    pointwise::add(&mut self.slopes[input(i)], slope);
                }
            }
        }
    }
}
