//! Lowering: the float graph becomes the fused program that a model file holds.
//!
//! A node of the graph becomes an operator, joins the operator before it, or becomes a way of reading that costs nothing. Which of these
//! it is says the operator's home in [`crate::ops`]. An operator whose only reader will join it waits for that reader. What has no place
//! is refused by its name.

mod deployed;
pub(crate) mod series;
#[cfg(test)]
mod tests;
pub mod times;

pub use deployed::{deployed, deployed_as};

use std::collections::HashMap;

use mote_graph::graph::{Graph, Node, Op, ValueId};
use mote_graph::ops::Function;
use mote_runtime::internals::ops::rearrange::Pattern;

use crate::ops::{self, Conv, Kind, Rearrange};
use crate::program::{Origin, Program, SlotId};

/// A node that the runtime has no operator for.
#[derive(Debug, thiserror::Error)]
#[error("cannot lower node '{node}' ({what}): this arrangement of layers has no operator in the runtime")]
pub struct LowerError {
    /// Name of the node.
    pub node: String,
    /// What about it.
    pub what: String,
}

/// What became of a node.
pub enum Lowered {
    /// An operator.
    Operator(Kind),
    /// An operator for each of these slots, of the slot's shape. Readers of the value read their outputs as the halves of a concatenation.
    Parts(Vec<(Kind, SlotId)>),
    /// A convolution whose output, of this shape, has the positions of a block as channels, and depth to space behind it.
    Phases {
        /// The convolution.
        conv: Conv,
        /// Its output's shape.
        shape: [usize; 3],
        /// Rows and columns of a block.
        block: [usize; 2],
    },
    /// Features of the timestep, and the matrix `(out, features)` that the node's value is of them.
    Mixed {
        /// The features.
        features: Kind,
        /// How many.
        count: usize,
        /// By rows.
        matrix: Vec<f32>,
    },
    /// Nothing that is computed: readers of its value read these slots.
    View(View),
}

/// How a value of the graph is read.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// One slot, or the two halves of a concatenation.
    pub slots: Vec<SlotId>,
    /// Through a nearest-neighbour x2.
    pub upsample: bool,
}

impl View {
    /// A slot as it is.
    pub fn of(slot: SlotId) -> Self {
        Self {
            slots: vec![slot],
            upsample: false,
        }
    }
}

/// The one node that reads an operator's output.
pub struct Next<'a> {
    /// That node.
    pub node: &'a Node,
    /// The value that it reads.
    pub value: ValueId,
    /// Index of the node that writes the value.
    pub writer: usize,
    /// The graph, and what is lowered so far.
    pub lowering: &'a Lowering<'a>,
}

/// Timesteps of a network where nothing says how many.
const TIMESTEPS: usize = 1000;

/// Lowers a shape-checked graph.
pub fn lower(graph: &Graph) -> Result<Program, LowerError> {
    lower_of(graph, TIMESTEPS)
}

/// Lowers a shape-checked graph of a network of so many timesteps.
pub fn lower_of(graph: &Graph, timesteps: usize) -> Result<Program, LowerError> {
    let graph = &*times::plain(graph);
    let mut lowering = Lowering {
        timesteps,
        ..Lowering::new(graph)
    };
    for (index, node) in graph.nodes.iter().enumerate() {
        lowering.node(index, node)?;
    }
    Ok(lowering.program)
}

/// A lowering under way: what an operator's home asks it.
pub struct Lowering<'g> {
    /// The graph.
    pub graph: &'g Graph,
    /// What is lowered so far.
    pub program: Program,
    /// Timesteps that the network was trained on.
    pub timesteps: usize,
    /// Indices of the nodes that read each value. The network's output is read by one node past the end.
    readers: Vec<Vec<usize>>,
    /// How each value that is there can be read.
    views: HashMap<ValueId, View>,
    /// Operators that wait for the node that joins them, by the value that they would have written.
    waiting: HashMap<ValueId, Waiting>,
}

/// An operator that is not in the program yet.
struct Waiting {
    name: String,
    kind: Kind,
    nodes: Vec<usize>,
}

impl<'g> Lowering<'g> {
    fn new(graph: &'g Graph) -> Self {
        let mut readers = vec![Vec::new(); graph.values.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|v| readers[v.0].push(index));
        }
        if let Some(output) = graph.output {
            readers[output.0].push(graph.nodes.len());
        }
        Self {
            graph,
            program: Program {
                classes: graph.classes.unwrap_or(0),
                sample: graph.sample_shape(),
                ..Program::default()
            },
            timesteps: TIMESTEPS,
            readers,
            views: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    fn node(&mut self, index: usize, node: &Node) -> Result<(), LowerError> {
        if matches!(&node.op, Op::Pointwise(op) if op.function == Function::Sine) {
            return Err(refuse(
                node,
                "the sine of an activation, whose periods no table of segments holds",
            ));
        }
        self.made_whole(node);
        let waits = |value: &ValueId| self.waiting.contains_key(value);
        let joined = node.inputs.iter().position(waits);
        let joined = joined.and_then(|input| Some((input, self.waiting.remove(&node.inputs[input])?)));
        let op = match joined {
            Some((input, mut op)) => {
                op.kind.operator_mut().absorb(node, input, self)?;
                op.nodes.push(index);
                op
            }
            None => match ops::lower(node, self)? {
                Lowered::View(view) => {
                    self.views.insert(node.output, view);
                    return Ok(());
                }
                Lowered::Parts(parts) => {
                    self.parts(index, node, parts);
                    return Ok(());
                }
                Lowered::Phases { conv, shape, block } => {
                    let name = format!("{}.phases", node.name);
                    let origin = Origin {
                        nodes: vec![index],
                        value: None,
                    };
                    let src = self.program.push(&name, &name, shape, conv, origin);
                    let way = Pattern::Phases;
                    Waiting {
                        name: node.name.clone(),
                        kind: Rearrange { src, way, block }.into(),
                        nodes: vec![index],
                    }
                }
                Lowered::Mixed {
                    features,
                    count,
                    matrix,
                } => {
                    let name = format!("{}.waves", node.name);
                    let origin = Origin {
                        nodes: vec![index],
                        value: None,
                    };
                    let src = self.program.push(&name, &name, [count, 1, 1], features, origin);
                    let outs = self.shape(node.output)[0];
                    Waiting {
                        name: node.name.clone(),
                        kind: Conv::linear(vec![src], matrix, outs).into(),
                        nodes: vec![index],
                    }
                }
                Lowered::Operator(kind) => Waiting {
                    name: node.name.clone(),
                    kind,
                    nodes: vec![index],
                },
            },
        };
        if self.only_reader_joins(index, node.output, &op.kind) {
            self.waiting.insert(node.output, op);
        } else {
            self.append(node.output, op);
        }
        Ok(())
    }

    /// Writes what a sum or a product reads as one tensor and is none: a concatenation, or an upsampled value, beside a tensor. The linear
    /// layer that does nothing reads either.
    fn made_whole(&mut self, node: &Node) {
        let pairs = matches!(
            node.op,
            Op::Add(_) | Op::AddChannel(_) | Op::ScaleShift(_) | Op::Modulate(_) | Op::Multiply(_)
        );
        let is_apart = |value: &ValueId| {
            self.views
                .get(value)
                .is_some_and(|view| view.upsample || view.slots.len() > 1)
        };
        let alone = node.inputs.iter().filter(|value| is_apart(value)).count() == 1;
        for value in node.inputs.iter().filter(|_| pairs && alone) {
            let Some(view) = self
                .views
                .get(value)
                .filter(|view| view.upsample || view.slots.len() > 1)
            else {
                continue;
            };
            let shape = self.shape(*value);
            let mut identity = vec![0.0; shape[0] * shape[0]];
            identity.iter_mut().step_by(shape[0] + 1).for_each(|v| *v = 1.0);
            let conv = Conv {
                upsample: view.upsample,
                ..Conv::linear(view.slots.clone(), identity, shape[0])
            };
            let name = self.graph.values[value.0].name.clone();
            let writer = self.graph.nodes.iter().position(|writer| writer.output == *value);
            let origin = Origin {
                nodes: writer.into_iter().collect(),
                value: Some(*value),
            };
            let out = self.program.push(&name, &name, shape, Kind::from(conv), origin);
            self.views.insert(*value, View::of(out));
        }
    }

    fn parts(&mut self, index: usize, node: &Node, parts: Vec<(Kind, SlotId)>) {
        let mut slots = Vec::with_capacity(parts.len());
        for (i, (kind, like)) in parts.into_iter().enumerate() {
            let name = format!("{}.{i}", node.name);
            let shape = self.program.slot(like).shape;
            let origin = Origin {
                nodes: vec![index],
                value: None,
            };
            let done = self.done(&kind);
            slots.push(done.unwrap_or_else(|| self.program.push(&name, &name, shape, kind, origin)));
        }
        self.views.insert(node.output, View { slots, upsample: false });
    }

    fn only_reader_joins(&self, writer: usize, value: ValueId, kind: &Kind) -> bool {
        let [only] = self.readers[value.0][..] else {
            return false;
        };
        self.graph.nodes.get(only).is_some_and(|node| {
            kind.operator().absorbs(&Next {
                node,
                value,
                writer,
                lowering: self,
            })
        })
    }

    fn append(&mut self, value: ValueId, op: Waiting) {
        let origin = Origin {
            nodes: op.nodes,
            value: Some(value),
        };
        let slot = &self.graph.values[value.0];
        let out = self.program.push(&op.name, &slot.name, slot.shape, op.kind, origin);
        self.views.insert(value, View::of(out));
    }

    /// Shape of a value, `(channel, row, col)`.
    pub fn shape(&self, value: ValueId) -> [usize; 3] {
        self.graph.values[value.0].shape
    }

    /// The nodes that read a value; `None` for the network's output.
    pub fn readers(&self, value: ValueId) -> impl Iterator<Item = Option<&Node>> {
        self.readers[value.0].iter().map(|index| self.graph.nodes.get(*index))
    }

    /// The output of an operator that computes this already.
    pub fn done(&self, kind: &Kind) -> Option<SlotId> {
        self.program.ops.iter().find(|op| op.kind == *kind).map(|op| op.out)
    }

    /// How a value that is there is read.
    pub fn view_of(&self, value: ValueId) -> Option<&View> {
        self.views.get(&value)
    }

    /// Whether a value's operator waits for the node that joins it.
    pub fn is_waiting(&self, value: ValueId) -> bool {
        self.waiting.contains_key(&value)
    }

    /// How an input of a node is read.
    pub fn view(&self, node: &Node, input: usize) -> Result<View, LowerError> {
        let value = node.inputs[input];
        self.views.get(&value).cloned().ok_or_else(|| {
            let name = &self.graph.values[value.0].name;
            refuse(node, &format!("its input '{name}' is not available yet"))
        })
    }

    /// An input of a node that is one slot, read as it is.
    pub fn slot(&self, node: &Node, input: usize) -> Result<SlotId, LowerError> {
        let view = self.view(node, input)?;
        match view.slots[..] {
            [slot] if !view.upsample => Ok(slot),
            _ => Err(refuse(
                node,
                "reads a concatenation or an upsampled value as one tensor",
            )),
        }
    }

    /// Values of a parameter.
    pub fn param(&self, node: &Node, key: &str) -> Result<Vec<f32>, LowerError> {
        let param = self.graph.params.get(key);
        param
            .map(|p| p.data.clone())
            .ok_or_else(|| refuse(node, &format!("parameter '{key}' is missing")))
    }
}

/// That a node has no operator.
pub fn refuse(node: &Node, what: &str) -> LowerError {
    LowerError {
        node: node.name.clone(),
        what: what.to_owned(),
    }
}
