//! Reverse-mode differentiation of a [`Graph`]: the graph that is deployed, trained as it stands.
//!
//! [`Network`] resolves a graph once; [`Passes`] holds the memory of its passes. A batch is cut into shards of [`SHARD`] samples,
//! each with memory of its own, and what the shards give is summed in their order: so a gradient's bits depend on the
//! processor but never on the number of threads.
//!
//! Activations are `(channel, sample, row, col)`, which makes every convolution one matrix product over all samples of a shard.

mod attention;
mod conv;
mod fake;
mod gemm;
mod layer;
mod norm;
mod pointwise;
mod tape;

#[cfg(test)]
mod tests;

pub use fake::FakeRange;

use super::layout::Layout;
use layer::Layer;
use mote_graph::float::FloatError;
use mote_graph::graph::Graph;
use rayon::prelude::*;
use std::ops::Range;
use tape::Tape;

/// Samples that are computed together.
pub const SHARD: usize = 8;

/// A graph, ready to be run forward and backward.
#[derive(Debug, Clone)]
pub struct Network {
    layers: Vec<Layer>,
    /// `(channel, row, col)` by value.
    shapes: Vec<[usize; 3]>,
    /// Values that parameters have a part in.
    trained: Vec<bool>,
    /// Rounding by value, where there is one.
    fake: Vec<Option<FakeRange>>,
    layout: Layout,
    sample: [usize; 3],
    output: usize,
    classes: Option<usize>,
}

/// One call's inputs.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `(sample, channel, row, col)`.
    pub x: &'a [f32],
    /// A timestep a sample.
    pub timesteps: &'a [usize],
    /// A class label a sample; empty for an unconditional network.
    pub labels: &'a [usize],
}

/// A loss and its gradient: of the samples of a range, from their outputs `(sample, channel, row, col)`. Writes the gradient by the
/// output, gives the loss; both are summed over the ranges.
pub type Loss<'a> = dyn Fn(Range<usize>, &[f32], &mut [f32]) -> f64 + Sync + 'a;

impl Network {
    /// Resolves `graph`.
    pub fn new(graph: &Graph) -> Result<Self, FloatError> {
        graph.check()?;
        let layout = Layout::of(graph);
        let layers: Vec<Layer> = graph.nodes.iter().map(|node| Layer::of(graph, &layout, node)).collect();
        let mut trained = vec![false; graph.values.len()];
        for layer in &layers {
            trained[layer.output] = layer.kind.has_params() || layer.inputs.iter().any(|i| trained[*i]);
        }
        Ok(Self {
            layers,
            shapes: graph.values.iter().map(|v| v.shape).collect(),
            trained,
            fake: vec![None; graph.values.len()],
            layout,
            sample: graph.sample_shape(),
            output: graph.output.map_or(0, |id| id.0),
            classes: graph.classes,
        })
    }

    /// Rounds value `index` of the graph in every pass, as an integer model stores it.
    pub fn round(&mut self, index: usize, range: FakeRange) {
        if let Some(fake) = self.fake.get_mut(index) {
            *fake = Some(range);
        }
    }

    /// Where parameters lie in the flat vector.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Labels that it takes; `None` for an unconditional network.
    #[must_use]
    pub fn classes(&self) -> Option<usize> {
        self.classes
    }

    /// Elements of a sample.
    #[must_use]
    pub fn sample_len(&self) -> usize {
        self.sample.iter().product()
    }

    /// Elements of an output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.shapes[self.output].iter().product()
    }

    /// Rows times columns of a value.
    fn positions(&self, value: usize) -> usize {
        self.shapes[value][1] * self.shapes[value][2]
    }

    fn check(&self, params: &[f32], call: &Call<'_>) -> Result<(), FloatError> {
        let wrong = |what, expected: String, found: usize| FloatError::Input {
            what,
            expected,
            found: found.to_string(),
        };
        let n = call.timesteps.len();
        if params.len() != self.layout.len() {
            return Err(wrong(
                "the number of parameters",
                self.layout.len().to_string(),
                params.len(),
            ));
        }
        if call.x.len() != n * self.sample_len() {
            return Err(wrong(
                "the sample's element count",
                (n * self.sample_len()).to_string(),
                call.x.len(),
            ));
        }
        let expected = if self.classes.is_some() { n } else { 0 };
        if call.labels.len() != expected {
            return Err(wrong("the number of labels", expected.to_string(), call.labels.len()));
        }
        let classes = self.classes.unwrap_or(0);
        match call.labels.iter().find(|label| **label >= classes) {
            Some(label) => Err(wrong("a class label", format!("below {classes}"), *label)),
            None => Ok(()),
        }
    }
}

/// The memory of passes, kept from call to call.
#[derive(Debug, Default)]
pub struct Passes {
    tapes: Vec<Tape>,
}

impl Passes {
    /// The output, `(sample, channel, row, col)`.
    pub fn forward(&mut self, network: &Network, params: &[f32], call: Call<'_>) -> Result<Vec<f32>, FloatError> {
        network.check(params, &call)?;
        let mut output = vec![0.0; call.timesteps.len() * network.output_len()];
        let to = output.par_chunks_mut(SHARD * network.output_len().max(1));
        to.zip(self.shards(call)).for_each(|(to, (range, tape))| {
            tape.forward(network, params, shard(call, &range, network.sample_len()));
            tape.output(network, to);
        });
        Ok(output)
    }

    /// The loss; adds nothing to `gradient` but overwrites it with the loss's gradient by the parameters.
    pub fn gradient(
        &mut self,
        network: &Network,
        params: &[f32],
        call: Call<'_>,
        loss: &Loss<'_>,
        gradient: &mut [f32],
    ) -> Result<f64, FloatError> {
        network.check(params, &call)?;
        let losses: Vec<f64> = self
            .shards(call)
            .map(|(range, tape)| {
                let len = range.len() * network.output_len();
                let (mut output, mut slope) = (vec![0.0; len], vec![0.0; len]);
                tape.forward(network, params, shard(call, &range, network.sample_len()));
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
            part.fill(0.0);
            for tape in used {
                pointwise::add(part, &tape.gradient()[i * PART..][..part.len()]);
            }
        });
        Ok(losses.iter().sum())
    }

    /// A tape for every range of samples.
    fn shards(&mut self, call: Call<'_>) -> impl IndexedParallelIterator<Item = (Range<usize>, &mut Tape)> {
        let n = call.timesteps.len();
        let count = n.div_ceil(SHARD);
        if self.tapes.len() < count {
            self.tapes.resize_with(count, Tape::default);
        }
        let range = move |i: usize| i * SHARD..((i + 1) * SHARD).min(n);
        let tapes = self.tapes[..count].par_iter_mut();
        tapes.enumerate().map(move |(i, tape)| (range(i), tape))
    }
}

fn shard<'a>(call: Call<'a>, range: &Range<usize>, len: usize) -> Call<'a> {
    Call {
        x: &call.x[range.start * len..range.end * len],
        timesteps: &call.timesteps[range.clone()],
        labels: call.labels.get(range.clone()).unwrap_or(&[]),
    }
}
