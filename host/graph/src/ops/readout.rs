//! A linear layer whose weights belong to groups of timesteps.

use super::loops::sum;
use super::{Backward, Batch, Extents, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;
use crate::matrix::{by_column, by_row};
use std::ops::Range;

/// `W_g x + b_g` over channels, with `g` the group of the sample's timestep (Sohl-Dickstein et al. 2015, appendix D.1.1: readouts by
/// timestep).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readout {
    /// Key of `(group, out, in)`.
    pub weight: String,
    /// Key of `(group, out)`.
    pub bias: String,
    /// First timestep of each group: 0, then ascending.
    pub first: Vec<usize>,
}

impl Operator for Readout {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let [channels, rows, cols] = inputs.one()?;
        let ascends = self.first.first() == Some(&0) && self.first.is_sorted_by(|a, b| a < b);
        let found = format!("{:?}", self.first);
        inputs.require(
            ascends,
            "the first timesteps of the groups",
            "0, then ascending numbers",
            found,
        )?;
        let (groups, w) = (self.first.len(), &inputs.param(&self.weight)?.shape);
        let fits = w.len() == 3 && w[0] == groups && w[2] == channels;
        let expected = format!("[{groups}, out, {channels}]");
        inputs.require(fits, "the weight's shape", &expected, format!("{w:?}"))?;
        inputs.param_of_shape(&self.bias, &w[..2])?;
        Ok([w[1], rows, cols])
    }

    fn params(&self) -> Vec<&str> {
        vec![&self.weight, &self.bias]
    }

    fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
        output.iter().map(|d| *d as u64).product::<u64>() * inputs[0][0] as u64
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let at = Places::of(&pass.extents);
        let (weights, biases) = (pass.params.get(0), pass.params.get(1));
        for (group, samples) in self.runs(&pass.batch) {
            let columns = at.columns(&samples);
            for (plane, b) in pass.y.chunks_exact_mut(at.plane).zip(&biases[at.bias(group)]) {
                plane[columns.clone()].fill(*b);
            }
            T::product(
                [columns.len(), at.outs, at.ins],
                (&mut pass.y[columns.start..], by_column(at.plane)),
                true,
                T::ONE,
                (&pass.x[0][columns.start..], by_column(at.plane)),
                (&weights[at.weight(group)], by_column(at.ins)),
            );
        }
    }
}

impl Reverse for Readout {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let at = Places::of(&pass.extents);
        for (group, samples) in self.runs(&pass.batch) {
            let columns = at.columns(&samples);
            if let Some(by_bias) = pass.gradients.of(1) {
                let planes = pass.dy.chunks_exact(at.plane);
                let by_bias = by_bias[at.bias(group)].iter_mut();
                by_bias.zip(planes).for_each(|(d, dy)| *d += sum(&dy[columns.clone()]));
            }
            let (x, dy) = (&pass.x[0][columns.start..], &pass.dy[columns.start..]);
            if let Some(by_weight) = pass.gradients.of(0) {
                T::product(
                    [at.ins, at.outs, columns.len()],
                    (&mut by_weight[at.weight(group)], by_column(at.ins)),
                    true,
                    T::ONE,
                    (x, by_row(at.plane)),
                    (dy, by_column(at.plane)),
                );
            }
            let dx = pass.slopes.of(0);
            if !dx.is_empty() {
                T::product(
                    [columns.len(), at.ins, at.outs],
                    (&mut dx[columns.start..], by_column(at.plane)),
                    true,
                    T::ONE,
                    (dy, by_column(at.plane)),
                    (&pass.params.get(0)[at.weight(group)], by_row(at.ins)),
                );
            }
        }
    }
}

impl Readout {
    /// The group of a timestep.
    #[must_use]
    pub fn group(&self, t: f64) -> usize {
        self.first.partition_point(|first| *first as f64 <= t).saturating_sub(1)
    }

    /// Samples one after the other that are of one group, with the group.
    fn runs<T>(&self, batch: &Batch<'_, T>) -> Vec<(usize, Range<usize>)> {
        let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
        for (sample, t) in batch.times.iter().enumerate() {
            let group = self.group(*t);
            match runs.last_mut() {
                Some((last, samples)) if *last == group => samples.end = sample + 1,
                _ => runs.push((group, sample..sample + 1)),
            }
        }
        runs
    }
}

/// Where everything lies.
struct Places {
    ins: usize,
    outs: usize,
    /// Rows times columns.
    positions: usize,
    /// Elements of a channel over all samples.
    plane: usize,
}

impl Places {
    fn of(extents: &Extents<'_>) -> Self {
        Self {
            ins: extents.inputs[0][0],
            outs: extents.output[0],
            positions: extents.output[1] * extents.output[2],
            plane: extents.plane(),
        }
    }

    /// Some samples' part of a channel.
    fn columns(&self, samples: &Range<usize>) -> Range<usize> {
        samples.start * self.positions..samples.end * self.positions
    }

    fn weight(&self, group: usize) -> Range<usize> {
        let len = self.outs * self.ins;
        group * len..(group + 1) * len
    }

    fn bias(&self, group: usize) -> Range<usize> {
        group * self.outs..(group + 1) * self.outs
    }
}
