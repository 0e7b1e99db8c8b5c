//! A graph made ready to be run: every node with the places of what it reads, writes and has trained.

use super::{FakeRange, FloatError};
use crate::graph::{Graph, Layout, Node};
use crate::ops::{Conditions, Extents, Op, Operator, Params, Shape};
use std::ops::Range;

/// A graph, ready to be run forward and in reverse.
#[derive(Debug, Clone)]
pub struct PreparedGraph {
    pub(super) layers: Vec<Layer>,
    /// By value.
    pub(super) shapes: Vec<Shape>,
    /// Values that a gradient is needed by.
    pub(super) needed: Vec<bool>,
    /// Whether gradients by trained tensors are asked for.
    pub(super) trains: bool,
    /// Whether gradients by the sample are asked for.
    by_sample: bool,
    /// Rounding by value, where there is one.
    pub(super) fake: Vec<Option<FakeRange>>,
    pub(super) layout: Layout,
    pub(super) sample: Shape,
    /// The value that is the sample; `None` where it is not read.
    pub(super) input: Option<usize>,
    /// The value that is the output.
    pub(super) output: usize,
    classes: Option<usize>,
    /// Numbers of the condition; 0 without one.
    condition: usize,
}

/// A node with its places.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub name: String,
    pub op: Op,
    /// Values read.
    pub inputs: Vec<usize>,
    /// The value written.
    pub output: usize,
    /// Values that nothing reads any more.
    pub dead: Vec<usize>,
    /// Trained tensors in the flat vector.
    pub ranges: Vec<Range<usize>>,
    input_shapes: Vec<Shape>,
    output_shape: Shape,
}

impl Layer {
    /// Resolves a node of a checked graph, which has every key that it names.
    fn of(graph: &Graph, layout: &Layout, node: &Node) -> Self {
        let shape = |i: &usize| graph.values[*i].shape;
        let inputs: Vec<usize> = node.inputs.iter().map(|id| id.0).collect();
        let place = |key: &str| layout.range(key).unwrap_or(0..0);
        Self {
            name: node.name.clone(),
            ranges: node.op.params().into_iter().map(place).collect(),
            op: node.op.clone(),
            input_shapes: inputs.iter().map(shape).collect(),
            inputs,
            output: node.output.0,
            output_shape: shape(&node.output.0),
            dead: vec![],
        }
    }

    pub fn extents(&self, n: usize) -> Extents<'_> {
        Extents {
            n,
            inputs: &self.input_shapes,
            output: self.output_shape,
        }
    }

    pub fn params<'a, T>(&'a self, all: &'a [T]) -> Params<'a, T> {
        Params {
            all,
            ranges: &self.ranges,
        }
    }
}

impl PreparedGraph {
    /// Resolves `graph`. Gradients are those by its trained tensors.
    pub fn new(graph: &Graph) -> Result<Self, FloatError> {
        graph.check()?;
        let layout = Layout::of(graph);
        let mut network = Self {
            layers: graph.nodes.iter().map(|node| Layer::of(graph, &layout, node)).collect(),
            shapes: graph.values.iter().map(|v| v.shape).collect(),
            needed: vec![false; graph.values.len()],
            trains: true,
            by_sample: false,
            fake: vec![None; graph.values.len()],
            layout,
            sample: graph.sample_shape(),
            input: graph.sample().map(|id| id.0),
            output: graph.output.map_or(0, |id| id.0),
            classes: graph.classes,
            condition: graph.condition.map_or(0, |condition| condition.channels),
        };
        network.find_needed();
        network.find_dead();
        Ok(network)
    }

    /// With gradients by the sample, in place of those by trained tensors.
    #[must_use]
    pub fn by_sample(mut self) -> Self {
        self.trains = false;
        self.with_sample_gradient()
    }

    /// With gradients by the sample as well: [`super::Passes::by_sample`].
    #[must_use]
    pub fn with_sample_gradient(mut self) -> Self {
        self.by_sample = true;
        self.find_needed();
        self
    }

    /// Rounds value `index` of the graph in every pass of [`super::Passes`], as an integer model stores it.
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

    /// Numbers of the condition vector; 0 for a network without one.
    #[must_use]
    pub fn condition_len(&self) -> usize {
        self.condition
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

    /// Refuses a network with an operator that a gradient would have to pass and cannot.
    pub(super) fn check_reversible(&self) -> Result<(), FloatError> {
        let blocks = |layer: &&Layer| self.passes_gradient(layer) && !layer.op.is_reversible();
        match self.layers.iter().find(blocks) {
            None => Ok(()),
            Some(layer) => Err(FloatError::Irreversible {
                node: layer.name.clone(),
                operator: layer.op.name(),
            }),
        }
    }

    /// Refuses inputs that do not fit.
    pub(super) fn check(&self, params: usize, x: usize, n: usize, given: Conditions<'_>) -> Result<(), FloatError> {
        let labels = given.labels;
        if params != self.layout.len() {
            let expected = self.layout.len().to_string();
            return Err(FloatError::input("the number of parameters", expected, params));
        }
        if x != n * self.sample_len() {
            let [c, h, w] = self.sample;
            let expected = format!("{n} x {c} x {h} x {w}");
            return Err(FloatError::input("the sample's element count", expected, x));
        }
        self.check_condition(n, given.vectors)?;
        match self.classes {
            None if !labels.is_empty() => {
                let expected = "0: the network is unconditional".to_string();
                Err(FloatError::input("the number of labels", expected, labels.len()))
            }
            Some(_) if labels.len() != n => Err(FloatError::input("the number of labels", n.to_string(), labels.len())),
            classes => match labels.iter().find(|label| Some(**label) >= classes) {
                Some(label) => {
                    let expected = format!("below {}", classes.unwrap_or(0));
                    Err(FloatError::input("a class label", expected, *label))
                }
                None => Ok(()),
            },
        }
    }

    /// Refuses condition vectors that do not fit.
    fn check_condition(&self, n: usize, vectors: &[f64]) -> Result<(), FloatError> {
        let what = "the condition's element count";
        if vectors.len() != n * self.condition {
            let expected = match self.condition {
                0 => "0: the network takes no condition vector".to_string(),
                each => format!("{n} x {each}"),
            };
            return Err(FloatError::input(what, expected, vectors.len()));
        }
        match vectors.iter().find(|v| !v.is_finite()) {
            None => Ok(()),
            Some(v) => Err(FloatError::input("a condition's number", "finite".to_string(), v)),
        }
    }

    /// Whether a gradient must go through a node to what it reads or has trained.
    fn passes_gradient(&self, layer: &Layer) -> bool {
        self.trains && !layer.ranges.is_empty() || layer.inputs.iter().any(|i| self.needed[*i])
    }

    fn find_needed(&mut self) {
        self.needed.fill(false);
        if let Some(input) = self.input.filter(|_| self.by_sample) {
            self.needed[input] = true;
        }
        for i in 0..self.layers.len() {
            let output = self.layers[i].output;
            self.needed[output] |= self.passes_gradient(&self.layers[i]);
        }
    }

    /// For each node, the values it is the last to read (or to write, when nothing reads them), the output excepted.
    fn find_dead(&mut self) {
        let mut last: Vec<Option<usize>> = vec![None; self.shapes.len()];
        for (i, layer) in self.layers.iter().enumerate() {
            for value in layer.inputs.iter().chain([&layer.output]) {
                last[*value] = Some(i);
            }
        }
        for (value, last) in last.into_iter().enumerate() {
            if let Some(i) = last.filter(|_| value != self.output) {
                self.layers[i].dead.push(value);
            }
        }
    }
}

/// Copies `(sample, channel, position)` as `(channel, sample, position)`, and the other way round where the counts are swapped.
pub(super) fn swap_planes<T: Copy>([outer, inner]: [usize; 2], from: &[T], to: &mut [T]) {
    let positions = from.len() / (outer * inner).max(1);
    for (i, plane) in from.chunks_exact(positions.max(1)).enumerate() {
        let at = i % inner * outer + i / inner;
        to[at * positions..][..positions].copy_from_slice(plane);
    }
}
