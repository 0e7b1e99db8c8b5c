//! A graph's nodes as kernels: what is not needed is left out, and what can be done on the way is done on the way.
//!
//! - SiLU behind a group normalization, in it.
//! - An x2 before a convolution, by how the convolution reads.
//! - An addition to a convolution's result, at its end: then the convolution runs where the addition stood.
//!
//! A value that is asked for, or read elsewhere too, is not done away with.

use mote_graph::graph::{Graph, Node, Op, ValueId, ops};

/// One kernel's work.
#[derive(Debug, Clone)]
pub(super) struct KernelWork<'g> {
    /// The node that gives the work its kind.
    pub node: &'g Node,
    /// What is read, in the operator's order, without the addend.
    pub inputs: Vec<ValueId>,
    /// What is written.
    pub output: ValueId,
    /// Whether SiLU follows a normalization.
    pub silu: bool,
    /// Whether a convolution reads its input through x2.
    pub zoom: bool,
    /// What is added to a convolution's result, and what the sum is divided by.
    pub addend: Option<(ValueId, f64)>,
}

impl KernelWork<'_> {
    /// Every value that is read.
    pub fn reads(&self) -> impl Iterator<Item = ValueId> + '_ {
        let addend = self.addend.iter().map(|(id, _)| *id);
        self.inputs.iter().copied().chain(addend)
    }
}

/// The kernels that give `wanted`, in order.
pub(super) fn steps<'g>(graph: &'g Graph, wanted: &[ValueId]) -> Vec<KernelWork<'g>> {
    let mut needed = vec![false; graph.values.len()];
    let mut readers = vec![0usize; graph.values.len()];
    for id in wanted {
        needed[id.0] = true;
        readers[id.0] += 1;
    }
    for node in graph
        .nodes
        .iter()
        .rev()
        .filter(|node| node.op != Op::Sample(ops::Sample))
    {
        if needed[node.output.0] {
            for id in &node.inputs {
                needed[id.0] = true;
                readers[id.0] += 1;
            }
        }
    }
    let mut fusing = Fusing { steps: vec![], readers };
    for node in graph.nodes.iter().filter(|node| needed[node.output.0]) {
        fusing.push(node);
    }
    fusing.steps
}

struct Fusing<'g> {
    steps: Vec<KernelWork<'g>>,
    readers: Vec<usize>,
}

impl<'g> Fusing<'g> {
    fn push(&mut self, node: &'g Node) {
        let mut step = KernelWork {
            node,
            inputs: node.inputs.clone(),
            output: node.output,
            silu: false,
            zoom: false,
            addend: None,
        };
        match &node.op {
            Op::Silu(_) => {
                let norm = self.maker(node.inputs[0], |made| matches!(made.node.op, Op::Norm(_)) && !made.silu);
                if let Some(at) = norm {
                    self.steps[at].silu = true;
                    self.steps[at].output = node.output;
                    return;
                }
            }
            Op::Conv(_) => {
                if let Some(at) = self.maker(node.inputs[0], |made| made.node.op == Op::Upsample2(ops::Upsample2)) {
                    step.inputs = self.steps.remove(at).inputs;
                    step.zoom = true;
                }
            }
            Op::Add(ops::Add { divisor }) => {
                // Of two convolutions the later one.
                let made = [0, 1].map(|i| (self.conv(node.inputs[i]), node.inputs[1 - i]));
                let (at, other) = if made[0].0 > made[1].0 { made[0] } else { made[1] };
                if let Some(at) = at {
                    step = self.added(at, other, *divisor, node);
                }
            }
            Op::AddChannel(_) => {
                if let Some(at) = self.conv(node.inputs[0]) {
                    step = self.added(at, node.inputs[1], 1.0, node);
                }
            }
            _ => {}
        }
        self.steps.push(step);
    }

    /// The step that made `id`, where nothing else reads it and it is of the right kind.
    fn maker(&self, id: ValueId, right: impl Fn(&KernelWork<'g>) -> bool) -> Option<usize> {
        let at = self.steps.iter().position(|step| step.output == id)?;
        (self.readers[id.0] == 1 && right(&self.steps[at])).then_some(at)
    }

    fn conv(&self, id: ValueId) -> Option<usize> {
        self.maker(id, |made| matches!(made.node.op, Op::Conv(_)) && made.addend.is_none())
    }

    fn added(&mut self, at: usize, addend: ValueId, divisor: f64, node: &Node) -> KernelWork<'g> {
        KernelWork {
            output: node.output,
            addend: Some((addend, divisor)),
            ..self.steps.remove(at)
        }
    }
}
