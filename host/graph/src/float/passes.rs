//! Passes over a batch, forward and in reverse: what a training run asks for.
//!
//! A batch is cut into shards of some samples, each with memory of its own, and what the shards give is summed in their order: so a
//! gradient's bits depend on the processor but never on the number of threads.

use super::tape::Tape;
use super::{FloatError, PreparedGraph};
use crate::Real;
use crate::ops::{Batch, Conditions, TimeFeatures, add_all};
use rayon::prelude::*;
use std::ops::Range;

/// Samples that are computed together, unless [`Passes::of_shards`] says otherwise.
pub const SHARD: usize = 8;

/// One call's inputs.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a, T = f32> {
    /// `(sample, channel, row, col)`.
    pub x: &'a [T],
    /// A timestep a sample.
    pub timesteps: &'a [usize],
    /// A class label a sample; empty for an unconditional network.
    pub labels: &'a [usize],
    /// `(sample, number)`: a condition vector a sample; empty for a network without one.
    pub condition: &'a [f64],
}

/// A loss and its gradient: of the samples of a range, from their outputs `(sample, channel, row, col)`. Writes the gradient by the
/// output, gives the loss; both are summed over the ranges.
pub type Loss<'a, T = f32> = dyn Fn(Range<usize>, &[T], &mut [T]) -> f64 + Sync + 'a;

/// The memory of passes, kept from call to call.
#[derive(Debug)]
pub struct Passes<T = f32> {
    shard: usize,
    tapes: Vec<Tape<T>>,
    /// Tapes that the latest call used.
    used: usize,
}

impl<T> Default for Passes<T> {
    fn default() -> Self {
        Self::of_shards(SHARD)
    }
}

impl<T> Passes<T> {
    /// With so many samples that are computed together, at least 1: many where a sample is small.
    #[must_use]
    pub fn of_shards(samples: usize) -> Self {
        Self {
            shard: samples.max(1),
            tapes: vec![],
            used: 0,
        }
    }
}

impl<T: Real> Passes<T> {
    /// The output, `(sample, channel, row, col)`.
    pub fn forward(&mut self, network: &PreparedGraph, params: &[T], call: Call<'_, T>) -> Result<Vec<T>, FloatError> {
        let times = self.check(network, params, &call)?;
        let mut output = vec![T::ZERO; call.timesteps.len() * network.output_len()];
        let to = output.par_chunks_mut(self.shard * network.output_len().max(1));
        to.zip(self.shards(times.len())).for_each(|(to, (range, tape))| {
            tape.forward(network, params, shard(&call, &times, &range, network));
            tape.output(network, to);
        });
        Ok(output)
    }

    /// The loss; overwrites `gradient` with the loss's gradient by the parameters.
    pub fn gradient(
        &mut self,
        network: &PreparedGraph,
        params: &[T],
        call: Call<'_, T>,
        loss: &Loss<'_, T>,
        gradient: &mut [T],
    ) -> Result<f64, FloatError> {
        let times = self.check(network, params, &call)?;
        network.check_reversible()?;
        let trained = if network.trains { params.len() } else { 0 };
        if gradient.len() != trained {
            let what = "the number of elements of the gradient";
            return Err(FloatError::input(what, trained.to_string(), gradient.len()));
        }
        let losses: Vec<f64> = self
            .shards(times.len())
            .map(|(range, tape)| {
                let len = range.len() * network.output_len();
                let (mut output, mut slope) = (vec![T::ZERO; len], vec![T::ZERO; len]);
                tape.forward(network, params, shard(&call, &times, &range, network));
                tape.output(network, &mut output);
                let loss = loss(range, &output, &mut slope);
                tape.backward(network, params, &slope);
                loss
            })
            .collect();
        let used = &self.tapes[..losses.len()];
        /// Elements that are summed by one thread.
        const PART: usize = 4096;
        gradient.par_chunks_mut(PART).enumerate().for_each(|(i, part)| {
            part.fill(T::ZERO);
            for tape in used {
                add_all(part, &tape.gradient()[i * PART..][..part.len()]);
            }
        });
        Ok(losses.iter().sum())
    }

    /// The gradient by the sample of the latest [`Passes::gradient`], `(sample, channel, row, col)`, where `network` is the same and was
    /// made [`PreparedGraph::with_sample_gradient`]; zeros elsewhere.
    pub fn by_sample(&self, network: &PreparedGraph) -> Vec<T> {
        let used = &self.tapes[..self.used];
        used.iter().flat_map(|tape| tape.by_sample(network)).collect()
    }

    /// The timesteps of a call that fits.
    fn check(&self, network: &PreparedGraph, params: &[T], call: &Call<'_, T>) -> Result<Vec<f64>, FloatError> {
        network.check(params.len(), call.x.len(), call.timesteps.len(), given(call))?;
        Ok(call.timesteps.iter().map(|t| *t as f64).collect())
    }

    /// A tape for every range of `n` samples.
    fn shards(&mut self, n: usize) -> impl IndexedParallelIterator<Item = (Range<usize>, &mut Tape<T>)> {
        let (shard, count) = (self.shard, n.div_ceil(self.shard));
        self.used = count;
        if self.tapes.len() < count {
            self.tapes.resize_with(count, Tape::default);
        }
        let range = move |i: usize| i * shard..((i + 1) * shard).min(n);
        let tapes = self.tapes[..count].par_iter_mut();
        tapes.enumerate().map(move |(i, tape)| (range(i), tape))
    }
}

/// Some samples of a call.
fn shard<'a, T: Real>(
    call: &Call<'a, T>,
    times: &'a [f64],
    range: &Range<usize>,
    network: &PreparedGraph,
) -> Batch<'a, T> {
    let len = network.sample_len();
    let given = given(call).part(range.clone(), times.len());
    Batch {
        x: &call.x[range.start * len..range.end * len],
        times: &times[range.clone()],
        labels: given.labels,
        condition: given.vectors,
        features: TimeFeatures::of(T::DTYPE),
    }
}

fn given<'a, T>(call: &Call<'a, T>) -> Conditions<'a> {
    Conditions {
        labels: call.labels,
        vectors: call.condition,
    }
}
