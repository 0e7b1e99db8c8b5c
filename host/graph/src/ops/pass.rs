//! What an operator's passes are given, forward and in reverse.
//!
//! Activations of `n` samples are `(channel, sample, row, col)`, which makes a convolution one matrix product over all of them.

use super::Shape;
use super::time_proj::TimeFeatures;
use std::ops::Range;

/// Extents of what a node reads and writes.
#[derive(Debug, Clone, Copy)]
pub struct Extents<'a> {
    /// Samples.
    pub n: usize,
    /// Shapes of the values read.
    pub inputs: &'a [Shape],
    /// Shape of the value written.
    pub output: Shape,
}

impl Extents<'_> {
    /// Elements of a channel of the output, over all samples.
    #[must_use]
    pub fn plane(&self) -> usize {
        self.n * self.output[1] * self.output[2]
    }

    /// Elements of the output, over all samples.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.output[0] * self.plane()
    }
}

/// What the network is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a, T> {
    /// `(sample, channel, row, col)`.
    pub x: &'a [T],
    /// A timestep a sample, or a time between two.
    pub times: &'a [f64],
    /// A class label a sample; empty for an unconditional network.
    pub labels: &'a [usize],
    /// `(sample, number)`: a condition vector a sample; empty for a network without one.
    pub condition: &'a [f64],
    /// Arithmetic of timestep features.
    pub features: TimeFeatures,
}

/// An operator's trained tensors, in the order of [`super::Operator::params`].
#[derive(Debug, Clone, Copy)]
pub struct Params<'a, T> {
    /// Those of the whole graph.
    pub all: &'a [T],
    /// Where the operator's lie.
    pub ranges: &'a [Range<usize>],
}

impl<'a, T> Params<'a, T> {
    /// The `i`-th; empty where there are fewer.
    #[must_use]
    pub fn get(&self, i: usize) -> &'a [T] {
        self.ranges.get(i).map_or(&[], |range| &self.all[range.clone()])
    }
}

/// The pass forward of one node.
#[derive(Debug)]
pub struct Forward<'a, T> {
    /// Extents.
    pub extents: Extents<'a>,
    /// The network's inputs.
    pub batch: Batch<'a, T>,
    /// Trained tensors.
    pub params: Params<'a, T>,
    /// Values read.
    pub x: &'a [&'a [T]],
    /// The value to write. What is in it has no meaning.
    pub y: &'a mut [T],
    /// To keep for the pass in reverse, [`super::Operator::saved_len`] elements.
    pub saved: &'a mut [T],
    /// Memory of this pass alone, at least [`super::Operator::scratch_len`] elements.
    pub scratch: &'a mut [T],
}

/// The pass in reverse of one node: the gradient by its output becomes that by its inputs and trained tensors.
#[derive(Debug)]
pub struct Backward<'a, T> {
    /// Extents.
    pub extents: Extents<'a>,
    /// The network's inputs, without x.
    pub batch: Batch<'a, T>,
    /// Trained tensors.
    pub params: Params<'a, T>,
    /// Values read.
    pub x: &'a [&'a [T]],
    /// What the pass forward kept.
    pub saved: &'a [T],
    /// The gradient by the output.
    pub dy: &'a [T],
    /// Gradients by values, to be added to.
    pub slopes: Slopes<'a, T>,
    /// Gradients by trained tensors, to be added to.
    pub gradients: Gradients<'a, T>,
    /// Memory of this pass alone, at least [`super::Operator::scratch_len`] elements.
    pub scratch: &'a mut [T],
}

/// Gradients by the values that a node reads. One value may be read as several inputs.
#[derive(Debug)]
pub struct Slopes<'a, T> {
    /// By value of the graph.
    pub all: &'a mut [Vec<T>],
    /// The values read.
    pub inputs: &'a [usize],
}

impl<T> Slopes<'_, T> {
    /// By the `i`-th input; empty where nobody needs it.
    pub fn of(&mut self, i: usize) -> &mut [T] {
        &mut self.all[self.inputs[i]]
    }
}

/// Gradients by a node's trained tensors.
#[derive(Debug)]
pub struct Gradients<'a, T> {
    /// By those of the whole graph; empty where nobody needs them.
    pub all: &'a mut [T],
    /// Where the operator's lie.
    pub ranges: &'a [Range<usize>],
}

impl<T> Gradients<'_, T> {
    /// By the `i`-th tensor; `None` where there are fewer, or where nobody needs them.
    pub fn of(&mut self, i: usize) -> Option<&mut [T]> {
        let range = self.ranges.get(i)?.clone();
        self.all.get_mut(range)
    }
}
