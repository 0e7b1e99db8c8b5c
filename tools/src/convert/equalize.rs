//! Equalization: channels of very different size get one, so that 8 bits serve all of them alike.
//!
//! A convolution can write a channel k times as large, where all that reads it makes up for that: another convolution by its weights, a
//! group normalization by itself, as long as its whole group grows by k. The network computes the same, but for the normalization's eps,
//! which then counts less. (Nagel et al. 2019, section 4.1, has it for two convolutions and a ReLU.) Nothing is added on the device.
//!
//! Channels that must grow together are one set. A set grows until the largest of its channels is as large as its activation's largest.

use std::collections::BTreeMap;

use half::f16;
use mote_engine::memory::AlignedBytes;
use mote_engine::record::{Recording, record};
use mote_graph::graph::{Graph, Node, Op, ValueId, ops::Operator as _, ops::Over};
use mote_runtime::Model;

use super::ConvertError;
use super::calibration::Calibration;
use crate::condition::Given;
use crate::emit::{Diffusion, emit};
use crate::import::Checkpoint;
use crate::plan::Arena;
use crate::program::Program;

/// The most that a channel grows.
const MOST: f64 = 16.0;

/// `checkpoint` with channels of like size: the same network, to be converted.
///
/// # Errors
/// As a conversion.
pub fn of_checkpoint(checkpoint: &Checkpoint) -> Result<Checkpoint, ConvertError> {
    let given = Given::of(checkpoint)?;
    let program = super::lowered(checkpoint)?;
    let diffusion = super::diffusion(checkpoint)?;
    let calibration = Calibration::of(&program, &diffusion, given.as_ref());
    Ok(Checkpoint {
        graph: equalized(&checkpoint.graph, &program, &diffusion, &calibration)?,
        ..checkpoint.clone()
    })
}

/// `graph` with channels of like size, by the activations of `program`, which was lowered from it, in the runs of calibration.
fn equalized(
    graph: &Graph,
    program: &Program,
    diffusion: &Diffusion,
    calibration: &Calibration,
) -> Result<Graph, ConvertError> {
    let emitted = emit(program, diffusion, None, Arena::Fast, "")?;
    let copy = AlignedBytes::copy_of(&emitted.bytes);
    let every = calibration.rounding_stride(program);
    let calls = record(&Model::parse(copy.bytes())?, &calibration.runs, every)?;
    let largest = largest(graph, program, &calls);
    Ok(Sets::of(graph).applied(graph, &largest))
}

/// The largest magnitude of every channel of every value that is stored.
fn largest(graph: &Graph, program: &Program, calls: &[Recording]) -> BTreeMap<usize, Vec<f64>> {
    let mut found: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (index, op) in program.ops.iter().enumerate() {
        let Some(value) = op.origin.value else { continue };
        let channels = graph.values[value.0].shape[0];
        let to = found.entry(value.0).or_insert_with(|| vec![0.0; channels]);
        let outputs = calls.iter().filter_map(|call| call.outputs.get(index));
        for (i, bits) in outputs.flat_map(|output| output.iter().enumerate()) {
            let size = f16::from_bits(*bits).to_f64().abs();
            to[i % channels] = to[i % channels].max(size);
        }
    }
    found
}

/// Channels that grow together.
struct Sets {
    /// Where each value's channels begin.
    first: Vec<usize>,
    /// A channel of the same set, itself at the end.
    parent: Vec<usize>,
    /// By channel that stands for a set: whether it must stay.
    fixed: Vec<bool>,
}

impl Sets {
    fn of(graph: &Graph) -> Self {
        let mut first = vec![];
        let mut channels = 0;
        for value in &graph.values {
            first.push(channels);
            channels += value.shape[0];
        }
        let mut sets = Self {
            first,
            parent: (0..channels).collect(),
            fixed: vec![false; channels],
        };
        let uses = uses(graph);
        graph.nodes.iter().for_each(|node| sets.join_of(graph, node, &uses));
        graph.output.into_iter().for_each(|output| sets.fix(graph, output));
        sets
    }

    /// What a node asks of the channels that it reads and writes.
    fn join_of(&mut self, graph: &Graph, node: &Node, uses: &BTreeMap<&str, usize>) {
        let channels = |value: ValueId| graph.values[value.0].shape[0];
        let out = node.output;
        match &node.op {
            // Weights make up for what is read, and make what is written larger.
            Op::Conv(conv) if node.op.params().iter().all(|key| uses[*key] == 1) && conv.groups == 1 => {}
            Op::Add(_) | Op::AddChannel(_) if node.inputs.iter().all(|value| channels(*value) == channels(out)) => {
                for value in &node.inputs {
                    (0..channels(out)).for_each(|c| self.join((*value, c), (out, c)));
                }
            }
            Op::Concat(_) => {
                let mut at = 0;
                for value in &node.inputs {
                    (0..channels(*value)).for_each(|c| self.join((*value, c), (out, at + c)));
                    at += channels(*value);
                }
            }
            Op::Upsample2(_) | Op::AvgPool2(_) => {
                (0..channels(out)).for_each(|c| self.join((node.inputs[0], c), (out, c)));
            }
            Op::Norm(norm) if norm.floor == 0.0 && matches!(norm.over, Over::Groups(_)) => {
                let value = node.inputs[0];
                let size = (channels(value) / norm.over.groups()).max(1);
                (0..channels(value)).for_each(|c| self.join((value, c), (value, c - c % size)));
                node.inputs[1..].iter().for_each(|value| self.fix(graph, *value));
                self.fix(graph, out);
            }
            _ => {
                node.inputs.iter().for_each(|value| self.fix(graph, *value));
                self.fix(graph, out);
            }
        }
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    fn join(&mut self, (a, i): (ValueId, usize), (b, j): (ValueId, usize)) {
        let [a, b] = [self.first[a.0] + i, self.first[b.0] + j].map(|at| self.root(at));
        let [low, high] = [a.min(b), a.max(b)];
        self.parent[high] = low;
        self.fixed[low] |= self.fixed[high];
    }

    fn fix(&mut self, graph: &Graph, value: ValueId) {
        for c in 0..graph.values[value.0].shape[0] {
            let root = self.root(self.first[value.0] + c);
            self.fixed[root] = true;
        }
    }

    /// How much every channel grows.
    fn growth(&mut self, graph: &Graph, largest: &BTreeMap<usize, Vec<f64>>) -> Vec<f64> {
        // The largest share of an activation's size that a set's channels have.
        let mut share = vec![0.0f64; self.parent.len()];
        for (value, sizes) in largest {
            let whole = sizes.iter().fold(0.0f64, |most, size| most.max(*size));
            for (c, size) in sizes.iter().enumerate() {
                let root = self.root(self.first[*value] + c);
                share[root] = share[root].max(if whole.is_finite() && whole > 0.0 {
                    size / whole
                } else {
                    1.0
                });
            }
        }
        let channels = graph.values.iter().map(|value| value.shape[0]).sum();
        (0..channels)
            .map(|at| match self.root(at) {
                root if self.fixed[root] || share[root] <= 0.0 => 1.0,
                root => (1.0 / share[root]).clamp(1.0, MOST),
            })
            .collect()
    }

    /// The graph whose channels have grown.
    fn applied(mut self, graph: &Graph, largest: &BTreeMap<usize, Vec<f64>>) -> Graph {
        let growth = self.growth(graph, largest);
        let mut to = graph.clone();
        for node in &graph.nodes {
            let Op::Conv(conv) = &node.op else { continue };
            let of = |value: ValueId| &growth[self.first[value.0]..][..graph.values[value.0].shape[0]];
            let (read, written) = (of(node.inputs[0]), of(node.output));
            if read.iter().chain(written).all(|grown| *grown == 1.0) {
                continue;
            }
            if let Some(weight) = to.params.get_mut(&conv.weight) {
                let taps = weight.data.len() / (read.len() * written.len()).max(1);
                for (i, w) in weight.data.iter_mut().enumerate() {
                    let (out, input) = (i / taps / read.len(), i / taps % read.len());
                    *w = (f64::from(*w) * written[out] / read[input]) as f32;
                }
                to.rests.remove(&conv.weight);
            }
            if let Some((key, bias)) = conv.bias.as_ref().and_then(|key| Some((key, to.params.get_mut(key)?))) {
                let grown = bias.data.iter_mut().zip(written);
                grown.for_each(|(b, grown)| *b = (f64::from(*b) * grown) as f32);
                to.rests.remove(key);
            }
        }
        to
    }
}

/// How many nodes have each parameter.
fn uses(graph: &Graph) -> BTreeMap<&str, usize> {
    let mut uses = BTreeMap::new();
    let keys = graph.nodes.iter().flat_map(|node| node.op.params());
    keys.for_each(|key| *uses.entry(key).or_insert(0) += 1);
    uses
}
