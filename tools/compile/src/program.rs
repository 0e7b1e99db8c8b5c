//! The fused program: the operators that a model file holds, in execution order, still in float.
//!
//! Every operator writes one slot, and operator `i` writes slot `i`. So what stands "by slot" and "by operator" has the same index.

use mote_graph::graph::ValueId;

use crate::ops::Kind;

/// Index of a [`Slot`] in [`Program::slots`], and of the operator that writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub usize);

/// One activation of shape `(channel, row, col)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Name of the graph value that it holds.
    pub name: String,
    /// `(channel, row, col)`.
    pub shape: [usize; 3],
}

impl Slot {
    /// Whether it is a vector over channels.
    pub fn is_vector(&self) -> bool {
        self.positions() == 1
    }

    /// Rows times columns.
    pub fn positions(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a fused operator was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Indices of the graph's nodes that it stands for, in execution order. The first gives it its name. Empty in a program without a
    /// graph.
    pub nodes: Vec<usize>,
    /// The graph's value that its output holds.
    pub value: Option<ValueId>,
}

/// One operator, with all that was fused into it.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedOp {
    /// The checkpoint's module path.
    pub name: String,
    /// What is computed.
    pub kind: Kind,
    /// The slot written.
    pub out: SlotId,
    /// What it was made from.
    pub origin: Origin,
}

impl FusedOp {
    /// Slots read.
    pub fn inputs(&self) -> Vec<SlotId> {
        self.kind.operator().inputs()
    }

    /// Makes it read other slots.
    pub fn rename_inputs(&mut self, renamed: impl Fn(SlotId) -> SlotId) {
        let inputs = self.kind.operator_mut().inputs_mut();
        inputs.into_iter().for_each(|id| *id = renamed(*id));
    }
}

/// A straight list of operators over slots that are written once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Program {
    /// Activations.
    pub slots: Vec<Slot>,
    /// Operators in execution order. The last writes the network's output.
    pub ops: Vec<FusedOp>,
    /// Rows of the class embedding; 0 if there is none.
    pub classes: usize,
    /// Shape of the sample, `(channel, row, col)`.
    pub sample: [usize; 3],
    /// Pairs of slots that hold the same activation: the first as it was computed, the second recomputed later.
    pub recomputed: Vec<[SlotId; 2]>,
    /// Slots that are rows of the network's output, from the top; empty where the last operator writes it whole.
    pub bands: Vec<SlotId>,
}

impl Program {
    /// Multiplies the sample by `factor` where it enters.
    pub fn scale_input(&mut self, factor: f64) {
        for op in &mut self.ops {
            if let Kind::Input(input) = &mut op.kind {
                input.scale *= factor;
            }
        }
    }

    /// A slot.
    pub fn slot(&self, id: SlotId) -> &Slot {
        &self.slots[id.0]
    }

    /// Channels of slots that are read as the channels of one.
    pub fn channels(&self, slots: &[SlotId]) -> usize {
        slots.iter().map(|id| self.slot(*id).shape[0]).sum()
    }

    /// Appends an operator whose output is named and shaped so. Gives its slot.
    pub fn push(&mut self, op: &str, slot: &str, shape: [usize; 3], kind: impl Into<Kind>, origin: Origin) -> SlotId {
        let out = SlotId(self.slots.len());
        self.slots.push(Slot {
            name: slot.to_owned(),
            shape,
        });
        self.ops.push(FusedOp {
            name: op.to_owned(),
            kind: kind.into(),
            out,
            origin,
        });
        out
    }

    /// Appends an operator that was made from no graph, and has the name of its output.
    pub fn push_named(&mut self, name: &str, shape: [usize; 3], kind: impl Into<Kind>) -> SlotId {
        self.push(name, name, shape, kind, Origin::default())
    }

    /// Multiply-accumulates of an operator.
    pub fn macs(&self, op: &FusedOp) -> u64 {
        op.kind.operator().macs(self.slot(op.out))
    }

    /// Multiply-accumulates of a network call.
    pub fn total_macs(&self) -> u64 {
        self.ops.iter().map(|op| self.macs(op)).sum()
    }

    /// The operators whose output is the network's: the last one, and before it what it only moves.
    pub fn outputs(&self) -> Vec<usize> {
        let mut outputs = vec![];
        let mut next = self.ops.len().checked_sub(1);
        while let Some(index) = next {
            outputs.push(index);
            let Kind::Rearrange(moved) = &self.ops[index].kind else {
                break;
            };
            let src = moved.src;
            let readers = self.ops.iter().filter(|op| op.inputs().contains(&src)).count();
            let gives = matches!(
                self.ops[src.0].kind,
                Kind::Conv(_) | Kind::Pointwise(_) | Kind::Rearrange(_)
            );
            next = (gives && readers == 1).then_some(src.0);
        }
        outputs
    }

    /// Whether an operator sums a series of the timestep.
    pub fn reads_series(&self, op: &FusedOp) -> bool {
        let is_series = |id: &SlotId| matches!(&self.ops[id.0].kind, Kind::TimeProj(time) if time.series);
        op.inputs().iter().any(is_series)
    }

    /// Whether an operator reads what the sample was brought to.
    pub fn reads_sample(&self, op: &FusedOp) -> bool {
        let is_sample = |id: &SlotId| matches!(self.ops[id.0].kind, Kind::Input(_));
        op.inputs().iter().any(is_sample)
    }
}
